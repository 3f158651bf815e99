"""The media of a prompt: opened, and given to a family's processor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coreheads.adapters.generation.memory import is_out_of_memory
from coreheads.adapters.prompt.messages import Source
from coreheads.adapters.prompt.processing import EncodedMedia, LoadedMedium
from coreheads.errors import UserError, one_line
from coreheads.media.images import open_image
from coreheads.media.video import sample


def load(source: Source, frames: Callable[[int, float], Sequence[int]]) -> LoadedMedium:
    """The medium's pixels; ``frames``: which of a video are shown, see ``Adapter.frames``."""
    if source.kind == "image":
        return LoadedMedium(source, picture=open_image(source.value, source.where))  # type: ignore[arg-type]
    return LoadedMedium(source, video=sample(source.value, frames, source.start, source.end))  # type: ignore[arg-type]


def encoded(loaded: Sequence[LoadedMedium], process: Callable[[Sequence[LoadedMedium]], EncodedMedia]) -> EncodedMedia:
    """What ``process`` makes of the media, of which there may be none; UserError where it refuses them."""
    if not loaded:
        return EncodedMedia({}, [])
    try:
        return process(loaded)
    except UserError:
        raise
    except Exception as error:  # whatever a processor raises, such as for a shape beyond what the family takes
        if is_out_of_memory(error):
            raise
        shown = ", ".join(item.source.name for item in loaded)
        raise UserError(f"{shown}: refused by the processor ({one_line(error)})") from error
