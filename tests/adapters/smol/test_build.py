"""The checkpoint's folder is built once, and takes the place of older versions."""

from __future__ import annotations

from pathlib import Path

import pytest

from coreheads.adapters.smol import build, weights
from coreheads.cache import hold
from coreheads.errors import UserError


def _version(root: Path, name: str, file: str = "model.safetensors") -> Path:
    (root / name).mkdir(parents=True)
    (root / name / file).touch()
    return root / name


def test_a_new_checkpoint_removes_older_ones_that_nobody_uses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    root = tmp_path / "coreheads" / "smol"
    old = _version(root, "0123456789ab")
    used = _version(root, "ba9876543210")
    kept = {
        used,
        _version(root, "data-0123456789ab"),  # documents, not a checkpoint
        _version(root, "0123456789ab0"),
        _version(root, "ab0123456789", "notes.txt"),
    }
    assert hold(used)

    monkeypatch.setattr(weights, "installed", lambda: tmp_path)
    monkeypatch.setattr(weights, "check", lambda path: path)
    monkeypatch.setattr(build, "_write", lambda name, path, target: _version(target, "part"))
    made = build.checkpoint()
    assert made == root / build.version()
    assert set(root.iterdir()) == {made, *kept}
    assert capsys.readouterr().err == f"smol: checkpoints of other versions removed from {root}: {old.name}\n"

    # it is there: nothing is built or removed
    _version(root, old.name)
    assert build.checkpoint() == made
    assert old.exists()
    assert capsys.readouterr().err == ""


def test_a_checkpoint_that_cannot_be_built_removes_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    old = _version(tmp_path / "coreheads" / "smol", "0123456789ab")

    def fail(name: str, path: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(weights, "installed", lambda: tmp_path)
    monkeypatch.setattr(weights, "check", lambda path: path)
    monkeypatch.setattr(build, "_write", fail)
    with pytest.raises(UserError, match="the disk is full"):
        build.checkpoint()
    assert old.exists()
