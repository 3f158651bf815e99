"""``coreheads bench``: how much faster hybrid attention is, by phase and context length."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(help="A hub id, a local folder, or tiny (the embedded model).")]
HeadsFile = Annotated[Path | None, typer.Option("--heads", help="A head profile; its top heads attend fully.")]
Selection = Annotated[
    str | None,
    typer.Option(help="By comma: top (of --heads), clustered (as real profiles are), scattered (worst for the cache)."),
]
Fraction = Annotated[str, typer.Option(help="Of all heads, by comma: 0.05,0.1.")]
Context = Annotated[str, typer.Option(help="Prompt lengths in tokens, by comma; k is 1,024: 8k,32k,128k.")]
Sink = Annotated[str, typer.Option(help="First tokens that every head sees; with --window by comma, in pairs.")]
Window = Annotated[str, typer.Option(help="Last tokens that every head sees.")]
Out = Annotated[Path, typer.Option(help="The file to write; details and a picture go beside it.")]
RandomWeights = Annotated[
    bool, typer.Option("--random-weights", help="Build the published shape, or a folder's, without its weights.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1; auto takes a GPU where there is one.")]
Dtype = Annotated[str, typer.Option(help="float32, bfloat16, float16; auto: bfloat16 on a GPU, else float32.")]
Repeats = Annotated[int, typer.Option(help="Of every measurement; 5 where a dense prefill takes over 20 s.", min=2)]
Warmup = Annotated[int, typer.Option(help="Runs before them.", min=0)]
DecodeTokens = Annotated[int, typer.Option(help="Tokens decoded a run.", min=2)]
Batch = Annotated[int, typer.Option(help="Equal prompts at a time.", min=1)]
GranularityOption = Annotated[str, typer.Option(help="query, or kv: all query heads of a KV head with a selected one.")]
Chunk = Annotated[int | None, typer.Option(help="Tokens of a prompt computed at a time; default: all.", min=1)]
Threads = Annotated[int | None, typer.Option(help="CPU threads; default: torch's choice.", min=1)]
Ram = Annotated[bool, typer.Option("--ram", help="Also what measuring RAM costs beside a plain prefill.")]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Only what memory it takes on a GPU, counted from shapes; --ram, --fit, --device count not."
    ),
]
Fit = Annotated[bool, typer.Option("--fit", help="Also the longest context that fits, dense and hybrid (GPU).")]


def command(
    model: Model,
    heads: HeadsFile = None,
    selection: Selection = None,
    fraction: Fraction = "0.05,0.1",
    context: Context = "4k,8k,16k",
    sink: Sink = "128",
    window: Window = "1024",
    out: Out = Path("bench.json"),
    random_weights: RandomWeights = False,
    device: Device = "auto",
    dtype: Dtype = "auto",
    repeats: Repeats = 10,
    warmup: Warmup = 1,
    decode_tokens: DecodeTokens = 16,
    batch: Batch = 1,
    granularity: GranularityOption = "query",
    prefill_chunk: Chunk = None,
    threads: Threads = None,
    ram: Ram = False,
    fit: Fit = False,
    dry_run: DryRun = False,
) -> None:
    """Time dense against hybrid attention, in turns in one process.

    The dense baseline is the fastest kernel found on this device; the ceiling
    (the other heads' attention left out) is measured in the same run. Before
    anything is timed, outputs are compared with a masked reference and the
    work of the kernels is counted; if either is wrong, the command fails
    with exit status 1.

    Example: coreheads bench tiny --heads heads.json --context 1k,4k,16k --sink 4 --window 64

    Without a checkpoint: coreheads bench Qwen/Qwen3-VL-8B --random-weights --context 8k,32k

    Whether that fits, told without a GPU: the same with --dry-run
    """
    from coreheads.bench import settings as parsing
    from coreheads.errors import UserError
    from coreheads.heads.profile import HeadProfile

    # everything that can be wrong is looked at before torch is loaded
    profile = None if heads is None else HeadProfile.load(heads)
    given = {
        "contexts": parsing.lengths(context),
        "fractions": parsing.fractions(fraction),
        "patterns": parsing.patterns(sink, window),
        "selections": parsing.selections(selection, profile is not None),
        "granularity": parsing.granularity(granularity),
    }
    if out.is_dir():
        raise UserError(f"--out is {out}, a folder, expected the name of a file such as {out / 'bench.json'}")

    from coreheads.bench import run as bench_run
    from coreheads.bench.check import BenchError
    from coreheads.bench.timing import Plan

    settings = bench_run.Settings(
        model=model,
        out=out,
        heads=profile,
        random_weights=random_weights,
        device=device,
        dtype=dtype,
        plan=Plan(repeats, warmup, decode_tokens, batch, prefill_chunk),
        threads=threads,
        ram=ram,
        longest=fit,
        **given,  # type: ignore[arg-type]
    )
    measure = bench_run.dry_run if dry_run else bench_run.run
    try:
        typer.echo(measure(settings, lambda line: typer.echo(line, err=True)))
    except BenchError as error:
        typer.echo(f"failed: {error}", err=True)
        raise typer.Exit(1) from None
