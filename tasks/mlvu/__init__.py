"""MLVU: multiple choice about long videos."""

from coreheads.tasks.mlvu.scoring import m_avg

__all__ = ["m_avg"]
