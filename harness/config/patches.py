"""What a configuration says of patches beside a cell's own: the one that it is put on."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from coreheads.errors import brief


class OnConfig(BaseModel):
    """A patch that drops tokens; a cell's patch on heads acts on what it leaves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    patch: str = Field(min_length=1)
    params: dict[str, Any] = {}

    @field_validator("params")
    @classmethod
    def _plain(cls, params: dict[str, Any]) -> dict[str, Any]:
        return plain(params)


def plain(params: dict[str, Any]) -> dict[str, Any]:
    """A patch's parameters; ValueError for values that no patch takes."""
    for name, value in params.items():
        if not isinstance(value, str | int | float | bool | None):
            raise ValueError(f"params.{name} is {brief(value)}, expected a text, a number, true, false or null")
    return params
