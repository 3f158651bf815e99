"""``coreheads bench``: how much faster hybrid attention is, by phase and context length."""

from __future__ import annotations

from pathlib import Path

import typer

from coreheads.heads.types import SINK, WINDOW


def command(
    model: str = typer.Argument(help="A hub id, a local folder, tiny, smol or smol-onevision (embedded)."),
    heads: Path | None = typer.Option(None, help="A head profile; its top heads attend fully."),
    selection: str | None = typer.Option(
        None, help="By comma: top (of --heads), clustered (as real profiles are), scattered (worst for the cache)."
    ),
    fraction: str = typer.Option("0.05,0.1", help="Of all heads, by comma: 0.05,0.1."),
    context: str = typer.Option("4k,8k,16k", help="Prompt lengths in tokens, by comma; k is 1,024: 8k,32k,128k."),
    sink: str = typer.Option(str(SINK), help="First tokens that every head sees; with --window by comma, in pairs."),
    window: str = typer.Option(str(WINDOW), help="Last tokens that every head sees."),
    out: Path = typer.Option(Path("bench.json"), help="The file to write; details and a picture go beside it."),
    random_weights: bool = typer.Option(
        False, "--random-weights", help="Build the published shape, or a folder's, without its weights."
    ),
    device: str = typer.Option(
        "auto", help="cpu, cuda, cuda:1; auto takes a GPU where there is one, auto-map as many as hold it."
    ),
    dtype: str | None = typer.Option(
        None,
        help="float32, bfloat16, float16; auto: the checkpoint's own. Default: bfloat16 on a GPU, else float32.",
    ),
    repeats: int = typer.Option(
        10, help="Of every measurement; 5 where a dense prefill takes over 20 s.", min=2, max=1000
    ),
    warmup: int = typer.Option(1, help="Runs before them.", min=0, max=1000),
    decode_tokens: int = typer.Option(16, help="Tokens decoded a run.", min=2, max=100_000),
    batch: int = typer.Option(1, help="Equal prompts at a time.", min=1, max=4096),
    granularity: str = typer.Option("query", help="query, or kv: all query heads of a KV head with a selected one."),
    prefill_chunk: int | None = typer.Option(None, help="Tokens of a prompt computed at a time; default: all.", min=1),
    threads: int | None = typer.Option(None, help="CPU threads; default: torch's choice.", min=1, max=4096),
    ram: bool = typer.Option(False, "--ram", help="Also what measuring RAM costs beside a plain prefill."),
    fit: bool = typer.Option(False, "--fit", help="Also the longest context that fits, dense and hybrid (GPU)."),
    dry_run: bool = typer.Option(
        False,
        "--dry-run",
        help="Only what memory it takes on a GPU, counted from shapes; --ram, --fit, --device count not.",
    ),
) -> None:
    """Time dense against hybrid attention, in turns in one process.

    The dense baseline is the fastest kernel found on this device; the ceiling (the other heads' attention left out) is
    measured in the same run. Before anything is timed, outputs are compared with a masked reference and the work of the
    kernels is counted; if either is wrong, the command fails with exit status 1.

    Example: coreheads bench tiny --heads heads.json --context 1k,4k,16k --sink 4 --window 64

    Without a checkpoint: coreheads bench Qwen/Qwen3-VL-8B --random-weights --context 8k,32k

    Whether that fits, told without a GPU: the same with --dry-run
    """
    from coreheads.bench import settings as parsing
    from coreheads.errors import UserError
    from coreheads.heads.profile import HeadProfile
    from coreheads.store.outputs import check_output

    # everything that can be wrong is looked at before torch is loaded
    profile = None if heads is None else HeadProfile.load(heads)
    settings = parsing.Settings(
        model,
        parsing.lengths(context),
        parsing.fractions(fraction),
        parsing.selections(selection, profile is not None),
        parsing.patterns(sink, window),
        out,
        heads=profile,
        random_weights=random_weights,
        device=device,
        dtype=dtype,
        granularity=parsing.granularity(granularity),
        plan=parsing.Plan(repeats, warmup, decode_tokens, batch, prefill_chunk),
        threads=threads,
        ram=ram,
        longest=fit,
    )
    if out.is_dir():
        raise UserError(f"--out is {out}, a folder, expected the name of a file such as {out / 'bench.json'}")
    read = {} if heads is None else {"the head profile": heads}
    for path in [] if dry_run else [out, out.with_name(f"{out.stem}.details.json")]:
        check_output("--out", path, "a file of coreheads bench", read)

    from coreheads.bench import run as bench_run
    from coreheads.bench.check import BenchError
    from coreheads.cli.output import say

    measure = bench_run.dry_run if dry_run else bench_run.run
    try:
        say(*measure(settings, lambda line: say(line, err=True)).split("\n"))
    except BenchError as error:
        say(f"failed: {error}", err=True)
        raise typer.Exit(1) from None
