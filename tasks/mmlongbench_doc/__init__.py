"""MMLongBench-Doc: questions about long documents."""

from coreheads.tasks.mmlongbench_doc.scoring import accuracy_f1, score_answer

__all__ = ["accuracy_f1", "score_answer"]
