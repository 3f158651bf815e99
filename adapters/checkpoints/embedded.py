"""The checkpoints that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

TINY = "tiny"
"""The id of the embedded model."""

EMBEDDED = {TINY: Path(__file__).parents[1] / "tiny" / "checkpoint"}
"""Where each lies; they load like any other checkpoint."""
