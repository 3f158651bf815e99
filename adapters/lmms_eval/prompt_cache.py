"""Prepared prompts kept between evaluations: they depend on the document, never on the patch."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from PIL import Image

from coreheads import limits
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.media.video import Video

MAX_BYTES = 2 << 30

Other = TypeVar("Other")


class PromptCache:
    """Prompts by key, with the pictures that they were made of. Media that prompts share count once; when full it takes
    no more (evaluations go through all prompts in one order, so that replacing old ones would keep none of use)."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self._prompts: dict[Hashable, Prompt] = {}
        self._seen: set[int] = set()
        self._last: Prompt | None = None
        self._docs: object = None

    def get(self, docs: object, key: Hashable, prepare: Callable[[Prompt | None], Prompt]) -> Prompt:
        """The prompt of ``key``, else ``prepare(like)``, where ``like`` is the prompt asked for last: neighbours
        often show the same pages or video. ``docs`` is the set that the key counts in; of another one nothing is kept,
        whatever it is called."""
        if docs is not self._docs:
            self.clear()
            self._docs = docs
        prompt = self._prompts.get(key)
        if prompt is None:
            prompt = prepare(self._last)
            self._keep(key, prompt)
        self._last = prompt
        return prompt

    def clear(self) -> None:
        """Forget everything, for example when another task begins."""
        self._prompts.clear()
        self._seen.clear()
        self._last = None
        self.bytes = 0

    def _keep(self, key: Hashable, prompt: Prompt) -> None:
        new = _held(prompt)
        added = sum(size for pointer, size in new.items() if pointer not in self._seen)
        if self.bytes + added <= self.max_bytes:
            self._prompts[key] = prompt
            self._seen.update(new)
            self.bytes += added


def held_together(prompts: Iterable[Prompt | Other]) -> list[Prompt | Other]:
    """The first of the prompts, or what stands for them, as many as may be held at a time; at least one."""
    taken: list[Prompt | Other] = []
    held: dict[int, int] = {}
    for prompt in prompts:
        taken.append(prompt)
        held |= _held(prompt) if isinstance(prompt, Prompt) else {}
        if sum(held.values()) > limits.BATCH_BYTES:
            break
    return taken


def _held(prompt: Prompt) -> dict[int, int]:
    """Bytes of a prompt's tensors and media by what tells apart those that prompts share."""
    tensors = {tensor.data_ptr(): tensor.nbytes for tensor in prompt.inputs.values()}
    return tensors | {id(item.source.value): _held_bytes(item.source.value) for item in prompt.encoded}


def _held_bytes(value: object) -> int:
    """Of a picture or a video in memory; of a file's name nothing to speak of."""
    if isinstance(value, Image.Image):
        return 4 * value.width * value.height  # as Pillow keeps RGB
    return value.frames.nbytes if isinstance(value, Video) else 0
