"""What is done to which model on which task, as cells and rows say it."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import AfterValidator, BeforeValidator, Field
from typing_extensions import TypedDict  # typing's own serves pydantic from Python 3.12 on

from coreheads.store.fields import Pair, Plain, are_plain, is_selection, only_fields


@only_fields
class Below(TypedDict):
    """A patch that drops tokens, on top of which another acts."""

    patch: str
    """A registered patch."""
    params: Annotated[dict[str, Plain], BeforeValidator(are_plain)]
    """Its settings by name."""


class Condition(TypedDict):
    """What is done to which model, on which task."""

    model: str
    """The model's name in the run; on a board with its checkpoint where merged runs mean different ones by it."""
    task: str
    """A registered task."""
    patch: str
    """A registered patch; ``none`` for the dense model."""
    selection: Annotated[str, AfterValidator(is_selection)] | None
    """The rule that picked the heads; null for the dense model, and for a patch that takes no heads."""
    fraction: Annotated[float, Field(gt=0, le=1)] | None
    """Of all heads of the language model, in (0, 1]; null where the selection has no size."""
    on: NotRequired[Below | None]
    """What the patch acts on top of; null or missing: the model itself."""
    head_score: NotRequired[str | None]
    """Name of the head score whose profile picked the heads; null or missing is RAM, and where none was asked."""


@only_fields
class StoredCell(Condition):
    """A :class:`coreheads.config.cells.Cell` as JSON."""

    params: Annotated[dict[str, Plain], BeforeValidator(are_plain)]
    """The patch's settings by name."""
    draw: int | None
    """Number of a random draw, from 0; null where nothing is drawn."""
    seed: NotRequired[int | None]
    """What the heads were drawn with; null where nothing is drawn."""
    heads: list[Pair]
    """The heads of an explicit selection; else empty."""
    limit: NotRequired[int | None]
    """How many samples are asked; null: all."""
    within: NotRequired[int | None]
    """The first so many samples of the task are those that the dense model answers, too; null: all."""
    timed: NotRequired[bool]
    """Whether its speed is measured where its task is timed."""
    budget: NotRequired[Annotated[float, Field(gt=0, le=1)] | None]
    """Share of the dense cost that the patch is solved for, prompt by prompt; null where there is none."""
    budget_of: NotRequired[Literal["flops", "kv"] | None]
    """What that is a share of: the FLOPs of the language model's prefill, or the cache's bytes."""
    preset: NotRequired[bool]
    """Whether these are the method's published settings."""
