"""``coreheads profile``: find the heads of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from typer.core import TyperCommand

Device = Annotated[
    str, typer.Option(help="cpu, cuda, cuda:1; auto takes a GPU where there is one, auto-map as many as hold it.")
]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16 or float16; auto: the checkpoint's own.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--setting", metavar="NAME=VALUE", help="Of the model's adapter, as max_pixels; may be repeated."),
]
DataRoot = Annotated[Path | None, typer.Option(help="The folder that holds benchmark data; see `coreheads tasks`.")]
Options = Annotated[
    list[str] | None, typer.Option("--option", metavar="TASK.NAME=VALUE", help="A task's option; may be repeated.")
]


class Command(TyperCommand):
    """Its help ends with the names of all head scores, other packages' too, which are not known before it is asked."""

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the names behind the options."""
        from coreheads.retrieval.head_scores import score_names

        with formatter.section("Head scores"):
            formatter.write_text(", ".join(score_names()))


def command(
    model: str = typer.Argument(help="A hub id, a local folder, tiny, smol or smol-onevision (embedded)."),
    tasks: str = typer.Option(help="Tasks by comma, most scores need ground-truth regions; see `coreheads tasks`."),
    samples: int = typer.Option(64, help="Records a task; 0 takes all of the split.", min=0),
    out: Path = typer.Option(Path("heads.json"), help="The file to write; of several scores heads.SCORE.json."),
    split: str = typer.Option("profile", help="Where the records come from; judge the heads on another split."),
    normalization: str = typer.Option(
        "none", help="Of RAM: none; vision: within the attention to pictures; lift: against a uniform reader."
    ),
    score: list[str] = typer.Option(["ram"], help="A head score below, or module:function; may be repeated."),
    device: Device = "auto",
    dtype: Dtype = "float32",
    attn_implementation: str | None = typer.Option(
        None, help="The model's attention kernel; default: the model's own."
    ),
    revision: str | None = typer.Option(None, help="Of the hub repository."),
    trust_remote_code: bool = typer.Option(
        False, "--trust-remote-code", help="Run code that comes with the checkpoint."
    ),
    seed: int = typer.Option(0, help="Of the intervals and of the split-half agreement.", min=0),
    data_root: DataRoot = None,
    option: Options = None,
    setting: Settings = None,
    include: list[Path] = typer.Option([], help="A folder with tasks of your own; may be repeated."),
    quiet: bool = typer.Option(False, "--quiet", help="No progress."),
) -> None:
    """Find the heads that look at what a question asks about, and write them to a file.

    Every attention head is scored by its retrieval attention mass (RAM): of the attention that the words of the
    question pay, how much falls on the part of the picture, page or video that the answer is about. It takes one
    forward pass a record. Other scores are asked for by --score. An interrupted command goes on where it stopped when
    it is given again.

    Example: coreheads profile tiny --tasks coreheads_mini_refcocog --out heads.json

    Then: coreheads heads show heads.json --out heads.png
    """
    import shutil
    from collections.abc import Callable, Iterator
    from contextlib import contextmanager, suppress

    from coreheads.cli.output import say
    from coreheads.config.parsing import set_values
    from coreheads.errors import UserError
    from coreheads.files import write_errors
    from coreheads.heads.schema import Normalization
    from coreheads.report.profile_text import findings, origin
    from coreheads.retrieval.head_scores import head_score
    from coreheads.retrieval.profiling import profile_heads
    from coreheads.run.costs import Work
    from coreheads.run.preflight import look
    from coreheads.run.progress import RunProgress
    from coreheads.store.outputs import check_output
    from coreheads.tasks import registry
    from coreheads.text import file_name

    # everything that can be wrong is looked at before a model is loaded, which may take minutes
    divisor = next((known for known in get_args(Normalization) if known == normalization), None)
    if divisor is None and normalization != "none":
        raise UserError(f"--normalization is {normalization!r}, expected none, vision or lift")
    for folder in include:
        registry.include(folder)
    names = [name.strip() for name in tasks.split(",") if name.strip()]
    settings = set_values({}, setting or (), flag="--setting", example="max_pixels=1000000")
    options = set_values({}, option or (), flag="--option", example="coreheads_mmlongbench_doc.dpi=72")
    if not names or len(set(names)) < len(names):
        raise UserError(f"--tasks is {tasks!r}, expected one or more different names by comma; see `coreheads tasks`")
    scores = [head_score(name) for name in score]
    if len(set(score)) < len(score):
        raise UserError(f"--score is {', '.join(score)}, expected different names")
    if not any(known.normalized for known in scores):
        scores[0].check_normalization(divisor)
    for name in names:
        registry.get(name).check_profile(split, next(filter(None, (known.needing_regions for known in scores)), None))
    for name, values in options.items():
        if name not in names:
            raise UserError(f"--option {name}: is no task of --tasks, expected one of {', '.join(names)}")
        registry.get(name).settings(values)
    if out.is_dir():
        raise UserError(f"--out is {out}, a folder, expected the name of a file such as {out / 'heads.json'}")
    outs = [out] if len(scores) == 1 else [out.with_name(f"{out.stem}.{file_name(name)}{out.suffix}") for name in score]
    for path in outs:
        check_output("--out", path, "a head profile", {})
    partial = out.with_name(f"{out.name}.partial")
    with write_errors(partial):
        partial.mkdir(parents=True, exist_ok=True)
    with suppress(OSError):
        partial.rmdir()  # it could be made, that is enough; with what an interrupted command left in it, it stays

    look(names, split, samples or None, data_root, options)

    from coreheads.adapters.checkpoints.adapter import load_adapter

    progress = RunProgress(not quiet)
    with progress.step("loading", model, 0, "models"):
        adapter = load_adapter(
            model,
            device=device,
            dtype=dtype,
            attn_implementation=attn_implementation,
            revision=revision,
            trust_remote_code=trust_remote_code,
            **settings,
        )

    for known, path in zip(scores, outs, strict=True):

        @contextmanager
        def shown(task: str, total: int, score: str = known.name) -> Iterator[Callable[[], object]]:
            fresh = not (partial / f"{task}.jsonl").exists()
            with (
                progress.step("profiling", f"{task} by {score}" if len(scores) > 1 else task, total),
                progress.work(Work("profile", model, task), total),
            ):
                yield lambda: progress.advance(computed=fresh)

        profile = profile_heads(
            adapter,
            names,
            samples or None,
            split=split,
            seed=seed,
            data_root=data_root,
            options=options,
            score=known.name,
            normalization=divisor if known.normalized else None,
            cache_dir=partial,
            progress=shown,
        )
        with write_errors(path):
            profile.save(path)
        say(*f"\n{origin(profile)}\n\n{findings(profile)}\n".split("\n"))
        say(f"Written: {path}. To see it: coreheads heads show {path}")
    shutil.rmtree(partial, ignore_errors=True)
    if len(outs) > 1:
        say(f"To compare them: coreheads heads compare {' '.join(map(str, outs))}")
