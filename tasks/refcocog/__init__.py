"""RefCOCOg: where in the image is what the expression refers to."""

from coreheads.tasks.refcocog.scoring import score

__all__ = ["score"]
