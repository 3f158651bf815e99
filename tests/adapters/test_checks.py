"""Checks of single values: what they take, and what they say of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from coreheads.adapters.value_checks import is_number, one_of, whole_number
from coreheads.errors import UserError


@pytest.mark.parametrize("value", [True, 1.0, "1", None, 0, -3])
def test_what_is_no_whole_number_of_at_least_1(value: Any) -> None:
    with pytest.raises(UserError) as caught:
        whole_number("setting x:", value)
    assert str(caught.value) == f"setting x: {value!r}, expected a whole number of at least 1"


def test_whole_numbers_are_given_back() -> None:
    assert whole_number("x:", 1) == 1
    assert whole_number("x:", 0, least=0) == 0


def test_numbers_are_finite_and_not_true() -> None:
    assert [value for value in (1, 0.5, -2, True, "1", None, float("nan"), float("inf")) if is_number(value)] == [
        1, 0.5, -2,
    ]  # fmt: skip


def test_an_unknown_name_is_told_with_the_nearest() -> None:
    one_of("mode is", "zero", ("zero", "mean"))
    with pytest.raises(UserError) as caught:
        one_of("mode is", "zeor", ("zero", "mean"))
    assert str(caught.value) == "mode is 'zeor', expected one of zero, mean (did you mean 'zero'?)"
