"""The reference benchmark on one GPU, in parts of less than ten minutes each.

It needs torch, transformers and tabulate (for pictures altair and vl-convert-python), and downloads nothing: weights
are random, shapes are those of the published checkpoints. Without network, with setuptools 77 or newer:

    pip install --no-deps --no-build-isolation .
    python tools/bench_gpu.py --list
    python tools/bench_gpu.py 8b-64k              # one part after the other; writes results/gpu/<part>.json

`--tiny CONFIG_FOLDER` runs a part's whole flow on the CPU with another, small configuration and short prompts.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from coreheads.bench.check import BenchError
from coreheads.bench.run import run
from coreheads.bench.settings import Plan, Settings
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
    selections: tuple[str, ...] = ("clustered", "scattered")
    fractions: tuple[float, ...] = (0.05, 0.1)
    plan: Plan = field(default_factory=Plan)
    ram: bool = False
    longest: bool = False
    note: str = ""


def _parts() -> dict[str, Part]:
    """Long prompts and large models a selection, or a selection and a fraction, at a time."""
    small, large, largest = (QWEN.format(size) for size in ("4B", "8B", "32B"))
    parts = {
        "4b": Part(small, (8 * K, 32 * K)),
        "4b-64k": Part(small, (64 * K,)),
        "8b": Part(large, (8 * K, 32 * K)),
        "8b-64k": Part(large, (64 * K,)),
        "llava-7b": Part(LLAVA, (8 * K, 32 * K)),
        "internvl-8b": Part(INTERN, (8 * K, 32 * K)),
    }
    for spread in ("clustered", "scattered"):
        parts[f"32b-{spread}"] = Part(largest, (32 * K,), (spread,), note="peak of 76 GiB: 80 GB hold it just so")
        for percent in (5, 10):
            one = {"selections": (spread,), "fractions": (percent / 100,)}
            parts[f"4b-128k-{spread}-{percent}"] = Part(small, (128 * K,), **one)
            parts[f"8b-128k-{spread}-{percent}"] = Part(large, (128 * K,), **one)
    one = {"selections": ("clustered",), "fractions": (0.05,)}
    parts["32b-64k"] = Part(largest, (64 * K,), **one, note="peak of 90 GiB: needs more than 80 GB")
    parts["8b-chunked"] = Part(large, (128 * K,), **one, plan=Plan(prefill_chunk=16 * K), note="in pieces of 16k")
    parts["8b-ram"] = Part(large, (8 * K,), **one, ram=True, note="what RAM costs, beside eager attention too")
    parts["8b-ram-128k"] = Part(large, (128 * K,), **one, plan=Plan(repeats=4), ram=True, note="what RAM costs")
    parts["8b-fit"] = Part(large, (8 * K,), **one, plan=Plan(repeats=2), longest=True, note="the longest context")
    return parts


PARTS = _parts()


def settings(name: str, tiny: Path | None) -> Settings:
    """What ``coreheads bench MODEL --random-weights --sink 128 --window 1024 --fraction 0.05,0.1`` measures."""
    part = PARTS[name]
    asked = Settings(
        part.model,
        list(part.contexts),
        list(part.fractions),
        list(part.selections),
        [(128, 1024)],
        RESULTS / f"{name}.json",
        random_weights=True,
        device="cuda",
        plan=part.plan,
        ram=part.ram,
        longest=part.longest,
    )
    if tiny is None:
        return asked
    plan = replace(part.plan, repeats=2, warmup=0, decode_tokens=3)
    if plan.prefill_chunk is not None:
        plan = replace(plan, prefill_chunk=100)
    short = [context // 256 for context in part.contexts]
    return replace(
        asked, model=str(tiny), contexts=short, patterns=[(4, 16)], device="cpu", plan=plan, out=tiny / f"{name}.json"
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
            print(f"{name:24} {part.model} at {lengths}{'; ' + part.note if part.note else ''}")
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
