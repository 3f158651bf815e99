"""The colours of conditions, the same in every table, chart and picture."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle

from coreheads.heads.types import profile_name
from coreheads.store.board import Row

INK = "currentColor"
"""The colour of what is around."""

KINDS = {
    "top": "#d9480f",
    "bottom": "#3b82c4",
    "random": "#8a94a3",
    "layer_matched": "#9467bd",
    "explicit": "#c2255c",
    "all": "#2b8a3e",
    "none": "#b08900",
}
"""By selection; mid tones, which can be told from a white and from a black background."""

OTHER = "#0f8a7e"
MODELS = (
    "#d9480f", "#1971c2", "#2b8a3e", "#9467bd", "#b08900", "#c2255c", "#0f8a7e", "#8a94a3", "#7c5cff", "#a0522d",
)  # fmt: skip
"""Of models, where a chart holds several; from the eleventh on they come again."""
MORE = ("#e64980", "#74a12e", "#5b7ce0", "#a35fd0", "#c98a2b", "#3aa0b8", "#b5626a", "#5f9e86", "#8c7a3d", "#c45ab3",
        "#4f86a6", "#b07d62", "#6d8f1f", "#9a4f7c")  # fmt: skip
"""Of methods behind those, since a chart may hold a dozen curves."""
SHAPES = {"dense": "circle", "top": "diamond", "bottom": "triangle-down", "random": "triangle-up"}
"""Of kinds, where colours are those of models; every other is a square."""
HEADS = "#1971c2"
"""Of the maps of heads."""


def kind(row: Row) -> str:
    """By what a row is coloured: ``dense``, its selection (with the head score unless that is RAM), or its patch where
    that takes no heads."""
    if (below := row.get("on")) is not None:
        return f"{row['patch']} on {below['patch']}"
    if row["patch"] == "none" or row["selection"] is None:
        return "dense" if row["patch"] == "none" else row["patch"]
    return profile_name(row["selection"], row.get("head_score"))


def by_method(methods: Iterable[str]) -> dict[str, str]:
    """A colour for each method by its words: ours stands out, controls of it are grey, dense is the ink's."""
    others = (colour for colour in cycle((*MODELS, *MORE)) if colour not in (KINDS["top"], KINDS["random"]))
    colours = {}
    for name in dict.fromkeys(methods):
        patch, _, selection = name.partition(": ")
        if name.startswith("dense"):
            colours[name] = INK
        elif patch == "hybrid" and selection.partition(" (")[0] == "top full" and KINDS["top"] not in colours.values():
            colours[name] = KINDS["top"]
        else:
            control = selection.startswith(("random", "no head", "bottom"))
            colours[name] = KINDS["random"] if control else next(others)
    return colours


def by_model(models: list[str]) -> dict[str, str]:
    """A colour for each model, in their order."""
    return {model: MODELS[index % len(MODELS)] for index, model in enumerate(models)}
