"""The examples of CONTRIBUTING.md, word for word, on a prompt: only imports are added."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import small_run
import torch
from PIL import Image

from coreheads.adapters.families.base import Adapter
from coreheads.adapters.patches import registry
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.retrieval import head_scores

PAGE = Path(__file__).parents[3] / "CONTRIBUTING.md"
IMPORTS = """
from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from coreheads.adapters.kernels.key_blocks import KeyBlocks
from coreheads.adapters.patches.base import HeadPatch, Patch
from coreheads.adapters.patches.drop_vision import DropVision
from coreheads.adapters.patches.hooks import Cut, Step
from coreheads.retrieval.head_scores import Score
from coreheads.retrieval.ram import retrieval_attention_mass
"""
MODULE = "contributed_examples"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
PATCHES = [example for example in EXAMPLES if "Patch)" in example or "DropVision)" in example]
KINDS = {re.search(r"class (\w+)", example)[1]: example for example in PATCHES}  # type: ignore[index]


@pytest.fixture(scope="module")
def adapter(tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    from coreheads.adapters.checkpoints.adapter import load_adapter

    torch.set_num_threads(1)
    return load_adapter(str(small_run.save_model(tmp_path_factory.mktemp("model"))))


@pytest.fixture(scope="module")
def prompt(adapter: Adapter) -> Prompt:
    picture = Image.effect_noise((320, 320), 80).convert("RGB")
    content = [{"type": "image", "url": picture}, {"type": "text", "text": "what digit is by the red-star?"}]
    made = adapter.prepare([{"role": "user", "content": content}], query="red-star")
    assert made.tokens > 3 * 64, "too short for blocks of keys to be left out"
    return made


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The examples as a module, whose patches and score are known by entry points, too."""
    (score,) = [example for example in EXAMPLES if example.startswith("def attention_to_vision")]
    (line,) = [example for example in EXAMPLES if example.startswith("Score(")]
    place = line.replace("coreheads.retrieval.vision:", f"{MODULE}:")
    text = "\n\n".join([IMPORTS, *KINDS.values(), score, f"SCORE = {place}"])
    (tmp_path / f"{MODULE}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    names = {re.search(r'name: ClassVar\[str\] = "(\w+)"', text)[1]: kind for kind, text in KINDS.items()}  # type: ignore[index]
    points = [EntryPoint(name, f"{MODULE}:{kind}", registry.GROUP) for name, kind in names.items()]
    points.append(EntryPoint("vision", f"{MODULE}:SCORE", head_scores.GROUP))
    for own in (registry, head_scores):
        monkeypatch.setattr(own, "entry_points", lambda group: [point for point in points if point.group == group])
    yield
    sys.modules.pop(MODULE, None)


def margin(adapter: Adapter, prompt: Prompt, patch: Patch | None = None) -> float:
    """What the first token is ahead of the next by: another one where the patch acts."""
    with (patch or registry.make_patch("none"))(adapter.model):
        (answer,) = adapter.generate([prompt], max_new_tokens=3)
    assert answer.finite
    return answer.margin


def test_the_page_has_these_patches() -> None:
    assert list(KINDS) == ["Quiet", "Brightest", "EveryThird"]


@pytest.mark.parametrize("name", ["quiet", "brightest", "every_third", *(f"{MODULE}:{kind}" for kind in KINDS)])
def test_a_patch_of_the_page_acts(name: str, adapter: Adapter, prompt: Prompt) -> None:
    heads = [(layer, head) for layer in range(adapter.layers) for head in range(adapter.heads)]
    takes_heads = registry.patch_class(name).takes_heads
    patch = registry.make_patch(name, heads if takes_heads else ())
    dense = margin(adapter, prompt)
    assert margin(adapter, prompt, patch) != dense
    assert margin(adapter, prompt) == dense, "not taken back"


@pytest.mark.parametrize("name", ["vision", f"{MODULE}:attention_to_vision", f"{MODULE}:SCORE"])
def test_the_score_of_the_page_gives_a_matrix(name: str, adapter: Adapter, prompt: Prompt) -> None:
    score = head_scores.head_score(name)
    found = score.load()(adapter, prompt, (), answer=None)
    assert found.shape == (adapter.layers, adapter.heads)
    assert found.dtype == torch.float32
    assert ((found > 0) & (found <= 1)).all()
