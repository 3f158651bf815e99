"""What a run was made with: versions, machine, revision of the source. Imports none of the libraries it names."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from coreheads.private import private_command

if TYPE_CHECKING:
    from coreheads.store.provenance import Machine

PACKAGES = ("torch", "transformers", "lmms-eval", "datasets", "numpy", "pillow", "av")


def versions() -> dict[str, str | None]:
    """Installed versions; None where a package is not installed."""
    from coreheads import __version__

    ours = {"coreheads": __version__, "python": platform.python_version()}
    return {**ours, **{package: installed(package) for package in PACKAGES}}


def installed(package: str) -> str | None:
    """Its version; None where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def command_line() -> str:
    """This process's command as one could type it again, but for secrets, and with ``~`` for the home folder."""
    program = Path(sys.argv[0]).name if sys.argv and sys.argv[0] else "python"
    return private_command([program, *sys.argv[1:]])


def now() -> str:
    """UTC, to the second, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def source_revision() -> str | None:
    """The commit of the checkout that this package runs from, with ``+changes``; None outside a checkout."""
    folder = Path(__file__).parent
    if _git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None  # installed, perhaps below somebody else's repository
    revision = _git(folder, "rev-parse", "HEAD")
    if revision is None:
        return None
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "..")
    return revision + ("+changes" if changed else "")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def processor_name() -> str:
    """The CPU's own name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def devices_name(devices: Sequence[object]) -> str:
    """The devices of one model in words: ``2x NVIDIA H100, split``; of one its name."""
    names = Counter(device_name(str(device)) for device in devices)
    if len(devices) == 1:
        return next(iter(names))
    return " + ".join(f"{count}x {name}" for name, count in names.items()) + ", split"


def device_name(device: str) -> str:
    """A device in words: GPU name, or CPU name with the number of threads torch uses; of ``auto-map`` all GPUs."""
    import torch

    if device == "auto-map" and torch.cuda.is_available():
        return devices_name([f"cuda:{number}" for number in range(torch.cuda.device_count())])
    if device.startswith("cuda") and torch.cuda.is_available():
        return torch.cuda.get_device_name(device)
    if device == "cpu":
        return f"{processor_name()}, {torch.get_num_threads()} threads"
    return device


def machine(device: str) -> Machine:
    """For the manifest: device, operating system, cores."""
    return {"device": device, "name": device_name(device), "system": platform.platform(), "cores": os.cpu_count()}
