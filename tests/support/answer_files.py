"""Samples of made-up runs, as a board's page shows them."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import page_boards
from PIL import Image

from coreheads.report.html import page as html
from coreheads.report.html.samples import Samples, preferred
from coreheads.store.asked import AnswerFile, ShownPicture
from coreheads.text import json_text

CONDITIONS: list[dict[str, Any]] = [
    {"label": "dense (the model as it is)", "patch": "none", "draw": None},
    {"label": "hybrid: top 10 % full", "patch": "hybrid", "draw": None},
    {"label": "ablate: top 5 % off", "patch": "ablate", "draw": None},
    {"label": "hybrid: random 10 % full", "patch": "hybrid", "draw": 1},
    {"label": "hybrid: random 10 % full", "patch": "hybrid", "draw": 2},
]


@cache
def jpeg(seed: int, width: int = 64, height: int = 48) -> bytes:
    """A picture that cannot be packed."""
    noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, "jpeg", quality=80)
    return stream.getvalue()


def group(
    task: str = "easy", count: int = 9, word: str = "yes", model: str = "a model", run: str = "run"
) -> AnswerFile:
    """Samples of which hybrid attention answers every third otherwise and wrong (unscored: the last), no ablated model
    any right, and the two draws each other one, as the dense model does."""
    samples: list[Any] = []
    for index in range(count):
        broken = index % 3 == 1
        answers: list[Any] = [
            [0, 1.0, False],
            [1, 0.25, True] if broken else [0, 1.0, False],
            [2, 0.0, True],
            None,
            None,
        ]
        answers[3 + index % 2] = [0, 1.0, False]
        if index == count - 1:
            answers[1] = [3, None, True]
        picture = {"src": str(index), "label": f"page {index + 1}", "width": 64, "height": 48}
        samples.append(
            {
                "id": f"{task}/{index}",
                "question": f"question {index} {word}",
                "prompt": f"Look. question {index} {word}",
                "target": f"target {index} {word}",
                "gold": ["x 0.25 to 0.50, y 0.50 to 1.00"],
                "pictures": [picture | {"boxes": [[0.25, 0.5, 0.5, 1.0]]}] if index != 2 else [],
                "missing": None if index != 2 else f"not ours {word}",
                "texts": [f"right {index} {word}", f"another {word}", " ", f"unscored because {word}"],
                "answers": answers,
            }
        )
    made: Any = {"schema_version": 1, "run": run, "model": model, "task": task, "metric": "accuracy", "total": count}
    made |= {"notes": [], "conditions": CONDITIONS, "samples": samples}
    made["samples"] = preferred(made)
    return made  # type: ignore[no-any-return]


def of(groups: list[AnswerFile]) -> Samples:
    return Samples(groups, [f"{place}.json" for place in range(len(groups))], picture)


def picture(_: AnswerFile, shown: ShownPicture) -> bytes:
    return jpeg(int(shown["src"]))


def write(folder: Path, groups: list[AnswerFile], inside: list[AnswerFile] | None = None) -> Path:
    """A page with samples ``inside`` it (by default all), and the files beside it."""
    found = [row for one in groups for row in page_boards.rows(model=one["model"], task=one["task"])]
    path = folder / "leaderboard.html"
    path.write_text(html.page(page_boards.board(found), {}, (), of(inside or groups)))
    (folder / "answers").mkdir()
    for place, one in enumerate(groups):
        shown = [
            {**sample, "pictures": [{**p, "src": f"answers/{p['src']}.jpg"} for p in sample["pictures"]]}
            for sample in one["samples"]
        ]
        (folder / "answers" / f"{place}.json").write_text(json_text({**one, "samples": shown}))
    for seed in range(60):
        (folder / "answers" / f"{seed}.jpg").write_bytes(jpeg(seed))
    return path
