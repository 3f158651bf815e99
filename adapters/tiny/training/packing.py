"""Training batches: many questions about one scene in one row.

A row holds the chat prompt up to the last picture once (the prefix), then one segment a question: its words, the
end of the user's turn, the answer. A segment sees the prefix and itself and stands at the positions it would have
alone, so a packed question is the same computation as a single prompt, at a fraction of its cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from coreheads.adapters.tiny.processor import MERGE, PATCH, TEMPORAL, build_tokenizer
from coreheads.adapters.tiny.training.questions import needs_digit, question
from coreheads.tasks.mini.vocabulary import END, IMAGE, SECONDS, SPECIAL, STAMPS, VIDEO, VISION_END, VISION_START, WORDS
from coreheads.tasks.mini.world import Scene, Thing, askable, make_scene, render

IGNORED = -100
LAST_STAMP = len(STAMPS) - 1
SHUFFLED = 0.7
"""Share of batches whose pages and seconds are numbered in any order, so that numbers are read and not counted."""


@dataclass(frozen=True)
class Layout:
    """What the rows of one kind of batch look like.

    kind: image, document or video; pictures, rows, columns: of each scene; things: objects to ask about;
    tasks: drawn from with equal odds; questions: a scene; scenes: rows of the batch.
    """

    kind: str
    pictures: int
    rows: int
    columns: int
    things: int
    tasks: tuple[str, ...]
    questions: int
    scenes: int
    big: float = 0.1
    fill: float = 0.3

    @property
    def vision_tokens(self) -> int:
        return self.pictures * self.rows * self.columns


@dataclass(frozen=True)
class Asked:
    """One question of a row: its task and thing, the rows of the answer's logits, what they should say."""

    task: str
    thing: Thing
    logits_at: tuple[int, ...]
    answer: tuple[int, ...]


@dataclass(frozen=True)
class Batch:
    """B rows of L = P + T tokens: P of prefix, T of packed questions (right-padded)."""

    input_ids: Tensor
    """int64 [B, L]."""
    position_ids: Tensor
    """int64 [3, B, L]: time, height, width."""
    seen: Tensor
    """bool [B, 1, T, L]: what each token of the segments may attend to."""
    labels: Tensor
    """int64 [B, L]; IGNORED except where the next token is part of an answer."""
    is_vision: Tensor
    """bool [B, L]."""
    is_text: Tensor
    """bool [B, L]: neither vision nor padding."""
    pixels: Tensor
    """float32 [patches, 3 * TEMPORAL * PATCH * PATCH]."""
    grid: Tensor
    """int64 [pictures, 3]; a video of t seconds is t pictures here, as its positions are."""
    scenes: tuple[Scene, ...]
    asked: tuple[tuple[Asked, ...], ...]


@lru_cache(maxsize=1)
def word_ids() -> dict[str, int]:
    """Every word of the vocabulary, and every special token, with its id."""
    tokenizer = build_tokenizer()
    ids = {}
    for word in (*SPECIAL, *WORDS):
        (ids[word],) = tokenizer(word, add_special_tokens=False)["input_ids"]
    return ids


@lru_cache(maxsize=1)
def turn_change() -> tuple[int, ...]:
    """The tokens between a question and its answer."""
    text = f"{END}\n<|im_start|>assistant\n"
    return tuple(build_tokenizer()(text, add_special_tokens=False)["input_ids"])


@lru_cache(maxsize=64)
def prefix(kind: str, pictures: int, rows: int, columns: int) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """(ids [P], positions [3, P], the position of the next token) of everything before the question.

    As Qwen3-VL's processor and rotary index have it: an image is start, pads, end; a video is start, then for each
    temporal patch its time stamp and start, pads, end, then end; a picture takes as many positions as its longer side.
    """
    tokens = rows * columns
    if kind == "video":
        body = "".join(f"{SECONDS[second]}{VISION_START}{VIDEO * tokens}{VISION_END}" for second in range(pictures))
        body = f"{VISION_START}{body}{VISION_END}"
    else:
        body = f"{VISION_START}{IMAGE * tokens}{VISION_END}" * pictures
    ids = np.array(build_tokenizer()(f"<|im_start|>user\n{body}", add_special_tokens=False)["input_ids"], np.int64)
    pad = word_ids()[VIDEO if kind == "video" else IMAGE]
    positions = np.zeros((3, len(ids)), np.int64)
    down, right = np.divmod(np.arange(tokens), columns)
    now = index = 0
    while index < len(ids):
        if ids[index] == pad:
            span = slice(index, index + tokens)
            positions[0, span] = now
            positions[1, span] = now + down
            positions[2, span] = now + right
            now += max(rows, columns)
            index += tokens
        else:
            positions[:, index] = now
            now += 1
            index += 1
    return ids, positions, now


def patchify(pictures: NDArray[np.uint8]) -> Tensor:
    """uint8 [N, H, W, 3] -> rows of the processor's ``pixel_values``, for pictures that need no resizing."""
    count, height, width, _ = pictures.shape
    cells = torch.from_numpy(pictures).reshape(
        count, height // (MERGE * PATCH), MERGE, PATCH, width // (MERGE * PATCH), MERGE, PATCH, 3
    )
    rows = cells.permute(0, 1, 4, 2, 5, 7, 3, 6).to(torch.float32) / 127.5 - 1.0
    rows = rows.reshape(-1, 3, 1, PATCH, PATCH).expand(-1, 3, TEMPORAL, PATCH, PATCH)
    return rows.reshape(-1, 3 * TEMPORAL * PATCH * PATCH)


def make_batch(rng: np.random.Generator, layout: Layout, bare: float = 0.0) -> Batch:
    """Draw scenes and questions.

    bare: the odds that this batch's answers follow the object's name at once, without the rest of the prompt.
    """
    ids, positions, after = prefix(layout.kind, layout.pictures, layout.rows, layout.columns)
    is_bare = rng.random() < bare
    is_shuffled = rng.random() < SHUFFLED
    stamped = layout.kind != "image"
    scenes, rows, images = [], [], []
    for _ in range(layout.scenes):
        scene = make_scene(
            rng, layout.pictures, layout.rows, layout.columns, layout.things,
            stamped=stamped, shuffled=is_shuffled, big=layout.big, fill=layout.fill,
        )  # fmt: skip
        scenes.append(scene)
        images.append(render(scene.kinds, rng))
        rows.append(_segments(rng, scene, layout, is_bare, len(ids)))
    return _assemble(ids, positions, after, scenes, rows, np.concatenate(images))


def _segments(
    rng: np.random.Generator, scene: Scene, layout: Layout, bare: bool, start: int
) -> list[tuple[list[int], Asked]]:
    """(input ids, question) of each segment."""
    ids = word_ids()
    segments = []
    for _ in range(layout.questions):
        task = layout.tasks[int(rng.integers(len(layout.tasks)))]
        candidates = askable(scene, digit=needs_digit(task))
        if task == "moment":
            candidates = [thing for thing in candidates if scene.stamps[thing.picture] < LAST_STAMP]
        if not candidates:
            continue
        thing = candidates[int(rng.integers(len(candidates)))]
        words, answer = question(task, scene, thing, rng)
        if bare and task != "choice":
            words = words[:-1]
        ask = [ids[word] for word in words]
        ask += [] if bare else turn_change()
        say = [ids[word] for word in answer] + [ids[END]]
        first = start + len(ask) - 1
        asked = Asked(task, thing, tuple(range(first, first + len(say))), tuple(say))
        segments.append((ask + say[:-1], asked))
        start += len(ask) + len(say) - 1
    return segments


def _assemble(
    ids: NDArray[np.int64],
    positions: NDArray[np.int64],
    after: int,
    scenes: Sequence[Scene],
    rows: Sequence[Sequence[tuple[list[int], Asked]]],
    pictures: NDArray[np.uint8],
) -> Batch:
    count, before = len(rows), len(ids)
    tail = max(sum(len(segment) for segment, _ in row) for row in rows)
    length = before + tail
    input_ids = np.full((count, length), word_ids()["<|endoftext|>"], np.int64)
    position_ids = np.zeros((3, count, length), np.int64)
    labels = np.full((count, length), IGNORED, np.int64)
    segment_of = np.full((count, length), -1, np.int64)
    input_ids[:, :before] = ids
    position_ids[:, :, :before] = positions[:, None]
    segment_of[:, :before] = 0
    for row, segments in enumerate(rows):
        at = before
        for number, (tokens, asked) in enumerate(segments, 1):
            end = at + len(tokens)
            input_ids[row, at:end] = tokens
            position_ids[:, row, at:end] = after + np.arange(len(tokens))
            segment_of[row, at:end] = number
            labels[row, list(asked.logits_at)] = asked.answer
            at = end
    segment = torch.from_numpy(segment_of)
    own = segment[:, before:, None] == segment[:, None, :]
    causal = torch.arange(before, length)[:, None] >= torch.arange(length)[None, :]
    seen = (own | (segment[:, None, :] == 0)) & causal
    packed = torch.from_numpy(input_ids)
    vision = (packed == word_ids()[IMAGE]) | (packed == word_ids()[VIDEO])
    shape = scenes[0].kinds.shape
    grid = torch.tensor([[1, shape[1] * MERGE, shape[2] * MERGE]]).expand(len(pictures), 3)
    return Batch(
        input_ids=packed,
        position_ids=torch.from_numpy(position_ids),
        seen=seen[:, None],
        labels=torch.from_numpy(labels),
        is_vision=vision,
        is_text=(segment >= 0) & ~vision,
        pixels=patchify(pictures),
        grid=grid,
        scenes=tuple(scenes),
        asked=tuple(tuple(asked for _, asked in row) for row in rows),
    )
