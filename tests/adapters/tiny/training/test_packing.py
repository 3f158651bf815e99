"""A packed question is the same computation as the stock model on the prompt that the real processor makes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from packed_prompts import prompt_inputs
from PIL import Image
from transformers.video_utils import VideoMetadata

from coreheads.adapters.generation.structure import language_model
from coreheads.adapters.tiny.model import build_model
from coreheads.adapters.tiny.processor import build_processor
from coreheads.adapters.tiny.training.forward import decoder_states, use_packed_attention
from coreheads.adapters.tiny.training.packing import Layout, make_batch, patchify, prefix
from coreheads.tasks.mini.world import render

LAYOUTS = (
    Layout("image", 1, 4, 8, 6, ("box", "digit"), 2, 2),
    Layout("document", 3, 4, 4, 12, ("page", "digit"), 2, 2),
    Layout("video", 3, 4, 4, 12, ("moment", "choice"), 2, 2),
)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.kind)
def test_packed_logits_are_those_of_the_stock_model(layout: Layout) -> None:
    model = build_model(1, num_hidden_layers=3)
    batch = make_batch(np.random.default_rng(5), layout)
    use_packed_attention(model)
    with torch.no_grad():
        packed = model.lm_head(decoder_states(model, batch))
    language_model(model).config._attn_implementation = "sdpa"
    for row in range(2):
        for number, asked in enumerate(batch.asked[row]):
            with torch.no_grad():
                alone = model(**prompt_inputs(batch, row, number, layout)).logits[0]
            count = len(asked.logits_at)
            torch.testing.assert_close(packed[row, list(asked.logits_at)], alone[-count:], atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.kind)
def test_prefix_and_pixels_are_what_the_processor_makes(layout: Layout) -> None:
    processor = build_processor()
    batch = make_batch(np.random.default_rng(2), layout)
    pictures = render(batch.scenes[0].kinds, np.random.default_rng(0))
    video = layout.kind == "video"
    content = [{"type": "video"}] if video else [{"type": "image"}] * layout.pictures
    text = processor.apply_chat_template([{"role": "user", "content": content}], tokenize=False)
    if video:
        frames = np.repeat(pictures, 2, axis=0)
        metadata = VideoMetadata(
            total_num_frames=len(frames), fps=2, frames_indices=list(range(len(frames))), height=64, width=64
        )
        made = processor(
            text=[text], videos=[frames], video_metadata=[metadata], do_sample_frames=False, return_tensors="pt"
        )
        pixels = made["pixel_values_videos"]
    else:
        made = processor(text=[text], images=[Image.fromarray(p) for p in pictures], return_tensors="pt")
        pixels = made["pixel_values"]
    ids, positions, after = prefix(layout.kind, layout.pictures, layout.rows, layout.columns)
    assert made["input_ids"][0, : len(ids)].tolist() == ids.tolist()
    torch.testing.assert_close(patchify(pictures), pixels, atol=1e-6, rtol=0)
    stock, _ = build_model(0, num_hidden_layers=1).model.get_rope_index(
        made["input_ids"],
        made["mm_token_type_ids"],
        image_grid_thw=made.get("image_grid_thw"),
        video_grid_thw=made.get("video_grid_thw"),
    )
    assert stock[:, 0, : len(ids)].tolist() == positions.tolist()
    assert after == int(positions[:, -1].max()) + 1


def test_a_segment_sees_the_pictures_and_itself_only() -> None:
    layout = LAYOUTS[0]
    batch = make_batch(np.random.default_rng(0), layout)
    start = len(prefix(layout.kind, 1, layout.rows, layout.columns)[0])
    begin = start
    for asked in batch.asked[0]:
        end = asked.logits_at[-1] + 1
        for token in range(begin, end):
            seen = batch.seen[0, 0, token - start].nonzero()[:, 0].tolist()
            assert seen == [*range(start), *range(begin, token + 1)]
        begin = end


def test_labels_are_the_answers() -> None:
    batch = make_batch(np.random.default_rng(0), LAYOUTS[2])
    for row, questions in enumerate(batch.asked):
        for asked in questions:
            assert batch.labels[row, list(asked.logits_at)].tolist() == list(asked.answer)
    assert int((batch.labels != -100).sum()) == sum(len(a.answer) for row in batch.asked for a in row)
