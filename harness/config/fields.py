"""Kinds of values of a configuration, and what its sections have in common."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)

from coreheads import limits
from coreheads.validation import expected


def number(value: Any) -> Any:
    """The value; in YAML yes, on and true are one thing, and pydantic would take it for 1."""
    if isinstance(value, bool):
        raise expected("a number, not true or false")
    return value


def _placed(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """One fault, where pydantic tells one for each kind that the value may be."""
    try:
        return read(value)
    except ValidationError:
        raise expected("a number of GPUs, at least 1, or the GPU of each module: {model.visual: 0, ...}") from None


Whole = Annotated[int, BeforeValidator(number)]
Count = Annotated[Whole, Field(ge=1, le=10**9)]
Repeats = Annotated[Whole, Field(ge=1, le=limits.REPEATS)]
Fraction = Annotated[float, BeforeValidator(number), Field(gt=0, le=1)]
Placement = Annotated[Count | dict[str, Whole | str], WrapValidator(_placed)]
"""Over how many GPUs a model is split, or the GPU of each of its modules."""
Names = Annotated[tuple[str, ...], Field(max_length=limits.NAMES)]


class Section(BaseModel):
    """A part of a configuration; a name that it does not know is a fault."""

    model_config = ConfigDict(extra="forbid", frozen=True)
