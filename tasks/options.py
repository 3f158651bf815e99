"""What a task's options may be: a kind, a default, and whether null means something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from coreheads.errors import UserError, nearest

Kind = Literal["a whole number above 0", "a text", "a list of whole numbers", "a list of texts"]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _listed(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(fits, value))


_FITS: Mapping[Kind, Callable[[Any], bool]] = {
    "a whole number above 0": _whole,
    "a text": lambda value: isinstance(value, str) and value != "",
    "a list of whole numbers": lambda value: _listed(value, _whole),
    "a list of texts": lambda value: _listed(value, lambda part: isinstance(part, str)),
}


@dataclass(frozen=True)
class Option:
    """What an option may be.

    Attributes:
        default: Its value where none is given.
        kind: What its values are.
        null: Whether None is a value, as it is wherever it is the default.
        choices: All that a value, or an element of a list, may be; empty for anything of the kind.
    """

    default: Any
    kind: Kind
    null: bool = False
    choices: tuple[Any, ...] = ()

    def check(self, name: str, value: Any) -> None:
        """UserError for a value that is not of the kind."""
        null = self.null or self.default is None
        if value is None and null:
            return
        if not _FITS[self.kind](value):
            raise UserError(f"options.{name}: {value!r}, expected {self.kind}{' or null' if null else ''}")
        several = isinstance(value, list | tuple)
        for part in value if several else [value]:
            if self.choices and part not in self.choices:
                choices = f"{'some' if several else 'one'} of {', '.join(map(str, self.choices))}"
                raise UserError(f"options.{name}: {part!r}, expected {choices}")


def complete(task: str, known: Mapping[str, Option], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The values of all options. UserError for one that the task does not have, or that is not of its kind."""
    if given is not None and not isinstance(given, Mapping):
        raise UserError(f"options of {task}: {given!r}, expected names and values")
    for name, value in (given or {}).items():
        if name not in known:
            near = nearest(name, known)
            have = ", ".join(known) or "none"
            raise UserError(f"options.{name}: {task} has no such option{near}, expected one of: {have}")
        known[name].check(name, value)
    return {**{name: option.default for name, option in known.items()}, **(given or {})}
