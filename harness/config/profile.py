"""How a run finds heads: on which records, and by which head scores."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from coreheads.config.fields import Count, Names, Section


def _several(value: Any) -> Any:
    """One name is a list of it."""
    return (value,) if isinstance(value, str) else value


class ProfileConfig(Section):
    tasks: Names = ()
    samples: Count = 64
    split: str = "profile"
    normalization: Literal["vision", "lift"] | None = None
    """Of RAM alone."""
    score: Annotated[Names, BeforeValidator(_several), Field(min_length=1)] | None = None
    """A head score or a list of them, each with a profile of its own; null is ram."""

    @property
    def scores(self) -> tuple[str, ...]:
        """The head scores' names; cells that name none go by the first."""
        return self.score or ("ram",)

    @field_validator("score")
    @classmethod
    def _once(cls, names: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if len(set(names or ())) < len(names or ()):
            raise ValueError(f"{', '.join(names or ())}: a score is named twice")
        return names
