"""Model families: which coordinates each writes boxes in. The one table that prompts and scorers go by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coreheads.errors import UserError
from coreheads.regions import Box


@dataclass(frozen=True)
class Family:
    """How a family writes a box.

    starts: how its model types and names begin. scale: what the far edge of the picture is. small_sum: where the four
    numbers add up to less than this they are fractions already (0: never). wording: for prompts.
    """

    starts: tuple[str, ...]
    scale: float
    small_sum: float
    wording: str


_THOUSANDTHS = "whole numbers from 0 to 1000, relative to the picture's width and height"

FAMILIES = {
    # Qwen3-VL's cookbook and technical report: thousandths of each side (Qwen2.5-VL: pixels of the resized picture)
    "qwen": Family(("qwen3_vl",), 1000, 0, _THOUSANDTHS),
    # InternVL's evaluation of referring expressions: thousandths, but fractions where the four add up to less than 4
    "internvl": Family(("internvl",), 1000, 4, _THOUSANDTHS),
    # LLaVA's training data: fractions of each side; LLaVA-OneVision documents no convention of its own (LLaVA-1.5's
    # fractions are those of a padded square)
    "llava": Family(("llava_onevision",), 1, 0, "decimal fractions from 0 to 1 of the picture's width and height"),
}


def family_of(name: str | None) -> str:
    """The family (qwen, internvl or llava) of a family or model type such as "qwen3_vl" or "llava_onevision"."""
    for family, about in FAMILIES.items():
        if name is not None and (name == family or name.lower().startswith(about.starts)):
            return family
    known = ", ".join(start for about in FAMILIES.values() for start in about.starts)
    raise UserError(
        f"family: {name!r}, expected a model type that begins with {known}: it says in which coordinates boxes are "
        "written (in lmms-eval: dataset_kwargs.family, or lmms_eval_specific_kwargs.<model>.family)"
    )


def normalised(numbers: Sequence[float], family: str) -> Box:
    """Four numbers as the family writes them, as a box in 0..1 (outside of it where they are)."""
    about = FAMILIES[family_of(family)]
    x0, y0, x1, y1 = numbers
    scale = 1.0 if x0 + y0 + x1 + y1 < about.small_sum else about.scale
    return x0 / scale, y0 / scale, x1 / scale, y1 / scale


def written(box: Sequence[float], family: str) -> list[float]:
    """A box in 0..1 as the family would write it."""
    scale = FAMILIES[family_of(family)].scale
    return [round(edge, 3) if scale == 1 else int(edge * scale + 0.5) for edge in box]


def wording(family: str) -> str:
    """What a prompt says about the coordinates."""
    return FAMILIES[family_of(family)].wording
