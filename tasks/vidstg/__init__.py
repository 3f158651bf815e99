"""VidSTG: when and where in the video is what the sentence describes."""

from coreheads.tasks.vidstg.scoring import score_tube

__all__ = ["score_tube"]
