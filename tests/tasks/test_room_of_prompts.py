"""Pictures of a prompt that are too many together: the sample is unscored, in one line that says what to set."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from coreheads import limits
from coreheads.errors import BadSample
from coreheads.tasks import registry


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("coreheads_mmlongbench_doc", "lower max_pages or dpi"),
        ("coreheads_mmdocir_page", "lower the option max_pages"),
        ("coreheads_mmdocir_layout", "lower the option max_pages"),
        ("coreheads_mmlongbench_8k", r"ask for a shorter length \(option lengths\)"),
    ],
)
def test_too_many_pixels(
    name: str, instead: str, tree: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    task = registry.get(name)
    doc = task.records("all", data_root=str(tree(name)))[0] | {"family": "qwen3_vl"}
    with monkeypatch.context() as less:
        less.setattr(limits, "PROMPT_PIXELS", 99)
        with pytest.raises(BadSample, match=f"pictures of a prompt, expected at most 99; {instead}"):
            task.messages(doc)
    assert task.messages(doc)
