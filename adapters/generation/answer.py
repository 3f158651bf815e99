"""An answer as it grows, and when it ends."""

from __future__ import annotations

from collections.abc import Sequence

from coreheads.adapters.generation.protocol import GenerationAdapter


class Answer:
    """The new tokens ``ids`` of one row, the end token included, and whether they are ``done``."""

    def __init__(self, adapter: GenerationAdapter, stop: Sequence[str]) -> None:
        self.tokenizer = adapter.processor.tokenizer
        self.end_ids = end_token_ids(adapter)
        self.stop = stop
        # every token holds at least one byte, so a stop string that ends in the newest token lies within so many
        self.window = max((len(text.encode()) for text in stop), default=0)
        self.ids: list[int] = []
        self.done = False

    def append(self, token: int) -> None:
        """Take the next token, unless the answer has ended."""
        if self.done:
            return
        self.ids.append(token)
        self.done = token in self.end_ids
        if self.stop and not self.done:
            tail = self._decoded(self.ids[-self.window :])
            self.done = any(text in tail for text in self.stop)

    def text(self) -> str:
        """Decoded without special tokens, cut before the first stop string, stripped."""
        text = self._decoded(self.ids)
        cuts = [start for stop in self.stop if (start := text.find(stop)) >= 0]
        return text[: min(cuts)].strip() if cuts else text.strip()

    def _decoded(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True))


def end_token_ids(adapter: GenerationAdapter) -> frozenset[int]:
    """Tokens that end an answer: those of the generation configuration, or the tokenizer's end of text."""
    configured = getattr(getattr(adapter.model, "generation_config", None), "eos_token_id", None)
    if configured is None:
        configured = adapter.processor.tokenizer.eos_token_id
    return frozenset([configured] if isinstance(configured, int) else configured or [])
