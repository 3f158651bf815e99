"""The lmms-eval model: any supported checkpoint, with a patch on the heads of a profile.

``lmms-eval --model coreheads --model_args pretrained=...,patch=hybrid,heads=heads.json,fraction=0.05 --tasks ...``
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any, NamedTuple

from lmms_eval.api.instance import GenerationResult, TokenCounts
from lmms_eval.api.model import lmms

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.generation.generate import BATCH_TOKENS, Generation
from coreheads.adapters.generation.memory import is_out_of_memory, make_room
from coreheads.adapters.generation.structure import beyond_context
from coreheads.adapters.generation.vision_cache import VisionCache
from coreheads.adapters.lmms_eval.arguments import meeting_place, named_patch, only_greedy, own_devices, whole
from coreheads.adapters.lmms_eval.prompt_cache import PromptCache, held_together
from coreheads.adapters.lmms_eval.response_cache import key_by_contents
from coreheads.adapters.lmms_eval.sample_sink import Refusal, SampleSink, usable
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.errors import BadSample, OutOfMemory, UserError
from coreheads.tasks.lmms import Docs

MAX_NEW_TOKENS = 64
"""Where a task's generation_kwargs name no max_new_tokens."""


class _Request(NamedTuple):
    """What lmms-eval asks of a chat model, in its order."""

    context: str
    doc_to_messages: Callable[[Any], Any]
    settings: dict[str, Any]
    doc_id: int
    task: str
    split: str


class CoreHeads(lmms):  # type: ignore[misc]  # lmms-eval has no types
    """Greedy answers of a (patched) model to the chat messages of lmms-eval's tasks.

    pretrained: a hub id, a local folder, tiny, smol or smol-onevision. patch: none, ablate, hybrid, dart or another,
    with its own parameters (mode; sink, window; keep), a budget, or on (see ``named_patch``). heads: a heads.json, for
    a patch that takes heads; selection and fraction say which of them, seed serves the random ones. device, device_map:
    see ``own_devices``. adapter: one that is loaded already, instead of pretrained. Settings of the model's family
    (num_frames) go to the adapter.
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
        device_map: Any = None,
        dtype: str = "float32",
        batch_size: int | str | None = 1,
        max_batch_size: int | None = None,
        revision: str | None = None,
        attn_implementation: str | None = None,
        trust_remote_code: bool = False,
        adapter: Adapter | None = None,
        **params: Any,
    ) -> None:
        super().__init__()
        if adapter is None:
            from coreheads.adapters.checkpoints.adapter import load_adapter
            from coreheads.adapters.families.registry import setting_names

            settings = {name: params.pop(name) for name in sorted(params.keys() & setting_names())}
            adapter = load_adapter(
                pretrained,
                **own_devices(device or "cpu", device_map, os.environ),
                dtype=dtype,
                attn_implementation=attn_implementation,
                revision=revision,
                trust_remote_code=trust_remote_code,
                **settings,
            )
        self.adapter = adapter
        self.patch = named_patch(adapter, patch, heads, selection, fraction, seed, **params)
        self._at_most = whole(batch_size)
        self.device = meeting_place(device, device_map)
        self.prompts = PromptCache()
        self.vision = VisionCache()
        self.forget()
        self._sink: SampleSink | None = None

    @contextmanager
    def cell(self, patch: Patch, sink: SampleSink) -> Iterator[None]:
        """Within the block answer with this patch, and have the sink know the answers, and keep them."""
        before = self.patch
        self.patch, self._sink = patch, sink
        try:
            yield
        finally:
            self.patch, self._sink = before, None

    def generate_until(self, requests: list[Any]) -> list[Any]:
        """One answer a request, in order.

        Answers that the cell's sink knows are not computed; it takes every new one before the next batch starts. A
        document has none where its task cannot show it, its media cannot be used, it is longer than the model's
        context, or its logits are non-finite: lmms-eval is given an empty text, and the sink, or else the task, why.

        A batch that does not fit into memory is halved, and so are the following ones.

        Raises:
            OutOfMemory: A single prompt does not fit.
            UserError: A document of a task that is not ours has no answer.
        """
        asked = [_Request(*request.args) for request in requests]
        answers: list[Any] = [self._sink.known(request.doc_id) if self._sink else None for request in asked]
        pending = [number for number, answer in enumerate(answers) if answer is None]
        # neighbours of one task with the same settings, however many
        kinds = groupby(pending, lambda number: (asked[number].task, json.dumps(asked[number].settings, default=str)))
        for group in [list(numbers) for _, numbers in kinds]:
            while group:
                numbers = group[: self.batch_size]
                batch = [asked[number] for number in numbers]
                outcomes = self._fitting(batch)
                if outcomes is None:
                    continue  # with a part of it
                numbers, batch = numbers[: len(outcomes)], batch[: len(outcomes)]
                group = group[len(batch) :]
                self._keep(batch, outcomes)
                for number, outcome in zip(numbers, outcomes, strict=True):
                    answers[number] = _for_lmms_eval(outcome)
        return answers

    def _keep(self, requests: Sequence[_Request], outcomes: Sequence[Generation | Refusal]) -> None:
        """Have the sink know of a batch's answers, or, where there is none, the tasks of what has no answer."""
        if self._sink is not None:
            self._sink.put({request.doc_id: outcome for request, outcome in zip(requests, outcomes, strict=True)})
            return
        for request, outcome in zip(requests, outcomes, strict=True):
            if isinstance(outcome, Refusal):
                docs = self.task_dict[request.task][request.split]
                if not isinstance(docs, Docs):
                    raise UserError(outcome.reason)
                docs.task.leave_out(docs[request.doc_id], outcome.reason)

    def forget(self) -> None:
        """Begin anew, as when another task does: without prepared prompts and vision features, with full batches."""
        self._drop()
        self.batch_size: int = self._at_most
        self.batch_tokens: int = BATCH_TOKENS.get(self.adapter.device.type, 4096)
        self._longest = 0

    def _drop(self) -> None:
        self.prompts.clear()
        self.vision.clear()

    def _prompt(self, request: _Request) -> Prompt | Refusal:
        """The prompt of a document, prepared once for all patches but those that show it otherwise."""
        docs = self.task_dict[request.task][request.split]
        if isinstance(docs, Docs):
            docs.task.serve(self.adapter.model_type)

        share = self.patch.shown

        def prepare(like: Prompt | None) -> Prompt:
            messages = request.doc_to_messages(docs[request.doc_id])
            try:
                return self.adapter.prepare(messages, like=like, share=share)
            except UserError as error:
                raise BadSample(str(error)) from error

        try:
            prompt = self.prompts.get(docs, (request.task, request.split, request.doc_id, share), prepare)
        except BadSample as error:
            return Refusal(str(error))
        too_long = beyond_context(self.adapter.model, prompt)
        return Refusal(too_long, "model") if too_long else prompt

    def _fitting(self, requests: Sequence[_Request]) -> list[Generation | Refusal] | None:
        """Answers of the first of them; None where they do not fit into memory together, after half as many were made
        the most."""
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

    def _answer(self, requests: Sequence[_Request]) -> list[Generation | Refusal]:
        settings = requests[0].settings
        only_greedy(settings)
        prepared = held_together(map(self._prompt, requests))
        prompts = [prompt for prompt in prepared if not isinstance(prompt, Refusal)]
        self._longest = max((prompt.tokens for prompt in prompts), default=0)
        patches = [self.patch.for_prompt(self.adapter.model, prompt) for prompt in prompts]
        generations: dict[int, Generation] = {}
        until = settings.get("until") or ()
        for patch in {id(patch): patch for patch in patches}.values():
            numbers = [number for number, own in enumerate(patches) if own is patch]
            with self.vision.active(self.adapter.vision_modules), patch(self.adapter.model):
                answers = self.adapter.generate(
                    [prompts[number] for number in numbers],
                    max_new_tokens=int(settings.get("max_new_tokens", MAX_NEW_TOKENS)),
                    stop=[until] if isinstance(until, str) else list(until),
                    share_prefix=True,
                    batch_tokens=self.batch_tokens,
                    count=self._sink is not None,
                )
            generations |= zip(numbers, answers, strict=True)
        in_order = (generations[number] for number in range(len(prompts)))
        return [prompt if isinstance(prompt, Refusal) else usable(next(in_order)) for prompt in prepared]

    def generate_until_multi_round(self, requests: list[Any]) -> list[Any]:
        raise UserError("coreheads: multi-round tasks are not supported, expected output_type generate_until")

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        raise UserError("coreheads: log-likelihood tasks are not supported, expected output_type generate_until")

    def clean(self) -> None:
        """Keep the model, whose modules lmms-eval deletes after every evaluation: it serves the next cell."""


key_by_contents(CoreHeads)


def _for_lmms_eval(outcome: Generation | Refusal) -> Any:
    if isinstance(outcome, Refusal):
        return ""
    counts = TokenCounts(input_tokens=outcome.prompt_tokens, output_tokens=len(outcome.token_ids))
    return GenerationResult(outcome.text, counts)
