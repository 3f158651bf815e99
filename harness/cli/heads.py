"""``coreheads heads``: look at head profiles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coreheads.cli.profile import DataRoot, Device, Dtype, Options, Settings

app = typer.Typer(help="Look at the heads that `coreheads profile` or `coreheads run` found.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="A head profile (heads.json).")]
Top = Annotated[int, typer.Option(help="How many heads the table lists.", min=1)]
Fraction = Annotated[float, typer.Option(help="The share of all heads to sum up and to outline in the figure.")]
Figure = Annotated[Path | None, typer.Option(help="Write the figure (layers x heads) to this PNG file.")]
Sample = Annotated[
    str | None, typer.Option(metavar="TASK[:RECORD]", help="Draw where heads look in a record, by its id or number.")
]
Split = Annotated[str | None, typer.Option(help="Of --sample; default: test, where the task has it.")]
Model = Annotated[str | None, typer.Option(help="For --sample: a hub id or folder; default: the profile's own model.")]
First = Annotated[Path, typer.Argument(metavar="A", help="A head profile (heads.json).")]
Second = Annotated[Path, typer.Argument(metavar="B", help="Another one, of a model with as many layers and heads.")]
Moved = Annotated[int, typer.Option(help="How many of the heads that moved most to list.", min=1)]


@app.command()
def show(
    file: File,
    top: Top = 20,
    fraction: Fraction = 0.05,
    out: Figure = None,
    sample: Sample = None,
    split: Split = None,
    model: Model = None,
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
    from coreheads.errors import UserError
    from coreheads.heads.profile import HeadProfile
    from coreheads.report.profile_text import findings, origin, ranking_table

    if out is not None and out.suffix.lower() != ".png":
        raise UserError(f"--out is {out}, expected a file that ends in .png")
    profile = HeadProfile.load(file)
    if sample is not None:
        from coreheads.cli.heads_sample import show_sample

        show_sample(profile, sample, out, split, model, data_root, option or (), setting or (), device, dtype)
        return
    typer.echo(f"{origin(profile)}\n\n{ranking_table(profile, top)}\n\n{findings(profile, fraction)}")
    if out is not None:
        from coreheads.files import write_bytes, writing
        from coreheads.report.figures import head_map_png

        with writing(out):
            write_bytes(out, head_map_png(profile, fraction))
        typer.echo(f"\nFigure: {out}")


@app.command()
def compare(first: First, second: Second, moved: Moved = 10) -> None:
    """Compare two profiles: do other data, another seed or another checkpoint find the same heads?

    Example: coreheads heads compare heads-images.json heads-pages.json
    """
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
        typer.echo(f"{name}  {path}: {profile.model['id']}, {profile.samples} samples of {tasks}")
    typer.echo(f"\n{comparison(a, b, moved)}")
    for number, note in enumerate(caveats(a, b)):
        typer.echo(f"{'' if number else chr(10)}Note: {note}")
