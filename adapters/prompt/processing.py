"""A family's processor at work on loaded media: its tensors, and the texts that stand for the media.

The image and the video processor are called as the whole processor calls them, but without a text: tokens are made
once, from the finished prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from PIL import Image
from torch import Tensor
from transformers.video_utils import VideoMetadata

from coreheads.adapters.prompt.messages import Source
from coreheads.adapters.prompt.prompt import EncodedMedium, Medium
from coreheads.media.video import Sampled

T = TypeVar("T")


@dataclass(frozen=True)
class LoadedMedium:
    """A medium with its pixels: the picture of an image, or the sampled frames of a video."""

    source: Source
    picture: Image.Image | None = None
    video: Sampled | None = None

    def medium(self, pair: int = 1) -> Medium:
        """What the prompt says of it; ``pair`` frames of a video make a temporal patch, the last one repeated."""
        name = self.source.name
        if self.video is None:
            assert self.picture is not None
            return Medium("image", name, self.picture.width, self.picture.height)
        video = self.video
        height, width = video.frames.shape[1:3]
        frames, seconds = _patches(video.indices, pair), _patches(video.seconds, pair)
        return Medium("video", name, width, height, frames, seconds, video.fps, video.total)


def _patches(values: Sequence[T], pair: int) -> tuple[tuple[T, ...], ...]:
    """The values of each temporal patch."""
    padded = [*values, *[values[-1]] * (-len(values) % pair)]
    return tuple(tuple(padded[start : start + pair]) for start in range(0, len(padded), pair))


@dataclass(frozen=True)
class EncodedMedia:
    """What a family's processor made of the media of one prompt.

    Attributes:
        inputs: The tensors that go to the model besides the text's.
        media: In the order of their tokens.
    """

    inputs: dict[str, Tensor]
    media: list[EncodedMedium]


def processed(
    processor: Any, loaded: Sequence[LoadedMedium], together: bool = False
) -> tuple[dict[str, Tensor], list[str]]:
    """Model inputs of one prompt's media by name, and the text that stands in the prompt for each of them.

    ``together``: whether the pictures are one list, which matters to a processor that treats several unlike one.
    """
    pictures = [item.picture for item in loaded if item.picture is not None]
    videos = [item.video for item in loaded if item.video is not None]
    inputs: dict[str, Any] = {}
    words: dict[str, list[str]] = {"image": [], "video": []}
    if pictures:
        images = image_inputs(processor, [pictures] if together else pictures)
        words["image"] = [processor.replace_image_token(images, number) for number in range(len(pictures))]
        inputs |= images
    if videos:
        clips = video_inputs(processor, videos)
        words["video"] = [processor.replace_video_token(clips, number) for number in range(len(videos))]
        inputs |= {name: value for name, value in clips.items() if name != "video_metadata"}
    turns = {kind: iter(texts) for kind, texts in words.items()}
    return inputs, [next(turns[item.source.kind]) for item in loaded]


def image_inputs(processor: Any, pictures: Sequence[Any], **settings: Any) -> dict[str, Any]:
    """What the image processor makes of the pictures."""
    return dict(processor.image_processor(pictures, return_tensors="pt", **settings))


def video_inputs(processor: Any, videos: Sequence[Sampled]) -> dict[str, Any]:
    """What the video processor makes of the sampled frames, none of which it samples again.

    Processors take it that frame i is at i / fps seconds: they are told ticks, so that it is at its own time.
    """
    return dict(
        processor.video_processor(
            [torch.from_numpy(video.frames).permute(0, 3, 1, 2) for video in videos],
            video_metadata=[
                VideoMetadata(
                    total_num_frames=round(video.total / video.fps * video.rate),
                    fps=video.rate,
                    duration=video.total / video.fps,
                    height=video.frames.shape[1],
                    width=video.frames.shape[2],
                    frames_indices=list(video.ticks),
                )
                for video in videos
            ],
            do_sample_frames=False,
            input_data_format="channels_first",
            return_metadata=True,
            return_tensors="pt",
        )
    )
