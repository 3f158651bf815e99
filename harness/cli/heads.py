"""``coreheads heads``: look at head profiles."""

from __future__ import annotations

from pathlib import Path

import typer

from coreheads.cli.profile import DataRoot, Device, Dtype, Options, Settings
from coreheads.heads.types import SINK, WINDOW

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""What compared profiles are called."""

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
    include: list[Path] = typer.Option([], help="For --sample: a folder with tasks of your own; may be repeated."),
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
    from coreheads.report.profile_text import findings, origin, ranking_table
    from coreheads.store.outputs import check_output

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
    for folder in include:
        registry.include(folder)
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
def export(
    file: Path = typer.Argument(help="A head profile (heads.json)."),
    out: Path = typer.Option(help="The JSON file to write."),
    fraction: float = typer.Option(0.05, help="The share of all heads that read everything."),
    sink: int = typer.Option(SINK, help="First tokens that every head sees.", min=0),
    window: int = typer.Option(WINDOW, help="Last tokens that every head sees, the reading one among them.", min=1),
    granularity: str = typer.Option("query", help="query, or kv: all query heads of a KV head with a selected one."),
    selection: str = typer.Option("top", help="Which heads: top; as a control bottom, random, layer_matched, none."),
    seed: int = typer.Option(0, help="Of a selection that draws.", min=0),
) -> None:
    """Write what every head may see as plain JSON, for serving engines: by layer the full heads, sink and window.

    The fields are described in docs/engines.md and in `coreheads.heads.windows`.

    Example: coreheads heads export heads.json --fraction 0.05 --sink 128 --window 1024 --out windows.json
    """
    from coreheads.bench import settings
    from coreheads.cli.output import say
    from coreheads.files import write_errors, write_text
    from coreheads.heads.profile import HeadProfile
    from coreheads.heads.schema import to_text
    from coreheads.heads.selections import SEEDED, SIZED, select
    from coreheads.heads.windows import windows
    from coreheads.store.outputs import check_output

    check_output("--out", out, "a file of head windows", {"the head profile": file})
    profile = HeadProfile.load(file)
    heads = select(selection, profile.mean, profile.shape, fraction, seed)
    asked = fraction if selection in SIZED else None, seed if selection in SEEDED else None
    record = windows(profile, heads, sink, window, settings.granularity(granularity), selection, *asked)
    with write_errors(out):
        write_text(out, to_text(record))
    full, kv_heads = (sum(len(layer[name]) for layer in record["layers"]) for name in ("full_heads", "full_kv_heads"))
    of = profile.shape[0] * profile.model["kv_heads"]
    say(f"{full} of {profile.count} heads read everything, {kv_heads} of {of} KV heads keep it", f"Windows: {out}")


@app.command()
def compare(
    files: list[Path] = typer.Argument(
        metavar="A B ...", help="Head profiles of models with as many layers and heads."
    ),
    moved: int = typer.Option(10, help="Of two profiles: how many of the heads that moved most to list.", min=1),
    run: Path | None = typer.Option(None, help="A run folder: also the scores of its cells with these top heads."),
    out: Path | None = typer.Option(None, help="Write the comparison to this text file too."),
) -> None:
    """Compare profiles: do other data, another seed, another checkpoint or another score find the same heads?

    Example: coreheads heads compare heads-images.json heads-pages.json

    Example: coreheads heads compare heads.ram.json heads.qrhead.json heads.visual_hit.json --run results/runs/scores
    """
    from itertools import product

    from coreheads.cli.output import say
    from coreheads.errors import UserError
    from coreheads.files import write_bytes, write_errors
    from coreheads.heads.profile import HeadProfile
    from coreheads.report.profile_comparison import accuracies, overlaps
    from coreheads.report.profile_text import caveats, comparison
    from coreheads.store.folder import RunFolder
    from coreheads.store.outputs import check_output
    from coreheads.text import visible

    if not 2 <= len(files) <= len(LETTERS):
        raise UserError(f"{len(files)} head profiles are given, expected 2 to {len(LETTERS)}")
    if out is not None:
        if out.is_dir():
            raise UserError(f"--out is {out}, a folder, expected the name of a file such as {out / 'comparison.txt'}")
        check_output("--out", out, "a comparison", {f"head profile {path}": path for path in files})
    profiles = {letter: HeadProfile.load(path) for letter, path in zip(LETTERS, files, strict=False)}
    a, *others = profiles.values()
    for path, profile in zip(files[1:], others, strict=True):
        if a.shape != profile.shape:
            raise UserError(
                f"{path}: has {profile.shape[0]} layers x {profile.shape[1]} heads, but {files[0]} has {a.shape[0]} x "
                f"{a.shape[1]}: heads of different models cannot be compared one by one"
            )
    folder = None if run is None else RunFolder.load(run)
    lines = []
    for (name, profile), path in zip(profiles.items(), files, strict=True):
        tasks = ", ".join(profile.tasks) or "no task"
        by = "" if profile.score == "ram" else f" by {profile.score}"
        lines.append(f"{name}  {path}: {profile.model['id']}{by}, {profile.samples} samples of {tasks}")
    lines += ["", *(comparison(a, others[0], moved) if len(others) == 1 else overlaps(profiles)).split("\n")]
    if folder is not None:
        from coreheads.leaderboard.rows import build_rows

        named = product((model["name"] for model in folder.config["models"]), folder.scores)
        known = [(name, folder.profile(name, score)) for name, score in named]
        models = [name for name, profile in known if profile is not None and profile.model["id"] == a.model["id"]]
        heads = {
            name: frozenset((layer, head) for layer, head in cell["heads"]) for name, cell in folder.cells().items()
        }
        table = accuracies(profiles, build_rows(folder), heads, models)
        if not table:
            raise UserError(
                f"--run {run}: no finished cell of {a.model['id']} has the top heads of one of these profiles"
            )
        lines += ["", *table.split("\n")]
    pairs = [(f"A and {name}", profile) for name, profile in profiles.items() if profile is not a]
    notes = [f"Note: {note}" for names, profile in pairs for note in caveats(a, profile, names)]
    lines += ["", *notes] if notes else []
    say(*lines)
    if out is not None:
        with write_errors(out):
            write_bytes(out, "".join(f"{visible(line)}\n" for line in lines).encode())
        say("", f"Written: {out}")
