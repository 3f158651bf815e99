"""A finished run's sources, changed one at a time: weights, settings, heads, questions, pictures."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import small_run
from PIL import Image

from coreheads.cli import main
from coreheads.files import read_json, write_json


def again(home: Path, *more: str) -> int:
    return main(["run", str(home / "config.yaml"), "--quiet", *more])


def contents(folder: Path) -> dict[str, bytes]:
    names = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("run."))
    return {str(path.relative_to(folder)): path.read_bytes() for path in names}


def keeping_times(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Another content of the same size with the same time of change."""
    about, data = path.stat(), path.read_bytes()
    path.write_bytes(changed := change(data))
    assert len(changed) == len(data)
    assert changed != data
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


def other_weights(home: Path) -> None:
    keeping_times(home / "model/model.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1]))


def other_settings(home: Path) -> None:
    path = home / "model/config.json"
    path.write_text(path.read_text().replace('"rope_theta"', '"rope_theto"', 1))


def other_template(home: Path) -> None:
    (path,) = home.glob("model/chat_template*")
    keeping_times(path, lambda data: data.replace(b"user", b"User", 1) if b"user" in data else data[::-1])


def other_tokens(home: Path) -> None:
    path = home / "model/tokenizer.json"
    path.write_text(path.read_text().replace("red-", "rad-", 1) + " ")


def other_heads(home: Path) -> None:
    about = read_json(home / "heads.json")
    about |= {name: [row[::-1] for row in about[name]] for name in ("mean", "ci_low", "ci_high")}
    write_json(home / "heads.json", about)


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    table = pq.read_table(path)
    rows = table.to_pylist()
    for row in rows:
        change(row)
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def other_questions(home: Path, split: str = "test") -> None:
    def swap(row: dict[str, Any]) -> None:
        row["bbox"] = [side + 1 for side in row["bbox"]]

    rewritten(next(home.glob(f"data/refcocog/data/{split}-*.parquet")), swap)


def other_profile(home: Path) -> None:
    other_questions(home, "val")


def other_picture(home: Path) -> None:
    def repaint(row: dict[str, Any]) -> None:
        picture, data = Image.open(io.BytesIO(row["image"]["bytes"])).convert("RGB"), io.BytesIO()
        picture.putpixel((0, 0), (1, 2, 3))
        picture.save(data, "PNG")
        row["image"]["bytes"] = data.getvalue()

    rewritten(next(home.glob("data/refcocog/data/test-*.parquet")), repaint)


def other_pages(home: Path) -> None:
    def repaint(row: dict[str, Any]) -> None:
        data = io.BytesIO()
        Image.open(io.BytesIO(row["image_binary"])).convert("RGB").rotate(180).save(data, "PNG")
        row["image_binary"] = data.getvalue()

    rewritten(home / "data/mmdocir/test/MMDocIR_pages.parquet", repaint)


CHANGES = {
    "weights": (other_weights, "weights of model small ("),
    "configuration": (other_settings, "configuration of model small ("),
    "chat template": (other_template, "processor, tokenizer or chat template of model small ("),
    "tokenizer": (other_tokens, "processor, tokenizer or chat template of model given ("),
    "heads": (other_heads, "heads.json of model given ("),
    "questions": (other_questions, f"2 of 2 records of task {small_run.REC}, split test"),
    "questions of the profile": (other_profile, f"2 of 2 records of task {small_run.REC}, split profile"),
    "picture": (other_picture, f"2 of 2 records of task {small_run.REC}, split test"),
    "pages": (other_pages, f"2 of 2 records of task {small_run.PAGE}, split test"),
}
