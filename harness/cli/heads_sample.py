"""``coreheads heads show --sample``: what the heads of a profile look at in one record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from coreheads.errors import UserError
from coreheads.heads.profile import HeadProfile


def show_sample(
    profile: HeadProfile,
    sample: str,
    out: Path | None,
    split: str | None,
    model: str | None,
    data_root: Path | None,
    options: Sequence[str],
    settings: Sequence[str],
    device: str,
    dtype: str,
) -> None:
    """Load the profile's model, measure where heads look in a record, print it and write the picture.

    sample: TASK, TASK:RECORD_ID or TASK:NUMBER. UserError, before the model is loaded, for what is not there.
    """
    from coreheads.adapters.checkpoints.registry import load_adapter
    from coreheads.config.parsing import set_values
    from coreheads.files import write_bytes, writing
    from coreheads.report import attention
    from coreheads.run import examples
    from coreheads.tasks import registry

    if out is None:
        raise UserError("--sample: needs --out, expected the PNG file to write")
    name, _, key = sample.partition(":")
    task = registry.get(name)
    split = split or examples.split_to_show(task, "test", "profile")
    task.check_profile(split)
    taken: dict[str, Any] = {}
    set_values(taken, options, flag="--option", example=f"{name}.max_pages=4")
    if other := [given for given in taken if given != name]:
        raise UserError(f"--option {other[0]}: is not the task of --sample, expected {name}")
    of_model: dict[str, Any] = {}
    set_values(of_model, settings, flag="--setting", example="max_pixels=1000000")
    wanted = taken.get(name)
    examples.find_record(task, key or "0", split, data_root, wanted)
    if out.is_dir():
        raise UserError(f"--out is {out}, a folder, expected the name of a file such as {out / 'example.png'}")
    adapter = load_adapter(
        model or profile.model["id"],
        device=device,
        dtype=dtype,
        revision=None if model else profile.model["revision"],
        **of_model,
    )
    doc = examples.find_record(task, key or "0", split, data_root, wanted, adapter.model_type)
    gaze, query = examples.gaze_at(adapter, task, doc, profile)
    title = f"{Path(adapter.id).name} on {name}, record {task.record_id(doc)} (split {split})"
    with writing(out):
        write_bytes(out, attention.png(gaze, query, title))
    typer.echo(f"{title}\n{attention.describe(gaze, query)}\nPicture: {out}")
