"""A run's files between its driver, which alone has the folder, and its workers, which have copies of some."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from coreheads import limits
from coreheads.config.cells import Cell
from coreheads.errors import UserError
from coreheads.files import append_jsonl, cut_half_line, matching, read_bytes, write_bytes
from coreheads.report import example_files
from coreheads.run.replicas.news import Change
from coreheads.store.folder import RunFolder
from coreheads.store.samples import SampleFile

Files = dict[str, bytes]
"""Contents by name within the run's folder."""


def to_prepare(folder: RunFolder, cells: Iterable[Cell]) -> Files:
    """What finding heads goes on from: profiles, the scores of single records, which pictures there are."""
    patterns = ("heads/*.json", "heads/partial/*.jsonl", f"{example_files.FOLDER.as_posix()}/*.json")
    names = (
        path.relative_to(folder.path).as_posix() for pattern in patterns for path in matching(folder.path, pattern)
    )
    return _read(folder, names) | _finished(folder, cells)


def to_answer(folder: RunFolder, cell: Cell, dense: Cell | None) -> Files:
    """What a cell's answers go on from. dense: the cell whose prompts are the measure, where it is another."""
    return _read(folder, (_samples(own) for own in (cell, dense) if own is not None)) | _finished(folder, [cell])


def to_time(folder: RunFolder, cells: Iterable[Cell]) -> Files:
    """What a measurement of cells of one task needs: which were answered, how long their prompts were."""
    cells = list(cells)
    timings = folder.timings()
    return {
        **_read(folder, map(_samples, cells)),
        **_finished(folder, cells),
        "timings.jsonl": _lines(timings[cell.name] for cell in cells if cell.name in timings),
    }


def store(folder: RunFolder, changes: Iterable[Change], samples: SampleFile | None) -> None:
    """Do in the run's folder what a worker did in its copy. samples: of the cell that it answers. UserError for lines
    that are none, or that are there already."""
    for name, content, appended in changes:
        path = folder.path_of(*name.split("/"))
        if content is None:
            path.unlink(missing_ok=True)
        elif not appended:
            write_bytes(path, content)
        elif name.startswith("samples/"):
            if samples is None or samples.path != path:
                raise UserError(f"{path}: a worker that does not answer this cell has written to it")
            for line in content.splitlines():
                samples.take(json.loads(line))
            samples.sync()
        else:
            append_jsonl(path, *map(json.loads, content.splitlines()))


def _samples(cell: Cell) -> str:
    return f"samples/{cell.name}.jsonl"


def _read(folder: RunFolder, names: Iterable[str]) -> Files:
    return dict(_whole(folder, names))


def _whole(folder: RunFolder, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    for name in names:
        path = folder.path_of(*name.split("/"))
        if path.exists():
            if name.endswith(".jsonl"):
                cut_half_line(path)
            yield name, read_bytes(path, limits.LINES_BYTES, folder.path)


def _finished(folder: RunFolder, cells: Iterable[Cell]) -> Files:
    finished = folder.cells()
    return {"cells.jsonl": _lines(finished[cell.name] for cell in cells if cell.name in finished)}


def _lines(records: Iterable[object]) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)
