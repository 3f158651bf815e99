"""How much of the pictures of prompts is held at a time: those of one prompt, and no more than there is room for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

from coreheads import limits
from coreheads.errors import BadSample

if TYPE_CHECKING:
    from PIL.Image import Image

Asked = ParamSpec("Asked")
Made = TypeVar("Made")


class PictureRoom:
    """Room for the pictures of one prompt, which a processor takes all at once.

    Args:
        where: What to call them in a message.
        instead: What to do where they are too many, such as "lower the option dpi".
    """

    def __init__(self, where: str, instead: str) -> None:
        self.where, self.instead = where, instead
        self.pixels = 0

    def ask(self, pixels: float) -> None:
        """BadSample where so many pixels more than were taken are too many."""
        try:
            limits.check(self.pixels + pixels, limits.PROMPT_PIXELS, "pixels on all pages and pictures of a prompt")
        except ValueError as error:
            raise BadSample(f"{self.where}: {error}; {self.instead}") from None

    def take(self, picture: Image) -> Image:
        """The picture, counted."""
        pixels = picture.width * picture.height
        self.ask(pixels)
        self.pixels += pixels
        return picture


class Latest(Generic[Asked, Made]):
    """A function that keeps what it gave last, and lets it go before it makes anything else."""

    def __init__(self, make: Callable[Asked, Made]) -> None:
        self._make = make
        self._kept: tuple[object, Made] | None = None

    def __call__(self, *asked: Asked.args, **named: Asked.kwargs) -> Made:
        key = asked, named
        kept = self._kept
        if kept is None or kept[0] != key:
            self._kept = kept = None
            self._kept = kept = (key, self._make(*asked, **named))
        return kept[1]

    def cache_clear(self) -> None:
        self._kept = None
