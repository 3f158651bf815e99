"""The embedded model's closed vocabulary, and the few words that mean a place, a time or a number.

Every word is one token; anything else is spelled in bytes, so any text can be tokenised.
"""

from __future__ import annotations

COLOURS = ("red", "green", "blue", "yellow", "magenta", "cyan", "orange", "white")
SHAPES = ("circle", "square", "triangle", "star", "cross", "diamond", "ring", "bar")
NAMES = tuple(f"{colour}-{shape}" for colour in COLOURS for shape in SHAPES)
DIGITS = tuple(str(digit) for digit in range(10))
STAMPS = tuple(f"#{number}" for number in range(32))
"""Page numbers, and whole seconds of a video."""

BINS = 16
"""A box corner is one of 0..BINS in either axis, whatever the picture's size."""


def per_mille(bin_index: int) -> int:
    """A bin as the 0-1000 coordinate that Qwen3-VL answers with."""
    return (bin_index * 1000 + BINS // 2) // BINS


X_WORDS = tuple(f"({per_mille(index)}," for index in range(BINS + 1))
Y_WORDS = tuple(f"{per_mille(index)})" for index in range(BINS + 1))
SECONDS = tuple(f"<{second}.2 seconds>" for second in range(64))
"""What Qwen3-VL writes before each pair of frames, at 2 frames a second: the mean of i and i + 0.5, to one decimal."""

OPTIONS = ("(A)", "(B)", "(C)", "(D)")
PROSE = (
    "system", "user", "assistant", "where", "when", "and", "is", "the", "which", "page", "has", "what", "digit", "by",
    "?", ".", ",", ":", "a", "of", "in", "on", "at", "image", "video", "frame", "picture", "document", "question",
    "answer", "options", "none", "not", "best", "option", "give", "only",
)  # fmt: skip

PAD = "<|endoftext|>"
END = "<|im_end|>"
IMAGE = "<|image_pad|>"
VIDEO = "<|video_pad|>"
VISION_START = "<|vision_start|>"
VISION_END = "<|vision_end|>"
SPECIAL = (PAD, "<|im_start|>", END, VISION_START, VISION_END, "<|vision_pad|>", IMAGE, VIDEO)

WORDS = (*PROSE, *OPTIONS, *DIGITS, *STAMPS, *X_WORDS, *Y_WORDS, *SECONDS, *NAMES)
