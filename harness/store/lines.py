"""Lines about cells, cells.jsonl and timings.jsonl, of which the last one of a cell counts."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TypeVar

from coreheads.errors import UserError, brief
from coreheads.files import read_jsonl
from coreheads.private import private
from coreheads.store.schema import CellRecord, FailureRecord, TimingRecord
from coreheads.store.validation import checked

Record = TypeVar("Record", CellRecord, TimingRecord)


def read_lines(
    path: Path, folder: Path, models: Collection[str], kind: type[Record], what: str
) -> tuple[dict[str, Record], dict[str, FailureRecord]]:
    """(records, failures) by cell.

    Args:
        path: The file, which need not be there.
        folder: The run's, see :func:`coreheads.opening.open_file`.
        models: Names that a cell's model may have.
        kind: What a line is that says of no failure.
        what: The same in words, for messages.
    """
    last: dict[str, tuple[Record | None, FailureRecord | None]] = {}
    for number, line in enumerate(read_jsonl(path, folder), 1):
        where = f"{path}: line {number}"
        for key in ("failed", "unscored_example"):  # an older version stored them as they were
            if isinstance(line, dict) and isinstance(line.get(key), str):
                line[key] = private(line[key])
        if isinstance(line, dict) and "failed" in line:
            failure = checked(FailureRecord, line, where, what)
            last[failure["name"]] = None, failure
        else:
            record = checked(kind, line, where, what)
            last[record["name"]] = record, None
        if (model := line["cell"]["model"]) not in models:
            raise UserError(f"{where}: cell.model is {brief(model)}, expected a model of manifest.json")
    records = {key: record for key, (record, _) in last.items() if record is not None}
    return records, {key: failure for key, (_, failure) in last.items() if failure is not None}
