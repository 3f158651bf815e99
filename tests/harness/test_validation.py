"""Faults that pydantic finds, as lines with the file, the field, its value and what was expected."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, with_config
from typing_extensions import TypedDict

from coreheads.errors import UserError
from coreheads.validation import expected, validating


def _even(value: Any) -> Any:
    if value % 2:
        raise expected("an even number {of} things")
    return value


@with_config(ConfigDict(extra="forbid"))
class Part(TypedDict):
    width: Annotated[int, BeforeValidator(_even)]
    height: int


class Whole(BaseModel):
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    name: str = "x"


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ({"parts": [{"width": 2}]}, ["parts.0.height is missing"]),
        ({"parts": [{"width": 3, "height": 1}]}, ["parts.0.width is 3, expected an even number {of} things"]),
        (
            {"parts": [{"width": 2, "height": 1, "heihgt": 1}], "name": 3},
            [
                "parts.0.heihgt is not a known field (did you mean 'height'?)",
                "name is 3, expected a valid string",
            ],
        ),
        ([], ["the file is [], expected a valid dictionary or instance of Whole"]),
    ],
)
def test_a_line_a_fault(value: Any, lines: list[str]) -> None:
    for most in (None, 1):
        with pytest.raises(UserError) as caught, validating(Whole, "a.json: line 3", most):
            Whole.model_validate(value)
        assert str(caught.value).splitlines() == [f"a.json: line 3: {line}" for line in lines[:most]]


def test_a_typed_dict_suggests_its_fields_too() -> None:
    with pytest.raises(UserError, match=r"widht is not a known field .did you mean 'width'"), validating(Part, "a"):
        TypeAdapter(Part).validate_python({"width": 2, "height": 1, "widht": 2})
