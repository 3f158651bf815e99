"""lmms-eval's response cache (``--use_cache``) with our model: an answer is kept for what it depends on.

lmms-eval's own key holds the model's arguments, the task's YAML, the document's number and the text that is logged. A
checkpoint, a heads file or a picture may be another one under the same name, which the key does not tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, Protocol

from lmms_eval.caching.response_cache import ResponseCache

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.patches.base import Patch
from coreheads.errors import UserError
from coreheads.hashing.contents import json_hash
from coreheads.retrieval.fingerprint import content_hash
from coreheads.tasks.lmms import Docs


class Model(Protocol):
    """What answers depend on, of ``coreheads.adapters.lmms_eval.model.CoreHeads``."""

    adapter: Adapter
    patch: Patch
    task_dict: Any


def key_by_contents(kind: type) -> None:
    """Have lmms-eval's cache know answers of models of this class by the model's state and what they are shown.

    There is no hook for it: the cache asks the model only for answers that it does not have. Its key does hold the
    first text of a request, so the cache is given requests with a longer one. Other models are served as ever.
    """
    execute = ResponseCache.execute

    def by_contents(cache: ResponseCache, lm: Any, reqtype: str, requests: list[Any]) -> list[Any]:
        if isinstance(lm, kind) and reqtype == "generate_until":
            requests = keyed(lm, requests)  # type: ignore[arg-type]  # which is such a model
        answers: list[Any] = execute(cache, lm, reqtype, requests)
        return answers

    ResponseCache.execute = by_contents


def keyed(model: Model, requests: Sequence[Any]) -> list[Any]:
    """Copies of the requests, whose contexts tell apart what the answers depend on; our model reads no context."""
    adapter, made = model.adapter, []
    state = [adapter.state_hash(), str(adapter.dtype), model.patch.describe()]
    for request in requests:
        context, *rest = request.args
        made.append(copy(request))
        made[-1].arguments = (f"{context}\n{json_hash([state, _shown(model, *rest)])}", *rest)
    return made


def _shown(model: Model, to_messages: Any, settings: Any, doc_id: Any, task: str, split: str) -> str:
    """What the document says and shows; why not, where it cannot be shown."""
    docs = model.task_dict[task][split]
    if isinstance(docs, Docs):
        docs.task.serve(model.adapter.model_type)
    try:
        return content_hash(to_messages(docs[doc_id]))
    except UserError as error:
        return str(error)
