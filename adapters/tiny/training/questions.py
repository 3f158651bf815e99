"""The questions the embedded model is trained on and asked, and their answers, as words of its vocabulary."""

from __future__ import annotations

import numpy as np

from coreheads.tasks.mini.vocabulary import BINS, DIGITS, NAMES, OPTIONS, STAMPS, X_WORDS, Y_WORDS
from coreheads.tasks.mini.world import Scene, Thing

TASKS = ("box", "page", "moment", "digit", "choice")


def box_words(scene: Scene, thing: Thing) -> list[str]:
    """x0, y0, x1, y1 rounded to BINS steps of the picture's width and height."""
    x0, y0, x1, y1 = (round(edge * BINS) for edge in scene.box(thing))
    return [X_WORDS[x0], Y_WORDS[y0], X_WORDS[x1], Y_WORDS[y1]]


def question(task: str, scene: Scene, thing: Thing, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """(words of the question, words of the answer); ``rng`` draws the wrong options of a choice.

    box: where in the image; page: the number of its page; moment: in which second of the video and where in it;
    digit: the digit printed beside the thing; choice: the same with four options, answered by the option's text.
    """
    name = NAMES[thing.name]
    if task == "box":
        return ["where", "is", "the", name, "?"], box_words(scene, thing)
    if task == "page":
        return ["which", "page", "has", "the", name, "?"], [STAMPS[scene.stamps[thing.picture]]]
    if task == "moment":
        second = scene.stamps[thing.picture]
        span = [STAMPS[second], STAMPS[second + 1]]
        return ["when", "and", "where", "is", "the", name, "?"], span + box_words(scene, thing)
    if thing.digit is None:
        raise ValueError(f"{name} has no digit beside it")
    ask = ["what", "digit", "is", "by", "the", name, "?"]
    answer = [DIGITS[thing.digit]]
    if task == "choice":
        wrong = [digit for digit in DIGITS if digit != answer[0]]
        shown = rng.permutation([*answer, *rng.choice(wrong, len(OPTIONS) - 1, replace=False)])
        ask += [word for pair in zip(OPTIONS, map(str, shown), strict=True) for word in pair]
    elif task != "digit":
        raise ValueError(f"unknown task {task!r}, expected one of {', '.join(TASKS)}")
    return ask, answer


def needs_digit(task: str) -> bool:
    return task in ("digit", "choice")
