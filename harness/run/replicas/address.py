"""Whether a Ray cluster answers at an address: Ray itself tries for minutes where none does."""

from __future__ import annotations

import re
import socket

from coreheads.errors import UserError, one_line

_ADDRESS = re.compile(r"[^:/\s]+:\d+|\[[0-9a-fA-F:]+\]:\d+")


def check_address(address: str) -> None:
    """UserError for what is none of HOST:PORT, "auto" and "local", and where nothing answers."""
    if address in ("local", "auto"):
        return
    if not _ADDRESS.fullmatch(address):
        raise UserError(
            f"--ray {address}: expected HOST:PORT of a cluster that this machine is part of, auto (one that runs here) "
            "or local (one that is started)"
        )
    host, _, port = address.rpartition(":")
    try:
        knock(host.strip("[]"), int(port))
    except (OSError, OverflowError) as error:
        raise UserError(
            f"--ray {address}: nothing answers there ({one_line(error)}), expected HOST:PORT of a running Ray cluster"
        ) from None


def knock(host: str, port: int) -> None:
    """OSError where no server of Ray's kind (gRPC, which is HTTP/2) answers: Ray itself tries for minutes."""
    with socket.create_connection((host, port), timeout=5) as server:
        server.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        answer = server.recv(9)
    if answer[3:4] != b"\4":  # its first frame is its settings
        raise OSError("what answers there is no server of Ray's")
