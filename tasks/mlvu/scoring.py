"""MLVU's measure: accuracy of the chosen option, averaged over the kinds of question."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from coreheads.tasks.scoring.means import macro
from coreheads.tasks.scoring.options import read_option


def score(response: str, candidates: Sequence[str], right: int) -> dict[str, float]:
    """``accuracy``, 0 or 1, and ``unparsed``, 1 where the response names no option."""
    option = read_option(response, candidates)
    return {"accuracy": float(option == right), "unparsed": float(option is None)}


def m_avg(rows: Iterable[Mapping[str, Any]]) -> float:
    """M-Avg: the plain mean over the question types present of their accuracies.

    rows: {"question_type", "score"}. A type without any sample does not count (the official script and lmms-eval
    divide by 7 whatever was asked).
    """
    return macro({"group": row["question_type"], "score": row["score"]} for row in rows)
