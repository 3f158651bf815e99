"""What a task's options may be: a kind, a default, and whether null means something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from coreheads.errors import UserError, nearest

Kind = Literal["a whole number above 0", "a text", "a list of whole numbers", "a list of texts"]


@dataclass(frozen=True)
class Option:
    """null: whether None is a value, as it is wherever it is the default. choices: all that a value, or an element of
    a list, may be; empty for anything of the kind."""

    default: Any
    kind: Kind
    null: bool = False
    choices: tuple[Any, ...] = ()

    def check(self, name: str, value: Any) -> None:
        """UserError for a value that is not of the kind."""
        if value is None and (self.null or self.default is None):
            return
        if not self._fits(value):
            others = " or null" if self.null or self.default is None else ""
            raise UserError(f"options.{name}: {value!r}, expected {self.kind}{others}")
        for part in value if isinstance(value, list | tuple) else [value]:
            if self.choices and part not in self.choices:
                some = "some" if isinstance(value, list | tuple) else "one"
                raise UserError(f"options.{name}: {part!r}, expected {some} of {', '.join(map(str, self.choices))}")

    def _fits(self, value: Any) -> bool:
        if self.kind == "a whole number above 0":
            return _whole(value)
        if self.kind == "a text":
            return isinstance(value, str) and bool(value)
        one = _whole if self.kind == "a list of whole numbers" else lambda part: isinstance(part, str)
        return isinstance(value, list | tuple) and bool(value) and all(one(part) for part in value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


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
