"""What every model family's adapter does alike: prepare a prompt, generate, describe the model.

A family's module subclasses ``Adapter`` and says how its processor is called, which pixels each vision token sees,
and how positions are counted. See ``qwen3_vl`` for the pattern, ``registry`` for where a family is named.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from coreheads.adapters.families.media import encoded, load
from coreheads.adapters.families.settings import check_names
from coreheads.adapters.generation.collate import collate as collate_prompts
from coreheads.adapters.generation.devices import check_devices, input_device, model_devices
from coreheads.adapters.generation.generate import generate as generate_answers
from coreheads.adapters.generation.state import state_hash
from coreheads.adapters.generation.structure import head_shape, vision_tower
from coreheads.adapters.prompt import query as queries
from coreheads.adapters.prompt import rendering
from coreheads.adapters.prompt.encoding import controls, encode
from coreheads.adapters.prompt.messages import Chat, Kind, Messages, Source, parse, same_media
from coreheads.adapters.prompt.processing import EncodedMedia, LoadedMedium
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.adapters.prompt.token_map import TokenMap
from coreheads.hashing.contents import CheckpointFingerprint


class Adapter(ABC):
    """A loaded model with its processor.

    Args:
        model: A ``*ForConditionalGeneration``.
        processor: The family's, whose tokenizer must give character offsets.
        id: What files call the model; its class where empty.
        revision: The commit of its files.
        settings: The family's own, see its class.

    Raises:
        UserError: If a setting is not known to the family, or has a value that cannot be used, or parts of the
            model are offloaded.
    """

    settings: tuple[str, ...] = ()
    """Names of the settings that the family knows."""
    shrinks: bool = False
    """Whether ``shrunk`` shows media with fewer tokens."""
    fingerprint: CheckpointFingerprint | None = None
    """Of the files it was loaded from; None for a model that was built by code."""

    def __init__(
        self, model: nn.Module, processor: Any, id: str = "", revision: str | None = None, **settings: Any
    ) -> None:
        check_devices(model)
        self.model: Any = model  # transformers' models have no types
        self.processor = processor
        self.id = id or type(model).__name__
        self.revision = revision
        self.layers, self.heads, self.kv_heads = head_shape(model)
        check_names(settings, self.settings, self.model_type)
        self.configure(**settings)

    @property
    def model_type(self) -> str:
        return str(self.model.config.model_type)

    @property
    def device(self) -> torch.device:
        """Where inputs go; the layers may lie on others."""
        return input_device(self.model)

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """All that the model lies on, that of its inputs first."""
        return model_devices(self.model)

    @property
    def dtype(self) -> torch.dtype:
        dtype: torch.dtype = self.model.dtype
        return dtype

    def describe(self) -> dict[str, Any]:
        """What identifies the model in files, as ``ModelIdentity`` of ``coreheads.heads.schema`` lists it."""
        names = ("id", "revision", "model_type", "layers", "heads", "kv_heads", "fingerprint")
        return {name: getattr(self, name) for name in names[: None if self.fingerprint else -1]}

    def prepare(
        self, messages: Messages, query: str | None = None, like: Prompt | None = None, share: float = 1.0
    ) -> Prompt:
        """Model inputs and token map of a conversation that the model is to answer.

        Args:
            messages: Role and content (text, or parts of type text, image, video); pictures as PIL images or paths,
                videos as paths or ``Video``, with optional start and end seconds.
            query: The part of the prompt's text whose tokens become ``query_tokens`` (rule: see
                ``coreheads.adapters.prompt.query``); None leaves them empty.
            like: A prompt of this adapter; where it shows the same media, their pixels are not processed again.
            share: At most so much of its vision tokens each medium is shown with, by smaller pictures.

        Returns:
            A prompt of one sample, its inputs on ``device``.

        Raises:
            UserError: For messages that cannot be used, a file that is missing, a query that is not in the prompt.
        """
        started = time.perf_counter()
        chat, sources = parse(messages)
        text = self._render(chat)
        reserved = {*self.placeholders, *controls(self.processor.tokenizer).values()}
        written = rendering.written(chat, text, self._render, reserved)
        query_at = None if query is None else queries.query_span(query, chat, text, written)
        by_user = [span for _, span in written]
        shown = rendering.placeholders(text, self.placeholders, by_user)
        order = rendering.order([kind for _, kind in shown], sources)
        ordered = [sources[index] for index in order]
        shared = like is not None and like.share == share and same_media([one.source for one in like.encoded], ordered)
        if like is not None and shared:
            made = EncodedMedia(like.vision_inputs, like.encoded)
        else:
            made = self.encode_media(ordered, share)
        replacements = [(span, item.expansion) for (span, _), item in zip(shown, made.media, strict=True)]
        by_user = [queries.expanded(span, replacements) for span in by_user]
        numbers, offsets = encode(self.processor.tokenizer, rendering.replaced(text, replacements), by_user)
        ids = torch.tensor(numbers)
        inputs = {**self.text_inputs(ids[None]), **made.inputs}
        vision_tokens = torch.isin(ids, torch.tensor(self.vision_token_ids)).nonzero()[:, 0]
        geometry = TokenMap.join([item.view for item in made.media], order)
        if len(vision_tokens) != len(geometry.media):
            counts = f"{len(vision_tokens)} vision tokens in the prompt, {len(geometry.media)} in the token map"
            raise RuntimeError(counts)
        asked = [] if query_at is None else queries.query_tokens(query or "", query_at, replacements, offsets)
        return Prompt(
            inputs={name: value.to(self.device) for name, value in inputs.items()},
            query_tokens=torch.tensor(asked, dtype=torch.long),
            vision_tokens=vision_tokens,
            media=[made.media[order.index(number)].medium for number in range(len(order))],
            geometry=geometry,
            text=text,
            query=query,
            preprocess_s=None if shared and sources else time.perf_counter() - started,
            encoded=made.media,
            share=share,
        )

    generate = generate_answers
    collate = collate_prompts
    state_hash = state_hash

    # What a family says of itself.

    def configure(self) -> None:  # noqa: B027  (a family without settings needs none)
        """Apply the settings, given as keyword arguments."""

    @property
    def vision_token_ids(self) -> tuple[int, ...]:
        """Ids of the tokens whose embeddings are replaced by vision features."""
        return self.processor.image_token_id, self.processor.video_token_id

    @property
    def placeholders(self) -> Mapping[str, Kind]:
        """Texts that the chat template writes for a medium, and that the processor expands, with the medium's kind."""
        return {self.processor.image_token: "image", self.processor.video_token: "video"}

    @property
    def vision_modules(self) -> list[nn.Module]:
        """The modules whose time is the vision tower's."""
        return [vision_tower(self.model)]

    @abstractmethod
    def frames(self, total: int, fps: float) -> Sequence[int]:
        """Which frames of a video are shown.

        Args:
            total: Number of frames of the video.
            fps: Its frames a second, the mean where the rate varies.

        Returns:
            Indices from 0, ascending.
        """

    @abstractmethod
    def process(self, loaded: Sequence[LoadedMedium]) -> EncodedMedia:
        """Process the media with the family's processor, and map their tokens.

        Args:
            loaded: At least one medium, in the order of their tokens.
        """

    def shrunk(self, loaded: Sequence[LoadedMedium], share: float) -> EncodedMedia:
        """As ``process``, each medium with at most ``share`` of its vision tokens; where the family ``shrinks``."""
        raise NotImplementedError

    def encode_media(self, sources: Sequence[Source], share: float = 1.0) -> EncodedMedia:
        """Open the media, process them, and map their tokens.

        Args:
            sources: The media in the order of their tokens; may be empty.
            share: Of each one's vision tokens, at most.

        Raises:
            UserError: For a medium that cannot be opened or that the processor refuses.
        """
        process = self.process if share == 1 else partial(self.shrunk, share=share)
        return encoded([self._load(source) for source in sources], process)

    def text_inputs(self, ids: Tensor) -> dict[str, Tensor]:
        """The text's model inputs for input_ids [1, L]; their names are among ``prompt.TEXT_INPUTS``."""
        return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}

    def position_ids(self, prompt: Prompt) -> Tensor:
        """Positions of the prompt's tokens; the next token's is the largest plus one.

        Args:
            prompt: Prepared by this adapter, of L tokens.

        Returns:
            LongTensor [..., 1, L].
        """
        ids = prompt.inputs["input_ids"]
        return torch.arange(ids.shape[1], device=ids.device)[None]

    def collate_vision(self, prompts: Sequence[Prompt]) -> dict[str, Tensor]:
        """The vision inputs of several prompts as one batch: by default joined along the first dimension.

        Keep a tensor that is of one prompt only as it is, so that the vision cache knows it again.

        Args:
            prompts: The rows of the batch, in order.

        Returns:
            Tensors by the names of ``Prompt.vision_inputs``.
        """
        joined: dict[str, list[Tensor]] = {}
        for prompt in prompts:
            for name, value in prompt.vision_inputs.items():
                joined.setdefault(name, []).append(value)
        return {name: values[0] if len(values) == 1 else torch.cat(values) for name, values in joined.items()}

    def _load(self, source: Source) -> LoadedMedium:
        return load(source, self.frames)

    def _render(self, chat: Chat) -> str:
        return rendering.render(self.processor, chat)
