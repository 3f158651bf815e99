"""``coreheads heads``: look at head profiles."""

from __future__ import annotations

from pathlib import Path

import typer

from coreheads.cli.profile import DataRoot, Device, Dtype, Options, Settings

app = typer.Typer(help="Look at the heads that `coreheads profile` or `coreheads run` found.", no_args_is_help=True)


@app.command()
def show(
    file: Path = typer.Argument(help="A head profile (heads.json)."),
    top: int = typer.Option(20, help="How many heads the table lists.", min=1),
    fraction: float = typer.Option(0.05, help="The share of all heads to sum up and to outline in the figure."),
    out: Path | None = typer.Option(None, help="Write the figure (layers x heads) to this PNG file."),
    sample: str | None = typer.Option(
        None, metavar="TASK[:RECORD]", help="Draw where heads look in a record, by its id or number."
    ),
    split: str | None = typer.Option(None, help="Of --sample; default: test, where the task has it."),
    model: str | None = typer.Option(None, help="For --sample: a hub id or folder; default: the profile's own model."),
    data_root: DataRoot = None,
    option: Options = None,
    setting: Settings = None,
    device: Device = "auto",
    dtype: Dtype = "float32",
) -> None:
    """Show a profile: the leading heads, how much they hold, where they sit, how far the ranking can be trusted.

    With --sample: where its top heads and a low-ranked one look in one record of a task, drawn over its picture, pages
    or frames with the right place marked.

    Example: coreheads heads show heads.json --top 20 --out heads.png

    Example: coreheads heads show heads.json --sample coreheads_mini_refcocog:0 --out example.png
    """
    from coreheads.cli.output import say
    from coreheads.errors import UserError
    from coreheads.files import write_bytes, write_errors
    from coreheads.heads.profile import HeadProfile
    from coreheads.outputs import check_output
    from coreheads.report.profile_text import findings, origin, ranking_table

    if out is not None and out.suffix.lower() != ".png":
        raise UserError(f"--out is {out}, expected a file that ends in .png")
    if out is not None and not out.is_dir():
        check_output("--out", out, "a PNG picture", {"the head profile": file})
    profile = HeadProfile.load(file)
    if sample is None:
        say(*f"{origin(profile)}\n\n{ranking_table(profile, top)}\n\n{findings(profile, fraction)}".split("\n"))
        if out is not None:
            from coreheads.report.figures import head_map_png

            with write_errors(out):
                write_bytes(out, head_map_png(profile, fraction))
            say("", f"Figure: {out}")
        return
    from coreheads.adapters.checkpoints.adapter import load_adapter
    from coreheads.config.parsing import set_values
    from coreheads.report import attention
    from coreheads.run import examples
    from coreheads.tasks import registry

    # everything that can be wrong is looked at before the model is loaded
    if out is None:
        raise UserError("--sample: needs --out, expected the PNG file to write")
    name, _, key = sample.partition(":")
    task = registry.get(name)
    split = split or examples.split_to_show(task, "test", "profile")
    task.check_profile(split)
    options = set_values({}, option or (), flag="--option", example=f"{name}.max_pages=4")
    if other := [given for given in options if given != name]:
        raise UserError(f"--option {other[0]}: is not the task of --sample, expected {name}")
    settings = set_values({}, setting or (), flag="--setting", example="max_pixels=1000000")
    record = (task, key or "0", split, data_root, options.get(name))
    examples.find_record(*record)
    if out.is_dir():
        raise UserError(f"--out is {out}, a folder, expected the name of a file such as {out / 'example.png'}")
    revision = None if model else profile.model["revision"]
    adapter = load_adapter(model or profile.model["id"], device=device, dtype=dtype, revision=revision, **settings)
    doc = examples.find_record(*record, adapter.model_type)
    attention_map, query = examples.attention_map_of(adapter, task, doc, profile)
    title = f"{Path(adapter.id).name} on {name}, record {task.record_id(doc)} (split {split})"
    with write_errors(out):
        write_bytes(out, attention.png(attention_map, query, title))
    say(title, attention.describe(attention_map, query), f"Picture: {out}")


@app.command()
def compare(
    first: Path = typer.Argument(metavar="A", help="A head profile (heads.json)."),
    second: Path = typer.Argument(metavar="B", help="Another one, of a model with as many layers and heads."),
    moved: int = typer.Option(10, help="How many of the heads that moved most to list.", min=1),
) -> None:
    """Compare two profiles: do other data, another seed or another checkpoint find the same heads?

    Example: coreheads heads compare heads-images.json heads-pages.json
    """
    from coreheads.cli.output import say
    from coreheads.errors import UserError
    from coreheads.heads.profile import HeadProfile
    from coreheads.report.profile_text import caveats, comparison

    a, b = HeadProfile.load(first), HeadProfile.load(second)
    if a.shape != b.shape:
        raise UserError(
            f"{second}: has {b.shape[0]} layers x {b.shape[1]} heads, but {first} has {a.shape[0]} x {a.shape[1]}: "
            "heads of different models cannot be compared one by one"
        )
    for name, profile, path in (("A", a, first), ("B", b, second)):
        tasks = ", ".join(profile.tasks) or "no task"
        say(f"{name}  {path}: {profile.model['id']}, {profile.samples} samples of {tasks}")
    say("", *comparison(a, b, moved).split("\n"))
    notes = [f"Note: {note}" for note in caveats(a, b)]
    say(*(["", *notes] if notes else []))
