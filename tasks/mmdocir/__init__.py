"""MMDocIR: which page of the document, and what on it, answers the question."""

from coreheads.tasks.mmdocir.scoring import layout_recall, page_recall

__all__ = ["layout_recall", "page_recall"]
