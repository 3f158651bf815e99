"""What a frame and a clip are in each family."""

from __future__ import annotations

import pytest
from adapter_cases import image_part, mixed, picture, text_part, user, video, video_part
from family_cases import FAMILIES, adapter
from patches_oracle import logits

from coreheads.adapters.generation.structure import prompts_read
from coreheads.adapters.patches.base import Patch
from coreheads.adapters.patches.hooks import Cut
from coreheads.adapters.prompt.frames import frames

every_family = pytest.mark.parametrize("kind", FAMILIES)


@every_family
def test_what_a_frame_is_in_each_family(kind: str) -> None:
    own = adapter(kind)
    found = frames(own.prepare(mixed()))
    pairs = kind == "qwen3_vl"
    count = 4 if pairs else own.processor.video_processor.num_frames or 32
    count = 7 if kind == "internvl" else count
    assert found.clip.unique().tolist() == [0, 1, 2]
    assert found.frame.unique_consecutive().tolist() == list(range(count + 2))
    sizes = found.frame.bincount().tolist()
    assert len(set(sizes[1 : count + (kind != "llava_onevision")])) == 1
    assert sizes[count] - sizes[1] == (kind == "llava_onevision")
    assert [found.place[found.frame == number].tolist() for number in (1, 2)] == [list(range(sizes[1]))] * 2


@every_family
def test_pages_of_one_size_are_a_clip(kind: str) -> None:
    own = adapter(kind)
    shown = [picture(60, 90), picture(60, 90, 1), picture(90, 60), picture(60, 90, 2)]
    found = frames(own.prepare(user(*(part for page in shown for part in (image_part(page), text_part("page"))))))
    assert [int(found.clip[found.frame == number].unique()) for number in range(4)] == [0, 0, 1, 2]


class _Looks(Patch):
    """Drops nothing, and remembers the frames before layer 1."""

    drops = True

    def __init__(self) -> None:
        self.seen: list[list[int]] = []

    def stay(self, cut: Cut) -> None:
        if cut.layer == 1:
            self.seen.append(cut.frames.frame.tolist())


@every_family
def test_a_patch_gets_them_from_generate(kind: str) -> None:
    own, patch = adapter(kind), _Looks()
    prompts = [own.prepare(user(video_part(video(count, 64, 48)), text_part("where is it ?"))) for count in (9, 5)]
    with patch(own.model):
        own.generate(prompts, 2)
        with pytest.raises(ValueError, match="frames of the vision tokens are not known"):
            logits(own.model, own.collate([prompts[0]]))
    assert patch.seen == [frames(prompt).frame.tolist() for prompt in prompts]
    assert not prompts_read(own.model)
