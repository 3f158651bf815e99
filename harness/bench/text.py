"""A benchmark in words and as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coreheads.bench.rows import PHASES, Details, Row, Tried, crossover, series, title
from coreheads.files import write_bytes
from coreheads.text import visible

if TYPE_CHECKING:
    import altair as alt

COLOURS = ("#c23b0e", "#2b6cb0", "#0f766e", "#8b5cf6", "#b45309", "#6b7280")
DRAWN = {"prefill": "prefill", "decode": "decoding, a token", "end_to_end": "end to end"}


def report(rows: Sequence[Row], details: Details) -> str:
    """Tables by selection and phase, the crossover, the KV heads that stay full, and what was not measured."""
    if not rows:
        return "Nothing was measured: no context fits."
    first = rows[0]
    lines = [visible(f"{first['model']} ({first['weights']} weights), {first['device']}, {first['dtype']}")]
    if first["weights"] == "random":
        lines.append("Weights were random: speed and memory mean something, answers do not.")
    for name, prefill in series(rows, "prefill").items():
        lines += ["", name, _table([row for row in rows if title(row) == name])]
        lines.append(f"prefill: {crossover([(row['context'], row['speedup']) for row in prefill])[1]}")
    lines.append("")
    for name, (full, every) in details["kv_heads_full"].items():
        heads = details["heads"][name]
        lines.append(f"{name}: {heads} heads attend fully; {full} of {every} KV heads keep all tokens")
    measured = {row["phase"] for row in rows}
    if missing := [phase for phase in PHASES if phase not in measured]:
        lines.append(f"Not measured: {', '.join(missing)}; end to end is without it.")
    lines += _kernels(details)
    lines.append(f"End to end: up to {details['decode_tokens']} decoded tokens. Ratios are to the dense kernel named.")
    if all(row["peak_memory_ratio"] is None for row in rows):
        lines.append("Peak memory was not measured: it is told on a GPU only (--dry-run counts it from shapes).")
    return "\n".join(lines)


def _kernels(details: Details) -> list[str]:
    """What was tried to compute hybrid attention with, where there was a choice, by shape."""
    tried: dict[str, Tried] = {}
    for context in details["contexts"]:
        if "out_of_memory" not in context:
            tried |= context["hybrid_kernels"]
    lines = []
    for shape, result in tried.items():
        times = ", ".join(f"{name} {_number(1000 * seconds)}" for name, seconds in result["seconds"].items())
        failed = "".join(f"; {name}: {visible(why)}" for name, why in result["failed"].items())
        lines.append(f"Kernel {visible(shape)}: {result['chosen']}, of {times} ms a call{failed}")
    return lines


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
        columns["peak memory"] = lambda row: _ratio(row["peak_memory_ratio"])
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

    None where a package that draws is not installed: the benchmark needs torch and transformers only.
    """
    try:
        import altair as alt
        import vl_convert
    except ImportError:
        return None
    first = rows[0]
    weights = ", random weights" if first["weights"] == "random" else ""
    title = alt.Title(visible(f"{first['model']}{weights}; {first['device']}, {first['dtype']}"), anchor="middle")
    panels = alt.hconcat(*(panel(rows, phase) for phase in DRAWN if series(rows, phase)), title=title)
    styled = panels.configure_view(stroke=None).configure_legend(orient="bottom", columns=1, labelLimit=600)
    return write_bytes(path, vl_convert.vegalite_to_png(styled.to_json(), scale=2))


def panel(rows: Sequence[Row], phase: str) -> alt.LayerChart | alt.FacetChart:
    """The chart of one phase."""
    import altair as alt

    lines = series(rows, phase)
    values = [
        {"name": name, "tokens": row["context"], "kind": kind, "y": y, "low": ci[0], "high": ci[1]}
        for name, line in lines.items()
        for row in line
        for kind, y, ci in (("hybrid", row["speedup"], row["speedup_ci"]), ("ceiling", row["ceiling"], [None] * 2))
    ]
    crossings = [
        {"name": name, "tokens": length, "text": f"{length:,.0f}"}
        for name, line in lines.items()
        if (length := crossover([(row["context"], row["speedup"]) for row in line])[0]) is not None
    ]
    axis = alt.Axis(
        values=sorted({row["context"] for row in rows}),
        labelExpr="datum.value % 1024 ? format(datum.value, ',') : datum.value / 1024 + 'k'",
        labelFlush=False,
    )
    scale = alt.Scale(type="log", base=2, nice=False)
    x = alt.X("tokens:Q", title="tokens of the prompt", scale=scale, axis=axis)
    y = alt.Y("y:Q", title="speedup over the fastest dense kernel")
    colour = alt.Color("name:N", title=None, scale=alt.Scale(domain=list(lines), range=COLOURS))
    dashes = alt.Scale(domain=["hybrid", "ceiling", "dense"], range=[[1, 0], [2, 3], [6, 4]])
    dash = alt.StrokeDash("kind:N", title=None, scale=dashes)
    points = alt.Chart(alt.InlineData(values)).encode(x=x, y=y, color=colour)
    hybrid = points.transform_filter("datum.kind == 'hybrid'")
    dense = alt.Chart(alt.InlineData([{"y": 1, "kind": "dense"}]))
    crossed = alt.Chart(alt.InlineData(crossings)).encode(x=x, color=colour)
    return alt.layer(
        points.mark_line().encode(strokeDash=dash),
        hybrid.mark_point(filled=True, size=40, opacity=1),
        hybrid.mark_rule().encode(y=alt.Y("low:Q"), y2="high:Q"),
        dense.mark_rule(color="#111111").encode(y=y, strokeDash=dash),
        crossed.mark_rule(opacity=0.6),
        crossed.mark_text(angle=270, align="left", baseline="bottom", dx=4, dy=-2).encode(
            y=alt.value(230), text="text:N"
        ),
        title=DRAWN[phase],
        width=340,
        height=230,
    )
