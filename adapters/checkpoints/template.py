"""Whether a chat template ends: it is a program of whoever made the checkpoint, so it is tried in a process of its own,
whose time and memory are bounded."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from functools import lru_cache
from typing import Any

from coreheads import limits

SECONDS = 3
"""Of computing; templates take a millisecond."""
BYTES = limits.GIB
WAIT_S = 120
"""Until the process is given up, its start included."""

TOO_SLOW = f"takes more than {SECONDS} s to show one message"
TOO_LARGE = f"takes more than {BYTES:,} bytes to show one message"
_TURN = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "What is shown?"}]}


def problem(template: Any) -> str:
    """Why the template is of no use, in words that follow "the chat template"; "" where one message can be shown, or
    the template refuses it, which its own family may mend."""
    texts = list(template.values() if isinstance(template, dict) else [template])
    return _problem(json.dumps(texts)) if any(texts) else ""


@lru_cache(maxsize=32)
def _problem(texts: str) -> str:
    command = [sys.executable, "-P", "-m", __name__]  # -P: where it is called from may be the checkpoint's own folder
    try:
        done = subprocess.run(command, input=texts, capture_output=True, text=True, timeout=WAIT_S)
    except subprocess.TimeoutExpired:
        return TOO_SLOW
    if done.returncode == -getattr(signal, "SIGXCPU", 0):
        return TOO_SLOW
    if done.returncode < 0:  # killed, as systems do with what takes all memory
        return TOO_LARGE
    return done.stdout.strip()


def _bound() -> None:
    """Bound this process from now on, where the system can."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        import psutil

        used = resource.getrusage(resource.RUSAGE_SELF)
        ends = int(used.ru_utime + used.ru_stime) + SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (ends, ends + 1))
        most = psutil.Process().memory_info().vms + BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _try(texts: list[str]) -> str:
    from transformers.utils.chat_template_utils import render_jinja_template

    _bound()
    for text in texts:
        try:
            render_jinja_template([[_TURN]], chat_template=text, add_generation_prompt=True)
        except MemoryError:
            return TOO_LARGE
        except Exception:  # a template may raise anything
            continue
    return ""


if __name__ == "__main__":
    print(_try(json.load(sys.stdin)))
