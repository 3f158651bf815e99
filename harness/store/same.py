"""Whether a folder holds a run of this very configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coreheads.errors import UserError


def check_same(path: Path, stored: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """UserError where the configuration that the folder's run was made by is not the wanted one; it names what differs.

    Where results lie (``out``) does not count.
    """
    old, new = dict(_leaves(stored)), dict(_leaves(wanted))
    changed = [
        f"{key}: {json.dumps(old.get(key))} there, {json.dumps(new.get(key))} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key) and key != "out"
    ]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise UserError(
            f"{path}: holds a run with another configuration ({'; '.join(changed[:3])}{more}); "
            "give another --out, --fresh, or the same configuration to go on"
        )


def _leaves(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from _leaves(part, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and any(isinstance(part, dict) for part in value):
        for index, part in enumerate(value):
            yield from _leaves(part, f"{key}.{index}")
    else:
        yield key, value
