"""What the embedded model is shown, in which order: from three objects in a small picture to 4,000 vision tokens."""

from __future__ import annotations

from dataclasses import dataclass

from coreheads.adapters.tiny.training.packing import Layout


@dataclass(frozen=True)
class Stage:
    """A stretch of training.

    steps: how many; muon, adam: learning rates at its start, ending at ``end`` times that (linear); bare: odds of
    bare questions; drop: odds that a head is silent for a row, so that no single head is indispensable; near: odds
    that a layer other than the look-up layer sees only the first and last tokens of a batch, so that what need not
    look far does not come to rely on what lies there; align: weight of the alignment loss; mixture: (odds, layout).
    """

    name: str
    steps: int
    muon: float
    adam: float
    end: float
    bare: float
    drop: float
    near: float
    align: float
    mixture: tuple[tuple[float, Layout], ...]


def _image(rows: int, columns: int, things: int, tasks: str, questions: int, scenes: int) -> Layout:
    return Layout("image", 1, rows, columns, things, tuple(tasks.split()), questions, scenes)


def _pages(pages: int, side: int, things: int, tasks: str, questions: int, scenes: int) -> Layout:
    return Layout("document", pages, side, side, things, tuple(tasks.split()), questions, scenes)


def _video(seconds: int, side: int, things: int, tasks: str, questions: int, scenes: int) -> Layout:
    return Layout("video", seconds, side, side, things, tuple(tasks.split()), questions, scenes)


ALIGN = Stage(
    "align", 200, 0.02, 4e-3, 0.1, 0.0, 0.0, 0.0, 1.0,
    (
        (1.0, _image(8, 8, 16, "digit box", 4, 10)),
        (1.0, _image(8, 16, 24, "digit box", 4, 5)),
        (1.0, _image(16, 16, 50, "digit box", 4, 3)),
        (1.0, _pages(5, 5, 24, "digit page", 4, 5)),
        (1.0, _pages(12, 8, 56, "digit page", 4, 1)),
        (1.0, _pages(24, 4, 40, "digit page", 4, 2)),
        (1.0, _video(10, 8, 56, "digit moment", 4, 1)),
        (1.0, _video(30, 4, 40, "digit moment", 4, 2)),
    ),
)  # fmt: skip

STAGES = (
    Stage(
        "few", 110, 0.01, 3e-3, 1.0, 0.7, 0.0, 0.0, 0.3,
        (
            (1.0, _image(8, 8, 7, "digit digit box", 8, 8)),
            (1.0, _pages(3, 4, 7, "digit digit page", 8, 8)),
            (0.5, _video(3, 4, 7, "digit choice moment", 8, 8)),
        ),
    ),
    Stage(
        "some", 270, 0.01, 3e-3, 0.6, 0.1, 0.05, 0.0, 0.3,
        (
            (2.0, _image(8, 8, 14, "box box digit", 14, 6)),
            (1.0, _image(8, 16, 24, "box box digit", 16, 4)),
            (1.5, _pages(5, 5, 20, "page page digit", 14, 5)),
            (1.0, _pages(12, 5, 30, "page digit", 14, 2)),
            (1.5, _video(4, 8, 28, "moment moment choice", 14, 2)),
            (1.0, _image(16, 16, 40, "box box digit", 20, 2)),
        ),
    ),
    Stage(
        "many", 400, 0.006, 2e-3, 0.5, 0.0, 0.15, 0.0, 0.2,
        (
            (1.5, _image(16, 16, 50, "box box box digit", 24, 2)),
            (1.0, _image(8, 16, 28, "box box digit", 18, 4)),
            (1.0, _image(16, 8, 28, "box box digit", 18, 4)),
            (1.5, _pages(10, 8, 56, "page page digit", 24, 1)),
            (0.5, _pages(24, 4, 40, "page digit", 18, 2)),
            (2.0, _video(10, 8, 56, "moment moment choice", 24, 1)),
            (0.5, _video(30, 4, 40, "moment choice", 18, 2)),
        ),
    ),
    Stage(
        "long", 220, 0.003, 1e-3, 0.4, 0.0, 0.15, 0.5, 0.15,
        (
            (1.5, _image(16, 16, 50, "box box box digit", 24, 2)),
            (1.0, _image(8, 16, 28, "box box digit", 18, 4)),
            (1.5, _pages(10, 8, 56, "page page digit", 24, 1)),
            (2.0, _video(12, 8, 56, "moment moment choice", 24, 1)),
            (1.0, _video(24, 8, 56, "choice", 24, 1)),
            (1.0, _pages(5, 16, 56, "digit", 32, 1)),
        ),
    ),
    Stage(
        "longest", 90, 0.0012, 4e-4, 0.02, 0.0, 0.1, 0.5, 0.1,
        (
            (1.5, _image(16, 16, 50, "box box box digit", 24, 2)),
            (1.0, _image(8, 16, 28, "box box digit", 18, 4)),
            (1.0, _pages(10, 8, 56, "page page digit", 24, 1)),
            (1.5, _video(12, 8, 56, "moment moment choice", 24, 1)),
            (1.0, _video(28, 8, 56, "choice", 24, 1)),
            (1.5, _pages(17, 16, 56, "digit", 40, 1)),
        ),
    ),
)  # fmt: skip
