"""What every model family's adapter does alike: prepare a prompt, generate, describe the model.

A family's module subclasses ``Adapter`` and says how its processor is called, which pixels each vision token sees,
and how positions are counted. See ``qwen3_vl`` for the pattern, ``registry`` for where a family is named.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from coreheads.adapters import query as queries
from coreheads.adapters.generation import Generation, generate
from coreheads.adapters.messages import Messages, Source, parse
from coreheads.adapters.prompt import Medium, Prompt, TokenMap
from coreheads.adapters.structure import head_shape
from coreheads.adapters.video import Sampled
from coreheads.errors import UserError


@dataclass(frozen=True)
class Opened:
    """A medium with its pixels: a picture, or the sampled frames of a video."""

    source: Source
    picture: Image.Image | None = None
    video: Sampled | None = None


@dataclass(frozen=True)
class Vision:
    """What a family's processor made of the media of one prompt.

    inputs: the tensors that go to the model besides the text's. expansions: what stands in the text instead of each
    placeholder, in prompt order. media and geometry: the token map, in prompt order.
    """

    inputs: dict[str, Tensor]
    expansions: list[str]
    media: list[Medium]
    geometry: TokenMap


class Adapter(ABC):
    """A loaded model with its processor.

    model: ``*ForConditionalGeneration``; processor: the family's, whose tokenizer must give character offsets.
    settings: the family's own, see its class; an unknown one is a UserError.
    """

    settings: tuple[str, ...] = ()
    """Names of the settings that the family knows."""

    def __init__(
        self, model: nn.Module, processor: Any, id: str = "", revision: str | None = None, **settings: Any
    ) -> None:
        self.model: Any = model  # transformers' models have no types
        self.processor = processor
        self.id = id or type(model).__name__
        self.revision = revision
        self.layers, self.heads, self.kv_heads = head_shape(model)
        for name in settings:
            if name not in self.settings:
                raise UserError(
                    f"setting {name}: {self.model_type} has none of that name, expected {', '.join(self.settings)}"
                )
        self.configure(**settings)

    @property
    def model_type(self) -> str:
        return str(self.model.config.model_type)

    @property
    def device(self) -> torch.device:
        found: torch.device = next(self.model.parameters()).device
        return found

    @property
    def dtype(self) -> torch.dtype:
        found: torch.dtype = next(self.model.parameters()).dtype
        return found

    def describe(self) -> dict[str, Any]:
        """What identifies the model in files: id, revision, model_type, layers, heads, kv_heads."""
        return {
            "id": self.id,
            "revision": self.revision,
            "model_type": self.model_type,
            "layers": self.layers,
            "heads": self.heads,
            "kv_heads": self.kv_heads,
        }

    def prepare(self, messages: Messages, query: str | None = None, like: Prompt | None = None) -> Prompt:
        """Model inputs and token map of a conversation that the model is to answer.

        messages: role and content (text, or parts of type text, image, video); pictures as PIL images or paths,
        videos as paths or ``Video``, with optional start and end seconds. query: the part of the prompt's text whose
        tokens become ``query_tokens`` (rule: see ``coreheads.adapters.query``); None leaves them empty.
        like: a prompt of this adapter; where it shows the same media, their pixels are not processed again.

        Raises UserError for messages that cannot be used, a file that is missing, a query that is not in the prompt.
        """
        started = time.perf_counter()
        chat, sources = parse(messages)
        self._refuse_placeholders(chat)
        text = self._render(chat)
        span = None if query is None else queries.query_span(query, chat, text, self._render)
        shared = like is not None and _same_media(like.sources, sources)
        vision = self._taken_from(like) if like is not None and shared else self.see(sources)
        replacements = list(zip(self._placeholders(text), vision.expansions, strict=True))
        encoded = self.processor.tokenizer(_replace(text, replacements), return_offsets_mapping=True)
        ids = torch.tensor(encoded["input_ids"])
        inputs = {**self.text_inputs(ids[None]), **vision.inputs}
        positions = torch.isin(ids, torch.tensor(self.vision_token_ids)).nonzero()[:, 0]
        if len(positions) != len(vision.geometry.box):
            raise RuntimeError(
                f"{len(positions)} vision tokens in the prompt, {len(vision.geometry.box)} in the token map"
            )
        tokens: list[int] = []
        if span is not None:
            tokens = queries.token_positions(queries.expanded(span, replacements), encoded["offset_mapping"])
        return Prompt(
            inputs={name: value.to(self.device) for name, value in inputs.items()},
            query_tokens=torch.tensor(tokens, dtype=torch.long),
            vision_tokens=positions,
            media=vision.media,
            geometry=vision.geometry,
            text=text,
            query=query,
            preprocess_s=None if shared and sources else time.perf_counter() - started,
            sources=sources,
            expansions=vision.expansions,
        )

    def generate(
        self,
        prompts: Sequence[Prompt],
        max_new_tokens: int = 64,
        stop: Sequence[str] = (),
        timing: bool = False,
        share_prefix: bool = False,
        cache_factory: Callable[[], Any] | None = None,
        batch_tokens: int | None = None,
    ) -> list[Generation]:
        """Greedy answers, in the order of the prompts; see ``coreheads.adapters.generation.generate``."""
        return generate(self, prompts, max_new_tokens, stop, timing, share_prefix, cache_factory, batch_tokens)

    # What a family says of itself.

    def configure(self) -> None:  # noqa: B027  (a family without settings needs none)
        """Apply the settings, given as keyword arguments."""

    @property
    @abstractmethod
    def vision_token_ids(self) -> tuple[int, ...]:
        """Ids of the tokens whose embeddings are replaced by vision features."""

    @property
    @abstractmethod
    def placeholders(self) -> tuple[str, ...]:
        """Texts that the chat template writes for a medium, and that the processor expands."""

    @property
    @abstractmethod
    def vision_modules(self) -> list[nn.Module]:
        """The modules whose time is the vision tower's."""

    @abstractmethod
    def see(self, sources: Sequence[Source]) -> Vision:
        """Open the media, process them, and map the tokens."""

    def text_inputs(self, ids: Tensor) -> dict[str, Tensor]:
        """The text's model inputs for input_ids [1, L]; their names are among ``prompt.TEXT_INPUTS``."""
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def position_ids(self, prompt: Prompt) -> Tensor:
        """Positions of the prompt's tokens, [..., 1, L]; the next token's is the largest plus one."""
        ids = prompt.inputs["input_ids"]
        return torch.arange(ids.shape[1], device=ids.device)[None]

    def collate_vision(self, prompts: Sequence[Prompt]) -> dict[str, Tensor]:
        """The vision inputs of several prompts as one batch: by default joined along the first dimension."""
        joined: dict[str, list[Tensor]] = {}
        for prompt in prompts:
            for name, value in prompt.vision_inputs.items():
                joined.setdefault(name, []).append(value)
        return {name: values[0] if len(values) == 1 else torch.cat(values) for name, values in joined.items()}

    def _taken_from(self, prompt: Prompt) -> Vision:
        return Vision(prompt.vision_inputs, prompt.expansions, prompt.media, prompt.geometry)

    def _render(self, chat: list[dict[str, Any]]) -> str:
        return str(self.processor.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

    def _placeholders(self, text: str) -> list[queries.Span]:
        """Spans of the placeholders in the rendered text, in order."""
        spans = []
        for word in set(self.placeholders):
            start = text.find(word)
            while start >= 0:
                spans.append((start, start + len(word)))
                start = text.find(word, start + len(word))
        return sorted(spans)

    def _refuse_placeholders(self, chat: Sequence[Mapping[str, Any]]) -> None:
        for number, message in enumerate(chat):
            content = message["content"]
            texts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
            for word in self.placeholders:
                if any(word in text for text in texts):
                    raise UserError(f"messages[{number}]: the text holds {word}, which stands for a picture or video")


def _same_media(left: Sequence[Source], right: Sequence[Source]) -> bool:
    return len(left) == len(right) and all(a.same_as(b) for a, b in zip(left, right, strict=True))


def _replace(text: str, replacements: Sequence[tuple[queries.Span, str]]) -> str:
    pieces, last = [], 0
    for (start, end), new in replacements:
        pieces += [text[last:start], new]
        last = end
    return "".join([*pieces, text[last:]])
