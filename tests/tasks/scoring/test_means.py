"""Means over groups of means."""

from __future__ import annotations

import pytest
from box_cases import few
from hypothesis import given
from hypothesis import strategies as st

from coreheads.tasks.scoring.means import macro


@few
@given(st.dictionaries(st.sampled_from("abc"), st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=1))
def test_macro_lies_between_the_groups(groups: dict[str, list[float]]) -> None:
    rows = [{"group": name, "score": value} for name, values in groups.items() for value in values]
    means = [sum(values) / len(values) for values in groups.values()]
    assert min(means) - 1e-9 <= macro(rows) <= max(means) + 1e-9
    assert macro(rows) == pytest.approx(sum(means) / len(means))
