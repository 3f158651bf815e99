"""The reference benchmark on one GPU, in parts of less than ten minutes each.

It needs torch, transformers and what `coreheads bench` needs (tabulate, matplotlib), and downloads nothing: weights
are random, shapes are those of the published checkpoints. Without network:

    pip install --no-deps --no-build-isolation .
    python tools/bench_gpu.py --list
    python tools/bench_gpu.py 8b-long            # one part after the other; writes results/gpu/<part>.json

`--tiny CONFIG_FOLDER` runs a part's whole flow on the CPU with another, small configuration and short prompts.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from coreheads.bench_check import BenchError
from coreheads.bench_run import Settings, run
from coreheads.bench_timing import Plan
from coreheads.errors import UserError

RESULTS = Path(__file__).parent.parent / "results" / "gpu"
QWEN, INTERN = "Qwen/Qwen3-VL-{}-Instruct", "OpenGVLab/InternVL3_5-8B-HF"
LLAVA = "llava-hf/llava-onevision-qwen2-7b-ov-hf"
K = 1024


@dataclass(frozen=True)
class Part:
    """One call: a model, its context lengths, and what is measured besides."""

    model: str
    contexts: tuple[int, ...]
    plan: Plan = field(default_factory=Plan)
    ram: bool = False
    longest: bool = False
    note: str = ""


PARTS = {
    "4b-short": Part(QWEN.format("4B"), (8 * K, 32 * K)),
    "4b-long": Part(QWEN.format("4B"), (64 * K, 128 * K)),
    "8b-short": Part(QWEN.format("8B"), (8 * K, 32 * K)),
    "8b-64k": Part(QWEN.format("8B"), (64 * K,)),
    "8b-128k": Part(QWEN.format("8B"), (128 * K,)),
    "32b": Part(QWEN.format("32B"), (8 * K, 32 * K), note="62 GiB of weights: needs 80 GB"),
    "32b-long": Part(QWEN.format("32B"), (64 * K,), note="needs more than 80 GB"),
    "llava-7b": Part(LLAVA, (8 * K, 32 * K)),
    "internvl-8b": Part(INTERN, (8 * K, 32 * K)),
    "8b-ram": Part(
        QWEN.format("8B"), (8 * K,), Plan(repeats=5), ram=True, note="what RAM costs beside eager attention"
    ),
    "8b-ram-128k": Part(QWEN.format("8B"), (128 * K,), Plan(repeats=2), ram=True, note="what RAM costs at 128k"),
    "8b-fit": Part(QWEN.format("8B"), (8 * K,), Plan(repeats=2), longest=True, note="the longest context that fits"),
    "8b-chunked": Part(QWEN.format("8B"), (128 * K,), Plan(prefill_chunk=16 * K), note="prefill in pieces of 16k"),
}


def settings(name: str, tiny: Path | None) -> Settings:
    """What ``coreheads bench MODEL --random-weights --sink 128 --window 1024 --fraction 0.05,0.1`` measures."""
    part = PARTS[name]
    found = Settings(
        part.model,
        list(part.contexts),
        [0.05, 0.1],
        ["clustered", "scattered"],
        [(128, 1024)],
        RESULTS / f"{name}.json",
        random_weights=True,
        device="cuda",
        plan=part.plan,
        ram=part.ram,
        longest=part.longest,
    )
    if tiny is None:
        return found
    plan = replace(part.plan, repeats=2, warmup=0, decode_tokens=3)
    if plan.prefill_chunk is not None:
        plan = replace(plan, prefill_chunk=100)
    short = [context // 256 for context in part.contexts]
    return replace(
        found, model=str(tiny), contexts=short, patterns=[(4, 16)], device="cpu", plan=plan, out=tiny / f"{name}.json"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="names of parts, or all", metavar="PART")
    parser.add_argument("--list", action="store_true", help="say which parts there are")
    parser.add_argument("--tiny", type=Path, help="a folder with a small config.json: run on the CPU with it")
    arguments = parser.parse_args()
    names = list(PARTS) if arguments.parts == ["all"] else arguments.parts
    if arguments.list or not names:
        for name, part in PARTS.items():
            lengths = ", ".join(f"{context // K}k" for context in part.contexts)
            print(f"{name:12} {part.model} at {lengths}{'; ' + part.note if part.note else ''}")
        return 0
    for name in names:
        if name not in PARTS:
            print(f"error: part {name!r}, expected one of {', '.join(PARTS)}", file=sys.stderr)
            return 2
    for name in names:
        started = time.perf_counter()
        try:
            print(run(settings(name, arguments.tiny)), flush=True)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        except BenchError as error:
            print(f"failed: {error}", file=sys.stderr)
            return 1
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
