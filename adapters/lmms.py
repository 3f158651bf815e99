"""The lmms-eval model: any supported checkpoint, with a patch on the heads of a profile.

``lmms-eval --model coreheads --model_args pretrained=...,patch=hybrid,heads=heads.json,fraction=0.05 --tasks ...``
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

from lmms_eval.api.instance import GenerationResult, TokenCounts
from lmms_eval.api.model import lmms

from coreheads.adapters.prompt import Prompt
from coreheads.adapters.prompt_cache import PromptCache
from coreheads.adapters.structure import beyond_context
from coreheads.adapters.vision_memo import VisionMemo
from coreheads.errors import UserError

MAX_NEW_TOKENS = 64
"""Where a task's generation_kwargs name no max_new_tokens."""

_SAMPLING = ("do_sample", "num_beams", "temperature", "top_p", "top_k")


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
            from coreheads.adapters.registry import load_adapter, setting_names

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
        self.batch_size = _whole(batch_size)
        self.device = device
        self.prompts = PromptCache()
        self.vision = VisionMemo()
        self.known: Callable[[str, int], str | None] = lambda task, index: None
        self.answered: Callable[[str, int, Any], None] = lambda task, index, generation: None
        self.refused: Callable[[str, int, str], None] = lambda task, index, reason: None

    def generate_until(self, requests: list[Any]) -> list[Any]:
        """One answer a request, in order.

        ``known(task, document index)`` may give an answer that is stored already; ``answered(task, index,
        generation)`` is told of every new one before the next batch starts, ``refused(task, index, reason)`` of every
        document without an answer: one that its task (which must have a ``leave_out``) cannot show, whose media cannot
        be used, or that is longer than the model's context. Its answer is empty.
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
        for batch in self._batches(requests, pending):
            for place, generation in zip(batch, self._answer([requests[place] for place in batch]), strict=True):
                _, _, _, index, task, _ = requests[place].args
                if generation is None:
                    answers[place] = ""
                    continue
                self.answered(task, index, generation)
                counts = TokenCounts(input_tokens=generation.prompt_tokens, output_tokens=len(generation.token_ids))
                answers[place] = GenerationResult(generation.text, counts)
        return answers

    def forget(self) -> None:
        """Drop prepared prompts and vision features, for example when another task begins."""
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
                raise _LeftOut(too_long)
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
            if not hasattr(owner, "leave_out"):
                raise UserError(str(error)) from error.__cause__
            reason = owner.leave_out(self.task_dict[task][split][index], str(error))
            self.refused(task, index, reason)
            return None

    def _answer(self, requests: Sequence[Any]) -> list[Any]:
        _, _, settings, _, _, _ = requests[0].args
        _only_greedy(settings)
        found = [self._usable_prompt(request) for request in requests]
        prompts = [prompt for prompt in found if prompt is not None]
        if not prompts:
            return [None] * len(found)
        until = settings.get("until") or ()
        with self.vision.active(self.adapter.vision_modules), self.patch(self.adapter.model):
            generations: list[Any] = self.adapter.generate(
                prompts,
                max_new_tokens=int(settings.get("max_new_tokens", MAX_NEW_TOKENS)),
                stop=[until] if isinstance(until, str) else list(until),
                share_prefix=True,
            )
        answered = iter(generations)
        return [None if prompt is None else next(answered) for prompt in found]

    def _batches(self, requests: Sequence[Any], places: Sequence[int]) -> list[list[int]]:
        """Neighbours of one task with the same settings, at most ``batch_size`` together."""
        batches: list[list[int]] = []
        last = None
        for place in places:
            _, _, settings, _, task, _ = requests[place].args
            kind = (task, json.dumps(settings, sort_keys=True, default=str))
            if kind != last or len(batches[-1]) >= self.batch_size:
                batches.append([])
            batches[-1].append(place)
            last = kind
        return batches

    def generate_until_multi_round(self, requests: list[Any]) -> list[Any]:
        raise UserError("coreheads: multi-round tasks are not supported, expected output_type generate_until")

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        raise UserError("coreheads: log-likelihood tasks are not supported, expected output_type generate_until")

    def clean(self) -> None:
        """Keep the model: lmms-eval deletes a model's modules after every evaluation, and ours serves the next cell."""


class _LeftOut(Exception):
    """A document without a prompt; the message says why."""


def named_patch(
    adapter: Any,
    kind: str,
    heads: str | None,
    selection: str,
    fraction: float | None,
    seed: int,
    params: dict[str, Any],
) -> Any:
    """The patch that model arguments describe; UserError where they do not fit together or the model."""
    from coreheads.adapters.patches.registry import make_patch
    from coreheads.profile import HeadProfile
    from coreheads.selections import Selection

    if kind == "none":
        if heads is not None or fraction is not None or params:
            given = ", ".join(filter(None, ["heads" if heads else "", "fraction" if fraction else "", *params]))
            raise UserError(f"coreheads: patch is none but {given} is given, expected patch=hybrid or patch=ablate")
        return make_patch("none", frozenset())
    profile = None
    if heads is not None:
        profile = HeadProfile.load(heads)
        profile.check_model(adapter.describe())
    elif selection not in ("none", "all", "random"):
        raise UserError(f"coreheads: patch={kind} with selection={selection} needs heads=heads.json")
    if selection not in ("none", "all") and fraction is None:
        raise UserError(f"coreheads: patch={kind} with selection={selection} needs a fraction, as fraction=0.05")
    chosen = Selection(selection, fraction, seed).resolve(profile, (adapter.layers, adapter.heads))
    return make_patch(kind, chosen, **params)


def own_device(device: str, local_rank: str | None) -> str:
    """The GPU of a process among several on one machine, whose number its launcher gives; any other device as it is."""
    return f"cuda:{local_rank}" if device == "cuda" and local_rank is not None else device


def _only_greedy(settings: dict[str, Any]) -> None:
    asked = {name: settings[name] for name in _SAMPLING if settings.get(name) not in (None, 0, 0.0, 1, 1.0, False)}
    if asked:
        raise UserError(f"coreheads: generation_kwargs ask for {asked}, expected greedy decoding")


def _whole(value: int | str | None) -> int:
    try:
        number = 1 if value is None else int(value)
    except ValueError:
        number = 0
    if number < 1:
        raise UserError(f"coreheads: batch_size is {value!r}, expected a whole number of at least 1")
    return number
