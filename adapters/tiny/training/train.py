"""Train the embedded model from scratch: ``python -m coreheads.adapters.tiny.training.train --out FOLDER``.

Deterministic from ``--seed``: every micro-batch is drawn from (seed, step, number), whatever the number of worker
processes, so that two workers give the same model as one up to the order of floating-point sums. A run that was
stopped goes on from its last checkpoint with the same command. FOLDER then holds a checkpoint that loads like any
hub checkpoint, with its processor and model card.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen3VLForConditionalGeneration

from coreheads.adapters.generation.structure import head_shape, language_model
from coreheads.adapters.tiny.model import build_model
from coreheads.adapters.tiny.processor import build_processor
from coreheads.adapters.tiny.training.align import LOOKUP_LAYER, EntryState, alignment
from coreheads.adapters.tiny.training.copying import initialise_copying
from coreheads.adapters.tiny.training.curriculum import ALIGN, STAGES, Stage
from coreheads.adapters.tiny.training.forward import decoder_states, make_near_sighted, use_packed_attention
from coreheads.adapters.tiny.training.packing import IGNORED, Batch, make_batch
from coreheads.adapters.tiny.training.progress import Progress, load_state, save_state
from coreheads.files import append_jsonl, read_json, write_json

MICRO_BATCHES = 2
WARM_UP = 40
LOG_EVERY, SAVE_EVERY = 10, 50


@dataclass
class HeadDropout:
    """Silences each head of each row with odds ``drop``, drawn anew for every batch."""

    model: Qwen3VLForConditionalGeneration
    drop: float = 0.0

    def __post_init__(self) -> None:
        self._heads = head_shape(self.model)[1]
        for layer in language_model(self.model).layers:  # type: ignore[union-attr]
            layer.self_attn.o_proj.register_forward_pre_hook(self._silence)

    def _silence(self, _: torch.nn.Module, args: tuple[Tensor]) -> tuple[Tensor] | None:
        if self.drop <= 0:
            return None
        (states,) = args
        keep = (torch.rand(len(states), 1, self._heads, 1, device=states.device) >= self.drop).to(states.dtype)
        split = states.view(*states.shape[:-1], self._heads, -1)
        return ((split * keep).flatten(-2),)


def optimisers(model: Qwen3VLForConditionalGeneration) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the network, Adam for tables, norms, biases and the patch embedding."""
    inside = {name: p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name}
    others = [p for name, p in model.named_parameters() if name not in inside]
    return [
        torch.optim.Muon(list(inside.values()), lr=0.01, weight_decay=0.01, momentum=0.95),
        torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def set_rates(chain: list[torch.optim.Optimizer], stage: Stage, step: int) -> None:
    """Linear from the stage's rate to its ``end`` share; a short warm-up where training starts anew."""
    along = 1 + (stage.end - 1) * step / max(1, stage.steps - 1)
    warm = min(1.0, (step + 1) / WARM_UP) if stage.name in ("align", "few") else 1.0
    for optimiser, rate in zip(chain, (stage.muon, stage.adam), strict=True):
        for group in optimiser.param_groups:
            group["lr"] = rate * along * warm


def answer_loss(model: Qwen3VLForConditionalGeneration, states: Tensor, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
    """Cross-entropy of the answers' tokens, and the share of each task's answers that are right to the last token."""
    at = batch.labels != IGNORED
    logits = model.lm_head(states[at]).float()
    target = batch.labels[at]
    right = (logits.argmax(-1) == target).tolist()
    accuracy: dict[str, list[float]] = {}
    start = 0
    for row in batch.asked:
        for asked in row:
            end = start + len(asked.answer)
            accuracy.setdefault(asked.task, []).append(float(all(right[start:end])))
            start = end
    return F.cross_entropy(logits, target), {task: float(np.mean(hits)) for task, hits in accuracy.items()}


class Trainer:
    """One worker's side of a run."""

    def __init__(self, out: Path, seed: int, rank: int, workers: int) -> None:
        self.out, self.seed, self.rank, self.workers = out, seed, rank, workers
        self.model = build_model(seed).train()
        use_packed_attention(self.model)
        self.entry = EntryState(self.model)
        self.dropout = HeadDropout(self.model)
        self.chain = optimisers(self.model)
        self.seconds = 0.0

    def run(self, stages: tuple[Stage, ...]) -> None:
        done = load_state(self.out, self.model, self.chain) if (self.out / "state.json").exists() else Progress()
        self.seconds = done.seconds
        total = 0
        for number, stage in enumerate(stages):
            for step in range(stage.steps):
                total += 1
                if total <= done.steps:
                    continue
                if stage.name != "align" and step == 0 and stages[number - 1].name == "align":
                    shown = [
                        make_batch(np.random.default_rng([self.seed, 0, n]), mix)
                        for n, (_, mix) in enumerate(ALIGN.mixture)
                    ]
                    initialise_copying(self.model, self.entry, shown, self.seed)
                    self.chain = optimisers(self.model)
                began = time.monotonic()
                report = self.step(stage, step, total)
                self.seconds += time.monotonic() - began
                self.log(stage, total, report)
                if self.rank == 0 and (total % SAVE_EVERY == 0 or step == stage.steps - 1):
                    save_state(self.out, self.model, self.chain, Progress(total, self.seconds, stage.name))

    def step(self, stage: Stage, step: int, total: int) -> dict[str, float]:
        set_rates(self.chain, stage, step)
        self.dropout.drop = stage.drop
        report: dict[str, list[float]] = {}
        self.model.zero_grad(set_to_none=False)
        for micro in range(self.rank, MICRO_BATCHES, self.workers):
            rng = np.random.default_rng([self.seed, total, micro])
            torch.manual_seed(int(rng.integers(2**31)))
            odds = np.array([weight for weight, _ in stage.mixture])
            layout = stage.mixture[int(rng.choice(len(odds), p=odds / odds.sum()))][1]
            batch = make_batch(rng, layout, stage.bare)
            make_near_sighted(self.model, batch, stage.near, LOOKUP_LAYER)
            with torch.autocast("cpu", torch.bfloat16):
                loss, accuracy = self.loss(stage, batch)
            (loss / MICRO_BATCHES).backward()  # type: ignore[no-untyped-call]
            label = f"{layout.kind[0]}{layout.pictures}x{layout.rows}x{layout.columns}"
            for key, value in {**accuracy, "loss": loss.item()}.items():
                report.setdefault(f"{label} {key}", []).append(value)
        if self.workers > 1:
            for parameter in self.model.parameters():
                if parameter.grad is not None:
                    dist.all_reduce(parameter.grad)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimiser in self.chain:
            optimiser.step()
        return {key: float(np.mean(values)) for key, values in report.items()}

    def loss(self, stage: Stage, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        if stage.name == "align":
            decoder = language_model(self.model)
            layers = decoder.layers
            decoder.layers = layers[:LOOKUP_LAYER]  # type: ignore[index]
            try:
                return alignment(self.model, decoder_states(self.model, batch), batch)
            finally:
                decoder.layers = layers
        states = decoder_states(self.model, batch)
        loss, accuracy = answer_loss(self.model, states, batch)
        aligned, named = alignment(self.model, self.entry.normed(), batch)
        return loss + stage.align * aligned, {**accuracy, "aligned": min(named.values())}

    def log(self, stage: Stage, total: int, report: dict[str, float]) -> None:
        record = {"step": total, "stage": stage.name, "seconds": round(self.seconds, 1), "worker": self.rank}
        append_jsonl(self.out / f"log-{self.rank}.jsonl", {**record, **{k: round(v, 4) for k, v in report.items()}})
        if self.rank == 0 and total % LOG_EVERY == 0:
            shown = "  ".join(f"{key} {value:.2f}" for key, value in report.items())
            print(f"{total:5d} {self.seconds:6.0f} s  {stage.name:8s} {shown}", flush=True)


def export(trainer: Trainer, folder: Path) -> None:
    """Write the model in bfloat16 with its processor, as a hub checkpoint lies in a folder."""
    model = build_model()
    model.load_state_dict(trainer.model.state_dict())
    model.to(torch.bfloat16).save_pretrained(folder)
    build_processor().save_pretrained(folder)
    record = read_json(trainer.out / "state.json")
    facts = {"steps": record["steps"], "seconds": record["seconds"], "seed": trainer.seed, "torch": torch.__version__}
    parameters = sum(parameter.numel() for parameter in model.parameters())
    write_json(folder / "training.json", {"schema_version": 1, **facts, "parameters": parameters})


def worker(rank: int, workers: int, out: Path, seed: int, stages: tuple[Stage, ...]) -> None:
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))
    if workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{out.resolve()}/rendezvous", rank=rank, world_size=workers)
    trainer = Trainer(out, seed, rank, workers)
    trainer.run(stages)
    if rank == 0:
        export(trainer, out / "checkpoint")
    if workers > 1:
        dist.destroy_process_group()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints, log and the finished model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=min(MICRO_BATCHES, os.cpu_count() or 1), choices=(1, 2))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "rendezvous").unlink(missing_ok=True)
    arguments = (options.workers, options.out, options.seed, (ALIGN, *STAGES))
    if options.workers == 1:
        worker(0, *arguments)
    else:
        torch.multiprocessing.spawn(worker, arguments, nprocs=options.workers)  # type: ignore[attr-defined, no-untyped-call]


if __name__ == "__main__":
    main()
