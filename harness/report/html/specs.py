"""Charts as the page draws them: specifications without what all have in common, by number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import altair as alt

from coreheads.heads.types import profile_name
from coreheads.report import columns, findings, head_table, palette, panels
from coreheads.report.columns import SELECTIONS
from coreheads.report.head_map import meaning
from coreheads.report.panels import Panel, Profiles
from coreheads.store.board import HeadsSummary, Row

Card = tuple[Panel, int]
"""A chart and the number of its specification."""


class Specs(list[dict[str, Any]]):
    """The specifications of a page's charts, in their order."""

    def add(self, panel: Panel) -> Card:
        """The chart as wide as its card, without the defaults that the page sets for all."""
        fitted = panel.chart.properties(
            width="container", background="transparent", autosize=alt.AutoSizeParams(type="fit-x", contains="padding")
        )
        self.append(
            {name: value for name, value in fitted.to_dict(validate=False).items() if name not in ("config", "$schema")}
        )
        return panel, len(self) - 1


class Cards(NamedTuple):
    """Charts by model, and the rows that they show."""

    models: dict[str, list[Card]]
    rows: list[Row]

    @property
    def methods(self) -> list[str]:
        """What is a curve."""
        return list(dict.fromkeys(columns.method(row) for row in self.rows))

    @property
    def kinds(self) -> list[str]:
        """What is a curve where heads are switched off."""
        kinds = {palette.kind(row) for row in self.rows}
        return [name for name in SELECTIONS if name in kinds]


def cards(drawn: Sequence[Panel], specs: Specs) -> Cards | None:
    """None where there is nothing to draw."""
    models: dict[str, list[Card]] = {}
    for panel in drawn:
        models.setdefault(panel.model, []).append(specs.add(panel))
    return Cards(models, [row for panel in drawn for row in panel.rows]) if drawn else None


class Map(NamedTuple):
    """A profile's heads: all of them drawn, the leading ones named, unless only its summary is known."""

    model: str
    name: str
    sentences: list[str]
    card: Card | None = None
    width: int = 0
    """Of the card, in rem."""
    scale: tuple[str, str, str] = ("", "", "")
    """(from, to, in words)."""
    leading: tuple[list[str], list[list[str]]] = ([], [])
    """The headings and lines of a table."""


def maps(summaries: Sequence[HeadsSummary], profiles: Profiles, specs: Specs) -> Iterator[Map]:
    """One for each profile of the board."""
    for summary in summaries:
        name = profile_name(summary["model"], summary.get("score"))
        found = Map(summary["model"], name, findings.heads_sentences(summary))
        profile = profiles.get((summary["run"], name))
        if profile is not None:
            fraction = panels.shown_fraction(summary)
            spread = profiles.get((summary["run"], profile_name(summary["model"], "concentration")))
            found = found._replace(
                card=specs.add(panels.heads(name, profile, fraction)),
                width=max(24, min(70, round(1.7 * profile.shape[1] + 4))),
                scale=(f"{min(0.0, profile.mean.min()):.2g}", f"{profile.mean.max():.2g}", meaning(profile)),
                leading=head_table.table(profile, fraction, None if profile is spread else spread),
            )
        yield found


def depth(summaries: Sequence[HeadsSummary], profiles: Profiles, specs: Specs) -> Card | None:
    """Where the heads of all models sit; None where there is but one."""
    known = {
        summary["model"]: profiles[summary["run"], summary["model"]]
        for summary in summaries
        if summary.get("score", "ram") == "ram" and (summary["run"], summary["model"]) in profiles
    }
    about = f"{len(known)} models: how much of all RAM lies in the layers up to a relative depth"
    return specs.add(Panel("", "Where the heads sit", about, head_table.depths(known))) if len(known) > 1 else None
