"""Which frame of which clip each vision token of a prompt belongs to, for methods that compare frames."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from coreheads.adapters.prompt.prompt import Prompt


@dataclass(frozen=True)
class Frames:
    """LongTensors [V], numbers from 0, in the order of ``Prompt.vision_tokens``.

    A frame of a video is a temporal patch: with Qwen3-VL a pair of sampled frames, whose time stands as text before it;
    with LLaVA-OneVision and InternVL a sampled frame. Its tokens are those of its grid, row by row, pooled or merged as
    the family does; LLaVA-OneVision's newline token after a video is one more token of the last frame. A picture or a
    page is one frame with all that the family shows of it: tiles, base view or thumbnail, newline tokens.

    A clip is a video. Pictures and pages are in one clip, like a video's frames, while they follow each other (whatever
    text is between) in the same size in pixels and the same number of tokens; any other picture is a clip of its own.

    Attributes:
        clip: Ascending.
        frame: Ascending, counted through the prompt.
        place: Of the token in its frame; equal places of a clip's frames see the same place of the picture.
    """

    clip: Tensor
    frame: Tensor
    place: Tensor

    def __getitem__(self, chosen: Tensor) -> Frames:
        """Those of some of the tokens."""
        return Frames(self.clip[chosen], self.frame[chosen], self.place[chosen])


def frames(prompt: Prompt) -> Frames:
    """The frames of a prepared prompt, on the CPU."""
    geometry = prompt.geometry
    shown, counts = geometry.media.unique_consecutive(return_counts=True)  # type: ignore[no-untyped-call]
    clips: list[int] = []
    last: tuple[int, int, int] | None = None
    for number, count in zip(shown.tolist(), counts.tolist(), strict=True):
        medium = prompt.media[number]
        size = (medium.width, medium.height, count) if medium.kind == "image" else None
        clips.append((clips[-1] if clips else -1) + (size is None or size != last))
        last = size
    changed = torch.stack([geometry.media, geometry.patch]).diff(dim=1).any(0).long()
    frame = torch.nn.functional.pad(changed.cumsum(0), (1, 0))
    sizes = frame.bincount()
    starts = sizes.cumsum(0) - sizes
    return Frames(
        torch.tensor(clips, dtype=torch.long).repeat_interleave(counts), frame, torch.arange(len(frame)) - starts[frame]
    )
