"""leaderboard.{json,csv,md,html} and figures, from the stored cells of one run or several."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from urllib.parse import quote

import numpy as np

from coreheads.environment import versions
from coreheads.errors import UserError
from coreheads.files import write_json, write_text
from coreheads.heads.profile import HeadProfile
from coreheads.heads.types import Heads, profile_name
from coreheads.leaderboard import answers
from coreheads.leaderboard.comparisons import compare
from coreheads.leaderboard.gaps import find_failed, find_gaps
from coreheads.leaderboard.merge import Source, newest, read
from coreheads.leaderboard.overall import best, overall
from coreheads.opening import inside
from coreheads.private import private_command_line
from coreheads.report import example_files
from coreheads.report.claims import claims
from coreheads.report.columns import condition_label
from coreheads.report.flat import flat
from coreheads.store import asked, submission
from coreheads.store.board import SCHEMA_VERSION, Board, HeadsSummary, LeftOut, Row, RunSummary, TopHeads
from coreheads.store.folder import RunFolder
from coreheads.text import TURNING


def build(runs: Sequence[RunFolder]) -> Board:
    """The content of leaderboard.json.

    Raises UserError where no cell is finished or failed, or one folder is given twice.
    """
    return _content(*read(runs))


def write(runs: Sequence[RunFolder], out: Path, site: Path | None = None) -> Board:
    """Write all forms of the board into ``out`` and return the content of leaderboard.json.

    site: where the page is moved to afterwards, if elsewhere; it links to the files of runs that lie there.

    UserError where a link is in the place of a folder of it, as it may be where ``out`` is somebody else's run.
    """
    from coreheads.report import figures
    from coreheads.report.html import page as html
    from coreheads.report.html.samples import Samples
    from coreheads.report.markdown import to_markdown

    pictures = inside(out, "figures")
    inside(out, asked.ANSWERS, asked.PICTURES)
    sources, remarks = read(runs)
    board = _content(sources, remarks)
    examples = [
        (replace(example, model=source.models.get(example.model, example.model)), path)
        for source in sources
        for example, path in example_files.stored(source.run.path)
    ]
    write_json(out / "leaderboard.json", board)
    # what is drawn and printed is what was stored: tuples are lists, as for a board that was loaded
    text = json.dumps(board, ensure_ascii=False).translate(TURNING)
    # half characters, which no file but one of JSON can hold, are shown as escapes
    stored: Board = json.loads(re.sub("[\ud800-\udfff]", lambda half: rf"\\u{ord(half.group()):x}", text))
    write_text(out / "leaderboard.csv", "\n".join(flat(stored["rows"])) + "\n")
    write_text(out / "leaderboard.md", to_markdown({**stored}))
    profiles = {
        (source.label, profile_name(*named)): known for source in sources for named, known in source.profiles.items()
    }
    figures.draw({**stored}, profiles, pictures)
    runs_of = {source.label: source.run.path for source in sources}
    groups = answers.write(answers.of_sources(sources, board["rows"]), out, site)
    samples = Samples(
        groups,
        [answers.name_of(group) for group in groups],
        lambda group, shown: asked.picture(runs_of[group["run"]], Path(shown["src"]).name),
    )
    places = _places(sources, [out] if site is None else [out, site])
    write_text(out / "leaderboard.html", html.page({**stored}, profiles, examples, samples, places=places))
    return stored


def _content(sources: Sequence[Source], remarks: list[str]) -> Board:
    rows, older, other = newest(sources)
    failed = [failure for source in sources for failure in find_failed(source.run, source.label)]
    if not rows and not failed:
        folders = ", ".join(str(source.run.path) for source in sources)
        raise UserError(f"{folders}: no finished cell, nothing to rank")
    _tell_apart(rows)
    ranking = [
        line for source in sources for line in overall(source.run, [r for r in rows if r["run"] == source.label])
    ]
    gaps: list[LeftOut] = [
        {"run": source.label, "what": what, "reason": reason}
        for source in sources
        for what, reason in find_gaps(source.run, source.rows)
    ]
    heads = [summary for source in sources for summary in _heads(source)]
    return {
        "schema_version": SCHEMA_VERSION,
        "rows": rows,
        "failed": failed,
        "left_out": gaps + older,
        "comparisons": [
            entry
            for source in sources
            for entry in compare(source.run, [row for row in rows if row["run"] == source.label])
        ],
        "remarks": remarks + other,
        "runs": [_about(source) for source in sources],
        "heads": heads,
        "overall": ranking,
        "best": list(best(rows, ranking)),
        "claims": claims(rows, heads),
    }


def _tell_apart(rows: Sequence[Row]) -> None:
    """Mark rows that are called alike though their patches have other settings: these are then named, too."""
    alike: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    for row in rows:
        alike[row["model"], row["task"], condition_label(row)].append(row)
    for group in alike.values():
        if any(row["params"] != group[0]["params"] for row in group):
            for row in group:
                row["told_apart"] = True


def _places(sources: Sequence[Source], roots: Sequence[Path]) -> dict[str, str]:
    """The address of every run's folder as seen from the page, of those that lie in the first root or the next."""
    places: dict[str, str] = {}
    for source in sources:
        path = source.run.path.resolve()
        for root in (root.resolve() for root in roots):
            if path.is_relative_to(root):
                places.setdefault(source.label, f"{quote(path.relative_to(root).as_posix())}/")
    return places


def _about(source: Source) -> RunSummary:
    invocations, submitted = source.run.manifest["invocations"], submission.read(source.run)
    about: RunSummary = {
        **invocations[-1],
        "command": private_command_line(invocations[-1]["command"]),  # an older version stored it as it was typed
        "name": source.label,
        "started": invocations[0]["started"],
        "processes": len(invocations),
        "submitted": None,
        "board_made_with": versions()["coreheads"],
    }
    if submitted is not None:
        contact, note = submitted.get("contact"), submitted.get("note")
        about["submitted"] = {"who": submitted["who"], "contact": contact, "note": note}
    return about


def _heads(source: Source) -> list[HeadsSummary]:
    cells = [record["cell"] for record in source.run.cells().values()]
    shown: dict[str, set[float]] = defaultdict(set)
    for cell in cells:
        if cell["selection"] == "top" and cell["fraction"] is not None:
            shown[cell.get("head_score") or "ram"].add(cell["fraction"])
    summaries: list[HeadsSummary] = [
        {
            "run": source.label,
            "model": model,
            "id": profile.model["id"],
            "score": score,
            "count": profile.count,
            "samples": profile.samples,
            "tasks": list(profile.tasks),
            "split_half": profile.split_half,
            "clear": profile.clear_top(),
            "top": [
                _top(profile, fraction, source.profiles.get((model, "concentration")) if score == "ram" else None)
                for fraction in sorted(shown[score]) or [0.05]
            ],
        }
        for (model, score), profile in source.profiles.items()
    ]
    for summary, profile in zip(summaries, source.profiles.values(), strict=True):
        if profile.ci_low is None:  # cuts are not judged
            del summary["clear"]
    return summaries


def _depth(profile: HeadProfile, chosen: Heads) -> float | None:
    weights = {head: max(0.0, float(profile.mean[head])) for head in sorted(chosen)}
    total, last = sum(weights.values()), profile.shape[0] - 1
    return sum(layer * weight for (layer, _), weight in weights.items()) / (total * last) if total and last else None


def _top(profile: HeadProfile, fraction: float, spread: HeadProfile | None) -> TopHeads:
    chosen = profile.top(fraction)
    scores, others = _apart(profile, chosen)
    top: TopHeads = {
        "fraction": fraction,
        "count": len(chosen),
        "share": profile.share(chosen),
        "layers": sorted({layer for layer, _ in chosen}),
        "heads": [list(head) for head in sorted(chosen)],
        "shared": profile.shared(len(chosen)),
        "depth": _depth(profile, chosen),
        "scores": scores,
        "others": others,
    }
    if spread is not None and spread.shape == profile.shape:
        top["concentration"], top["others_concentration"] = _apart(spread, chosen)
    return top


def _apart(profile: HeadProfile, chosen: Heads) -> tuple[list[float], float | None]:
    """The scores of the chosen heads, ascending by head, and the median of all others'."""
    others = [float(value) for head, value in np.ndenumerate(profile.mean) if head not in chosen]
    return [float(profile.mean[head]) for head in sorted(chosen)], median(others) if others else None
