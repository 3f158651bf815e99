"""What a configuration says of patches beside a cell's own: the one that it is put on, and which there are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

from coreheads.errors import UserError, brief

if TYPE_CHECKING:
    from coreheads.adapters.patches.base import Patch


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


def known_patch(name: str) -> type[Patch] | None:
    """A patch's class; None where there is no such patch, which is said before anything is done."""
    from coreheads.adapters.patches.registry import patch_class

    try:
        return patch_class(name)
    except UserError:
        return None
