"""The board's pictures: accuracy against speedup, ablation curves, and the map of the heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coreheads.files import write_bytes
from coreheads.heads.profile import HeadProfile
from coreheads.report import columns as display
from coreheads.report.figures.heads import png, write_head_map
from coreheads.report.palette import KINDS, colour, kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]
DPI = 110
ASIDE = {"top": 0.0, "bottom": -0.15, "random": 0.0, "layer_matched": 0.15}
"""How far a curve's points are moved, in % of heads."""
INK = "#111111"


def draw(board: dict[str, Any], profiles: Mapping[tuple[str, str], HeadProfile], folder: Path) -> dict[str, Path]:
    """Write PNG files into ``folder``; returns them by caption, in the order in which they are to be read.

    profiles: head profiles by (run, model).
    """
    drawn: dict[str, Path] = {}
    for number, summary in enumerate(board["heads"]):
        run, model = summary["run"], summary["model"]
        profile = profiles[run, model]
        entry = min(summary["top"], key=lambda entry: abs(entry["fraction"] - 0.05))
        path = folder / f"heads-{number}.png"
        write_head_map(profile, profile.top(entry["fraction"]), path)
        percent = f"{100 * entry['fraction']:g} %"
        drawn[f"{model}: how much each head looks at what is asked about; outlined: the top {percent}"] = path
    tables = display.by_task(board["rows"])
    for number, (run, model) in enumerate(dict.fromkeys((run, model) for run, model, _ in tables)):
        rows = {task: rows for (r, m, task), rows in tables.items() if (r, m) == (run, model)}
        ablated = {task: part for task, part in rows.items() if any(_is_curve(row) for row in part)}
        if ablated:
            caption = f"{model}: the score when heads are switched off, by how many and which; dashed: none off"
            drawn[caption] = _panels(ablated, _curves, "tokens_median", folder / f"ablation-{number}.png")
        timed = {task: part for task, part in rows.items() if any(row["prefill_speedup"] for row in part)}
        if timed:
            caption = (
                f"{model}: score against prefill speedup, with 95 % intervals; dotted line: the ceiling. "
                "Short prompts leave nothing to save"
            )
            drawn[caption] = _panels(timed, _tradeoff, "timed_tokens", folder / f"speed-{number}.png")
    return drawn


def _panels(
    tables: Mapping[str, Sequence[Row]], fill: Callable[[Axes, Sequence[Row]], None], tokens: str, path: Path
) -> Path:
    """One panel a task, at most three side by side, on common axes; ``tokens``: the field with the prompt's length."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(3, len(tables))
    lines = -(-len(tables) // columns)
    figure = Figure(figsize=(4.1 * columns + 0.3, 3.3 * lines + 0.4), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    panels = list(grid.flat)
    for axes, (task, rows) in zip(panels, tables.items(), strict=False):
        fill(axes, rows)
        length = next((display.whole(row[tokens]) for row in rows if row[tokens]), "unknown")
        axes.set_title(f"{task.removeprefix('coreheads_').replace('$', '')}\n{length} tokens", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        if all(low >= 0 and high <= 1 for low, high in (row["score_ci"] or (row["score"],) * 2 for row in rows)):
            axes.set_ylim(-0.03, 1.03)
        axes.grid(alpha=0.25)
    # only now: a limit that is set early keeps later panels from widening the common axis
    panels[0].set_xlim(left=min(0.5, panels[0].get_xlim()[0]) if tokens == "timed_tokens" else 0)
    for axes in panels[len(tables) :]:
        axes.set_visible(False)
    for line in grid:
        line[0].set_ylabel(f"score ({next(iter(tables.values()))[0]['metric']})" if len(tables) == 1 else "score")
    handles: dict[str, Any] = {}
    for axes in panels[: len(tables)]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=min(len(handles), 2 * columns - 1),
        fontsize=9,
        title=_devices(tables) if tokens == "timed_tokens" else None,
        title_fontsize=9,
    )
    return write_bytes(path, png(figure, DPI))


def _devices(tables: Mapping[str, Sequence[Row]]) -> str:
    """Where the speeds were measured."""
    rows = [row for part in tables.values() for row in part if row["prefill_speedup"] is not None]
    return "measured on " + " and ".join(dict.fromkeys(str(row["device"]).replace("$", "") for row in rows))


def _is_curve(row: Row) -> bool:
    return row["patch"] == "ablate" and row["fraction"] is not None


def _curves(axes: Axes, rows: Sequence[Row]) -> None:
    """Score against the fraction of heads that are off, a line a selection."""
    dense = next((row for row in rows if row["patch"] == "none"), None)
    if dense is not None:
        axes.axhline(dense["score"], color=INK, linestyle="--", linewidth=1, label="dense")
    for selection in ASIDE:
        points = sorted((row for row in rows if _is_curve(row) and row["selection"] == selection), key=_fraction)
        if points:
            # side by side, or equal scores would hide each other
            percent = [100 * row["fraction"] + ASIDE[selection] for row in points]
            paint = KINDS[selection]
            if dense is not None:
                axes.plot([0, percent[0]], [dense["score"], points[0]["score"]], color=paint, linewidth=1.4)
            label = f"{display.SELECTIONS[selection]} heads off"
            _bars(axes, percent, points, paint, label, line=True)
    axes.tick_params(labelbottom=True)
    axes.set_xlabel("% of heads switched off")


def _tradeoff(axes: Axes, rows: Sequence[Row]) -> None:
    """Score against prefill speedup; dense stands at 1."""
    for row in rows:
        if row["prefill_speedup"] is None:
            continue
        paint = colour(kind(row), INK)
        _bars(axes, [row["prefill_speedup"]], [row], paint, display.what(row), line=False)
        if row["prefill_speedup_ci"]:
            axes.plot(row["prefill_speedup_ci"], [row["score"]] * 2, color=paint, linewidth=1.2)
        if row["ceiling"]:
            axes.axvline(row["ceiling"], color=paint, linestyle=":", linewidth=1.2, label="ceiling")
    axes.axvline(1.0, color="#bbbbbb", linewidth=0.8, zorder=0)
    axes.set_xlabel("prefill speedup over the fastest dense kernel")
    axes.tick_params(labelbottom=True)


def _bars(axes: Axes, across: Sequence[float], rows: Sequence[Row], paint: str, label: str, line: bool) -> None:
    scores = [row["score"] for row in rows]
    bounds = [row["score_ci"] or (row["score"], row["score"]) for row in rows]
    below = [max(0.0, row["score"] - low) for row, (low, _) in zip(rows, bounds, strict=True)]
    above = [max(0.0, high - row["score"]) for row, (_, high) in zip(rows, bounds, strict=True)]
    axes.errorbar(
        across,
        scores,
        yerr=[below, above],
        color=paint,
        marker="o",
        markersize=5,
        linestyle="-" if line else "none",
        capsize=2,
        linewidth=1.4,
        label=label.replace("$", ""),
    )


def _fraction(row: Row) -> float:
    return float(row["fraction"])
