"""A benchmark in words and as a picture."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from coreheads.bench.rows import PHASES, Row, crossover, series
from coreheads.files import write_bytes

COLOURS = ("#c23b0e", "#2b6cb0", "#0f766e", "#8b5cf6", "#b45309", "#6b7280")
DRAWN = {"prefill": "prefill", "decode": "decoding, a token", "end_to_end": "end to end"}


def report(rows: Sequence[Row], details: Mapping[str, Any]) -> str:
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


def draw(rows: Sequence[Row], path: Path) -> Path:
    """Speedup over context length, a panel a phase, with intervals, ceilings (dotted) and the crossover."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [phase for phase in DRAWN if series(rows, phase)]
    figure = Figure(figsize=(4.4 * len(shown), 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for axes, phase in zip(panels, shown, strict=True):
        for colour, (name, line) in zip(COLOURS * len(rows), series(rows, phase).items(), strict=False):
            _line(axes, line, colour, name)
        axes.axhline(1.0, color="#111111", linewidth=1, linestyle="--", label="dense")
        axes.set_xscale("log", base=2)
        lengths = sorted({row["context"] for row in rows})
        axes.set_xticks(lengths, [_short(length) for length in lengths])
        axes.minorticks_off()
        axes.set_ylim(bottom=0)
        axes.set_title(DRAWN[phase], fontsize=10)
        axes.set_xlabel("tokens of the prompt")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("speedup over the fastest dense kernel")
    first = rows[0]
    weights = ", random weights" if first["weights"] == "random" else ""
    figure.suptitle(f"{first['model']}{weights}; {first['device']}, {first['dtype']}", fontsize=10)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", fontsize=8, ncols=1)
    stream = BytesIO()
    figure.savefig(stream, format="png", dpi=110)
    return write_bytes(path, stream.getvalue())


def _line(axes: Any, line: Sequence[Row], colour: str, name: str) -> None:
    tokens = [row["context"] for row in line]
    speedups = [row["speedup"] for row in line]
    below = [max(0.0, row["speedup"] - row["speedup_ci"][0]) for row in line]
    above = [max(0.0, row["speedup_ci"][1] - row["speedup"]) for row in line]
    axes.errorbar(tokens, speedups, yerr=[below, above], color=colour, marker="o", markersize=4, capsize=2, label=name)
    axes.plot(tokens, [row["ceiling"] for row in line], color=colour, linestyle=":", label="its ceiling")
    length, _ = crossover(list(zip(tokens, speedups, strict=True)))
    if length is not None:
        axes.axvline(length, color=colour, linewidth=0.8, alpha=0.6)
        axes.annotate(f"{length:,.0f}", (length, 0.05), color=colour, fontsize=8, rotation=90, ha="right")


def _short(tokens: int) -> str:
    return f"{tokens // 1024}k" if tokens % 1024 == 0 else f"{tokens:,}"
