"""A benchmark in words and as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from coreheads.bench.rows import PHASES, Row, crossover, series
from coreheads.bench.series import Details
from coreheads.files import write_bytes

COLOURS = ("#c23b0e", "#2b6cb0", "#0f766e", "#8b5cf6", "#b45309", "#6b7280")
DRAWN = {"prefill": "prefill", "decode": "decoding, a token", "end_to_end": "end to end"}


def report(rows: Sequence[Row], details: Details) -> str:
    """Tables by selection and phase, the crossover, the KV heads that stay full, and what was not measured."""
    if not rows:
        return "Nothing was measured: no context fits."
    first = rows[0]
    lines = [f"{first['model']} ({first['weights']} weights), {first['device']}, {first['dtype']}"]
    if first["weights"] == "random":
        lines.append("Weights were random: speed and memory mean something, answers do not.")
    for name in series(rows, "prefill"):
        lines += ["", name, _table([row for phase in PHASES for row in series(rows, phase).get(name, [])])]
        points = [(row["context"], row["speedup"]) for row in series(rows, "prefill")[name]]
        lines.append(f"prefill: {crossover(points)[1]}")
    lines.append("")
    for name, (full, every) in details["kv_heads_full"].items():
        heads = details["heads"][name]
        lines.append(f"{name}: {heads} heads attend fully; {full} of {every} KV heads keep all tokens")
    measured = {row["phase"] for row in rows}
    if missing := [phase for phase in PHASES if phase not in measured]:
        lines.append(f"Not measured: {', '.join(missing)}; end to end is without it.")
    lines.append(f"End to end: up to {details['decode_tokens']} decoded tokens. Ratios are to the dense kernel named.")
    if all(row["peak_memory_ratio"] is None for row in rows):
        lines.append("Peak memory was not measured: it is told on a GPU only (--dry-run counts it from shapes).")
    return "\n".join(lines)


def _table(rows: Sequence[Row]) -> str:
    from tabulate import tabulate

    columns: dict[str, Callable[[Row], str]] = {
        "tokens": lambda row: f"{row['context']:,}",
        "phase": lambda row: row["phase"].replace("_", " "),
        "dense kernel": lambda row: row["dense_kernel"] or "",
        "dense ms": lambda row: _number(row["dense_ms"]),
        "hybrid ms": lambda row: _number(row["hybrid_ms"]),
        "speedup [95 %]": lambda row: f"{row['speedup']:.2f} [{row['speedup_ci'][0]:.2f}, {row['speedup_ci'][1]:.2f}]",
        "ceiling": lambda row: _ratio(row["ceiling"]),
        "share": lambda row: "" if row["ceiling_share"] is None else f"{100 * row['ceiling_share']:.0f} %",
        "KV bytes": lambda row: _ratio(row["kv_bytes_ratio"]),
        "repeats": lambda row: str(row["repeats"]),
    }
    if any(row["peak_memory_ratio"] is not None for row in rows):
        columns["peak memory"] = lambda row: (
            "" if row["peak_memory_ratio"] is None else f"{row['peak_memory_ratio']:.2f}"
        )
    ordered = sorted(rows, key=lambda row: (row["context"], PHASES.index(row["phase"])))
    return tabulate(
        [[show(row) for show in columns.values()] for row in ordered],
        headers=list(columns),
        tablefmt="simple",
        disable_numparse=True,
        colalign=["left" if name in ("phase", "dense kernel") else "right" for name in columns],
    )


def _ratio(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _number(milliseconds: float) -> str:
    return f"{milliseconds:,.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"


def draw(rows: Sequence[Row], path: Path) -> Path | None:
    """Speedup over context length, a panel a phase, with intervals, ceilings (dotted) and the crossover.

    None where the package that draws is not installed: the benchmark needs torch and transformers only.
    """
    try:
        import vl_convert
    except ImportError:
        return None
    return write_bytes(path, vl_convert.vegalite_to_png(picture(rows), scale=2))


def picture(rows: Sequence[Row]) -> dict[str, Any]:
    """A Vega-Lite specification."""
    first = rows[0]
    weights = ", random weights" if first["weights"] == "random" else ""
    return {
        "title": {"text": f"{first['model']}{weights}; {first['device']}, {first['dtype']}", "anchor": "middle"},
        "hconcat": [_panel(rows, phase) for phase in DRAWN if series(rows, phase)],
        "config": {"view": {"stroke": None}, "legend": {"orient": "bottom", "columns": 1, "labelLimit": 600}},
        "background": "white",
    }


def _panel(rows: Sequence[Row], phase: str) -> dict[str, Any]:
    lines = series(rows, phase)
    values = [
        {"name": name, "tokens": row["context"], "row": row, "kind": kind, "y": y}
        for name, line in lines.items()
        for row in line
        for kind, y in (("hybrid", row["speedup"]), ("ceiling", row["ceiling"]))
    ]
    crossings = [
        {"tokens": length, "name": name, "text": f"{length:,.0f}"}
        for name, line in lines.items()
        if (length := crossover([(row["context"], row["speedup"]) for row in line])[0]) is not None
    ]
    x = {
        "field": "tokens",
        "type": "quantitative",
        "scale": {"type": "log", "base": 2, "nice": False},
        "title": "tokens of the prompt",
        "axis": {
            "values": sorted({row["context"] for row in rows}),
            "labelExpr": "datum.value % 1024 ? format(datum.value, ',') : datum.value / 1024 + 'k'",
            "labelFlush": False,
        },
    }
    y = {"field": "y", "type": "quantitative", "title": "speedup over the fastest dense kernel"}
    dashes = {"domain": ["hybrid", "ceiling", "dense"], "range": [[1, 0], [2, 3], [6, 4]]}
    dash = {"field": "kind", "scale": dashes, "title": None}
    hybrid = {"filter": "datum.kind == 'hybrid'"}
    interval = {"y": {**y, "field": "row.speedup_ci[0]"}, "y2": {"field": "row.speedup_ci[1]"}}
    return {
        "title": DRAWN[phase],
        "width": 340,
        "height": 230,
        "data": {"values": values},
        "encoding": {
            "x": x,
            "y": y,
            "color": {"field": "name", "scale": {"domain": list(lines), "range": COLOURS}, "title": None},
        },
        "layer": [
            {"mark": "line", "encoding": {"strokeDash": dash}},
            {"mark": {"type": "point", "filled": True, "size": 40, "opacity": 1}, "transform": [hybrid]},
            {"mark": "rule", "transform": [hybrid], "encoding": interval},
            {
                "data": {"values": [{"y": 1, "kind": "dense"}]},
                "mark": "rule",
                "encoding": {"x": None, "color": {"value": "#111111"}, "strokeDash": dash},
            },
            {"data": {"values": crossings}, "mark": {"type": "rule", "opacity": 0.6}, "encoding": {"y": None}},
            {
                "data": {"values": crossings},
                "mark": {"type": "text", "angle": 270, "align": "left", "baseline": "bottom", "dx": 4, "dy": -2},
                "encoding": {"y": {"value": 230}, "text": {"field": "text"}},
            },
        ],
    }
