"""The lmms-eval model: any supported checkpoint, with a patch on the heads of a profile.

``lmms-eval --model coreheads --model_args pretrained=...,patch=hybrid,heads=heads.json,fraction=0.05 --tasks ...``
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from lmms_eval.api.instance import GenerationResult, TokenCounts
from lmms_eval.api.model import lmms

from coreheads.adapters.generation.generate import BATCH_TOKENS
from coreheads.adapters.generation.memory import is_out_of_memory, make_room
from coreheads.adapters.generation.structure import beyond_context
from coreheads.adapters.generation.vision_cache import VisionMemo
from coreheads.adapters.lmms_eval.arguments import named_patch, only_greedy, own_device, whole
from coreheads.adapters.lmms_eval.prompt_cache import PromptCache
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.errors import OutOfMemory, UserError

NOT_FINITE = "logits are not finite"
"""How the reason begins for which an answer of NaN or infinite logits has no score."""

MAX_NEW_TOKENS = 64
"""Where a task's generation_kwargs name no max_new_tokens."""


class CoreHeads(lmms):  # type: ignore[misc]  # lmms-eval has no types
    """Greedy answers of a (patched) model to the chat messages of lmms-eval's tasks.

    pretrained: a hub id, a local folder, or ``tiny``. patch: none, ablate or hybrid, with its own parameters (mode;
    sink, window). heads: a heads.json; selection and fraction say which of its heads (top 5 % by default), seed
    serves the random ones. adapter: an adapter that is loaded already, instead of pretrained. Settings of the model's
    family, such as num_frames or max_pixels, go to the adapter.
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str = "tiny",
        patch: str = "none",
        heads: str | None = None,
        selection: str = "top",
        fraction: float | None = None,
        seed: int = 0,
        device: str = "cpu",
        dtype: str = "float32",
        batch_size: int | str | None = 1,
        max_batch_size: int | None = None,
        revision: str | None = None,
        attn_implementation: str | None = None,
        trust_remote_code: bool = False,
        adapter: Any = None,
        **params: Any,
    ) -> None:
        super().__init__()
        if adapter is None:
            from coreheads.adapters.checkpoints.registry import load_adapter, setting_names

            settings = {name: params.pop(name) for name in sorted(params.keys() & setting_names())}
            adapter = load_adapter(
                pretrained,
                device=own_device(device or "cpu", os.environ.get("LOCAL_RANK")),
                dtype=dtype,
                attn_implementation=attn_implementation,
                revision=revision,
                trust_remote_code=trust_remote_code,
                **settings,
            )
        self.adapter = adapter
        self.patch = named_patch(adapter, patch, heads, selection, fraction, seed, params)
        self._at_most = whole(batch_size)
        self.device = device
        self.prompts = PromptCache()
        self.vision = VisionMemo()
        self.forget()
        self.known: Callable[[str, int], str | None] = lambda task, index: None
        self.answered: Callable[[str, int, Any], None] = lambda task, index, generation: None
        self.refused: Callable[[str, int, str, Any], None] = lambda task, index, reason, by: None
        self.batch_done: Callable[[], None] = lambda: None

    def generate_until(self, requests: list[Any]) -> list[Any]:
        """One answer a request, in order.

        ``known(task, document index)`` may give an answer that is stored already; ``answered(task, index,
        generation)`` is told of every new one before the next batch starts, ``refused(task, index, reason, by)`` of
        every document without an answer: one that its task (which must have a ``leave_out``) cannot show or whose media
        cannot be used (by "data"), that is longer than the model's context, or whose logits are no numbers (by
        "model"). Its answer is empty. ``batch_done()`` is called after each batch.

        A batch that does not fit into memory is halved, and so are the following ones; OutOfMemory where a single
        prompt does not fit.
        """
        answers: list[Any] = [None] * len(requests)
        pending: list[int] = []
        for place, request in enumerate(requests):
            _, _, _, index, task, _ = request.args
            stored = self.known(task, index)
            if stored is None:
                pending.append(place)
            else:
                answers[place] = stored
        batches = deque(self._alike(requests, pending))
        while batches:
            batch = batches.popleft()
            if len(batch) > self.batch_size:
                batches.appendleft(batch[self.batch_size :])
                batch = batch[: self.batch_size]
            found = self._fitting([requests[place] for place in batch])
            if found is None:
                batches.appendleft(batch)  # a part of it next time
                continue
            for place, generation in zip(batch, found, strict=True):
                answers[place] = self._noted(requests[place], generation)
            self.batch_done()
        return answers

    def _noted(self, request: Any, generation: Any) -> Any:
        """What lmms-eval gets for a request, after the listeners were told."""
        _, _, _, index, task, _ = request.args
        if generation is None:
            return ""
        if not generation.finite:
            reason = f"{NOT_FINITE} (token {generation.broken_at} of its answer)"
            self._left_out(request, _LeftOut(reason, "model"))
            return ""
        self.answered(task, index, generation)
        counts = TokenCounts(input_tokens=generation.prompt_tokens, output_tokens=len(generation.token_ids))
        return GenerationResult(generation.text, counts)

    def forget(self) -> None:
        """Begin anew, as when another task does: without prepared prompts and vision features, with full batches."""
        self._drop()
        self.batch_size: int = self._at_most
        self.batch_tokens: int = BATCH_TOKENS.get(self.adapter.device.type, 4096)
        self._longest = 0

    def _drop(self) -> None:
        self.prompts.clear()
        self.vision.clear()

    def prompt(self, task: str, split: str, index: int, doc_to_messages: Callable[[Any], Any]) -> Prompt:
        """The prepared prompt of a document, prepared once for all patches."""

        def prepare(like: Prompt | None) -> Prompt:
            messages = doc_to_messages(self.task_dict[task][split][index])
            if messages is None:
                raise _LeftOut("cannot be shown")
            try:
                prepared: Prompt = self.adapter.prepare(messages, like=like)
            except UserError as error:
                raise _LeftOut(str(error)) from error
            too_long = beyond_context(self.adapter.model, prepared)
            if too_long:
                raise _LeftOut(too_long, "model")
            return prepared

        return self.prompts.get((task, split, index), prepare)

    def _usable_prompt(self, request: Any) -> Prompt | None:
        """The prompt of a request; None where its task leaves the document out."""
        _, doc_to_messages, _, index, task, split = request.args
        owner: Any = getattr(doc_to_messages, "__self__", None)
        if hasattr(owner, "serve"):
            owner.serve(self.adapter.model_type)
        try:
            return self.prompt(task, split, index, doc_to_messages)
        except _LeftOut as error:
            self._left_out(request, error)
            return None

    def _left_out(self, request: Any, why: _LeftOut) -> None:
        """Have the task and the listener know of a document without an answer."""
        _, doc_to_messages, _, index, task, split = request.args
        owner: Any = getattr(doc_to_messages, "__self__", None)
        if not hasattr(owner, "leave_out"):
            raise UserError(str(why)) from why.__cause__
        reason = owner.leave_out(self.task_dict[task][split][index], str(why))
        self.refused(task, index, reason, why.by)

    def _fitting(self, requests: Sequence[Any]) -> list[Any] | None:
        """Their answers; None where so many do not fit into memory together, after half as many were made the most."""
        try:
            return self._answer(requests)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        self._drop()
        make_room()
        if len(requests) == 1:
            tokens = f" of {self._longest:,} tokens" if self._longest else ""
            raise OutOfMemory(f"out of memory with one prompt{tokens}")
        self.batch_size = max(1, len(requests) // 2)
        self.batch_tokens = max(1, self.batch_tokens // 2)
        return None

    def _answer(self, requests: Sequence[Any]) -> list[Any]:
        _, _, settings, _, _, _ = requests[0].args
        only_greedy(settings)
        self._longest = 0
        found = [self._usable_prompt(request) for request in requests]
        prompts = [prompt for prompt in found if prompt is not None]
        if not prompts:
            return [None] * len(found)
        self._longest = max(prompt.tokens for prompt in prompts)
        until = settings.get("until") or ()
        with self.vision.active(self.adapter.vision_modules), self.patch(self.adapter.model):
            generations: list[Any] = self.adapter.generate(
                prompts,
                max_new_tokens=int(settings.get("max_new_tokens", MAX_NEW_TOKENS)),
                stop=[until] if isinstance(until, str) else list(until),
                share_prefix=True,
                batch_tokens=self.batch_tokens,
            )
        answered = iter(generations)
        return [None if prompt is None else next(answered) for prompt in found]

    def _alike(self, requests: Sequence[Any], places: Sequence[int]) -> list[list[int]]:
        """Neighbours of one task with the same settings, however many."""
        kinds = groupby(
            places, lambda place: (requests[place].args[4], json.dumps(requests[place].args[2], default=str))
        )
        return [list(group) for _, group in kinds]

    def generate_until_multi_round(self, requests: list[Any]) -> list[Any]:
        raise UserError("coreheads: multi-round tasks are not supported, expected output_type generate_until")

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        raise UserError("coreheads: log-likelihood tasks are not supported, expected output_type generate_until")

    def clean(self) -> None:
        """Keep the model, whose modules lmms-eval deletes after every evaluation: it serves the next cell."""


class _LeftOut(Exception):
    """A document without an answer; the message says why, ``by`` whether its data or the model is to blame."""

    def __init__(self, reason: str, by: str = "data") -> None:
        super().__init__(reason)
        self.by = by
