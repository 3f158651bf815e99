"""What a picture or video shows, as a short text."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from coreheads.hashing.contents import file_hash
from coreheads.media.images import open_image
from coreheads.media.video import Video


def media_hash(value: Image.Image | Video | Path) -> str:
    """SHA-256 (hex) of a picture or video that a model is given.

    Of a file its size and bytes, above 256 MiB those of evenly spaced blocks (``hashing.contents``); its name
    does not count. Of a picture in memory the pixels that are shown, of a video in memory all its frames.

    Raises:
        UserError: A file that cannot be read, or a picture that cannot be shown.
    """
    if isinstance(value, Path):
        return file_hash(value)
    if isinstance(value, Video):
        content = hashlib.sha256(f"video {value.frames.shape} {value.fps} ".encode())
        content.update(np.ascontiguousarray(value.frames).data)
        return content.hexdigest()
    shown = open_image(value, "picture")
    return hashlib.sha256(f"picture {shown.size} ".encode() + shown.tobytes()).hexdigest()
