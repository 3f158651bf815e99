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
from dataclasses import replace
from pathlib import Path
from typing import Any

from coreheads.bench.check import BenchError
from coreheads.bench.run import run
from coreheads.bench.settings import Plan, Settings
from coreheads.errors import UserError

RESULTS = Path(__file__).parent.parent / "results" / "gpu"
QWEN, INTERN = "Qwen/Qwen3-VL-{}-Instruct", "OpenGVLab/InternVL3_5-8B-HF"
LLAVA = "llava-hf/llava-onevision-qwen2-7b-ov-hf"
K = 1024


NOTES = {
    "32b-clustered": "peak of 76 GiB: 80 GB hold it just so",
    "32b-scattered": "peak of 76 GiB: 80 GB hold it just so",
    "32b-64k": "peak of 90 GiB: needs more than 80 GB",
    "8b-chunked": "in pieces of 16k",
    "8b-ram": "what RAM costs, beside eager attention too",
    "8b-ram-128k": "what RAM costs",
    "8b-fit": "the longest context",
}


def _parts() -> dict[str, Settings]:
    """What ``coreheads bench MODEL --random-weights --sink 128 --window 1024 --fraction 0.05,0.1`` measures.

    Long prompts and large models a selection, or a selection and a fraction, at a time.
    """
    parts = {}

    def add(name: str, model: str, *contexts: int, **more: Any) -> None:
        asked = {"fractions": [0.05, 0.1], "selections": ["clustered", "scattered"], "patterns": [(128, 1024)], **more}
        out = RESULTS / f"{name}.json"
        parts[name] = Settings(model, list(contexts), out=out, random_weights=True, device="cuda", **asked)

    small, large, largest = (QWEN.format(size) for size in ("4B", "8B", "32B"))
    for name, model in (("4b", small), ("8b", large)):
        add(name, model, 8 * K, 32 * K)
        add(f"{name}-64k", model, 64 * K)
    add("llava-7b", LLAVA, 8 * K, 32 * K)
    add("internvl-8b", INTERN, 8 * K, 32 * K)
    for spread in ("clustered", "scattered"):
        add(f"32b-{spread}", largest, 32 * K, selections=[spread])
        for percent in (5, 10):
            one = {"selections": [spread], "fractions": [percent / 100]}
            add(f"4b-128k-{spread}-{percent}", small, 128 * K, **one)
            add(f"8b-128k-{spread}-{percent}", large, 128 * K, **one)
    one = {"selections": ["clustered"], "fractions": [0.05]}
    add("32b-64k", largest, 64 * K, **one)
    add("8b-chunked", large, 128 * K, **one, plan=Plan(prefill_chunk=16 * K))
    add("8b-ram", large, 8 * K, **one, ram=True)
    add("8b-ram-128k", large, 128 * K, **one, plan=Plan(repeats=4), ram=True)
    add("8b-fit", large, 8 * K, **one, plan=Plan(repeats=2), longest=True)
    return parts


PARTS = _parts()


def shrunk(name: str, folder: Path) -> Settings:
    """The part's flow on the CPU with the configuration in ``folder`` and short prompts."""
    part = PARTS[name]
    chunk = None if part.plan.prefill_chunk is None else 100
    plan = replace(part.plan, repeats=2, warmup=0, decode_tokens=3, prefill_chunk=chunk)
    contexts = [context // 256 for context in part.contexts]
    out = folder / f"{name}.json"
    return replace(part, model=str(folder), contexts=contexts, patterns=[(4, 16)], device="cpu", plan=plan, out=out)


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
            print(f"{name:24} {part.model} at {lengths}{'; ' + NOTES[name] if name in NOTES else ''}")
        return 0
    for name in names:
        if name not in PARTS:
            print(f"error: part {name!r}, expected one of {', '.join(PARTS)}", file=sys.stderr)
            return 2
    for name in names:
        started = time.perf_counter()
        try:
            print(run(shrunk(name, arguments.tiny) if arguments.tiny else PARTS[name]), flush=True)
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
