"""Trains the part of the tower that recognises words: from a cell's 1,024 pixels to a number a word.

``python -m coreheads.adapters.smol.training`` takes about 20 minutes on two cores, needs neither the language model nor
a network, and writes ``recogniser.safetensors``, which is committed. What it has to bear is in ``shown``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from coreheads.adapters.smol.recogniser import FILE, HIDDEN, Recogniser, packed
from coreheads.tasks.smol.print import CELL, FONTS, glyphs

TRAINED = FONTS[:3]
SHIFT = 2
"""Pixels by which a word may be off its place, either way and in both directions."""


def shown(ink: Tensor, noise: float, shift: int, rng: torch.Generator) -> Tensor:
    """Cells as a scanner or a codec may leave them: [n, 32, 32] ink -> [n, 1024] brightness, -1 black to 1 white.

    Moved by up to ``shift`` pixels (what leaves on one side comes in on the other, as a neighbour's edge would),
    three in ten blurred, on paper of 80 to 100 % brightness in ink of 60 to 100 %, with noise of up to that deviation.
    """
    n = len(ink)

    def draw(low: float, high: float) -> Tensor:
        return torch.rand(n, 1, 1, generator=rng) * (high - low) + low

    def moved() -> Tensor:
        return (torch.arange(CELL) - torch.randint(-shift, shift + 1, (n, 1), generator=rng)) % CELL

    ink = ink[torch.arange(n)[:, None, None], moved()[:, :, None], moved()[:, None, :]]
    blurred = F.avg_pool2d(F.pad(ink[:, None], (1, 1, 1, 1)), 3, 1)[:, 0]
    ink = torch.where(draw(0, 1) < 0.3, (ink + blurred) / 2, ink)
    cells = draw(0.8, 1) * (1 - ink * draw(0.6, 1)) + torch.randn(n, CELL, CELL, generator=rng) * noise * draw(0, 1)
    return (cells.clamp(0, 1) * 2 - 1).flatten(1)


def start(model: Recogniser, ink: Tensor, rng: torch.Generator) -> None:
    """Filters from the principal directions of moved glyphs, and each word's mean feature as its template."""
    words = ink.shape[1]
    cells = torch.cat([shown(face, 0.05, SHIFT, rng) for face in ink for _ in range(4)])
    cells = cells - cells.mean(1, keepdim=True)
    values, vectors = torch.linalg.eigh(cells.T @ cells / len(cells))
    values, vectors = values[-HIDDEN:], vectors[:, -HIDDEN:]
    with torch.no_grad():
        model.filters.copy_((vectors / (values + 0.3 * values.mean()).sqrt()).T)
        model.inner_out.weight.zero_()
        features = F.normalize(model.features(cells)).reshape(-1, words, HIDDEN).mean(0)
        model.templates.weight[:words].copy_(F.normalize(features) * 0.6)
        model.templates.bias.fill_(-3.0)


def loss_of(scores: Tensor, words: Tensor, margin: float) -> Tensor:
    """The right word is the highest; and, weighted by ``margin``, it alone is above 0 and none is near it."""
    own = scores.gather(1, words[:, None])[:, 0]
    others = scores.scatter(1, words[:, None], -1e4)
    return F.cross_entropy(scores, words) + margin * (F.softplus(2 - own).mean() + F.softplus(others + 2).sum(1).mean())


def train(steps: int, batch: int, seed: int) -> Recogniser:
    """A recogniser of the committed glyphs."""
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    ink = torch.from_numpy(np.stack([glyphs(font) for font in TRAINED])).float()
    words = ink.shape[1]
    model = Recogniser()
    start(model, ink, rng)
    ink = ink.flatten(0, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, steps, pct_start=0.1)
    began = time.perf_counter()
    for step in range(steps):
        index = torch.randint(len(ink), (batch,), generator=rng)
        scores = model(shown(ink[index], 0.12, SHIFT, rng))
        blank = model(shown(torch.zeros(32, CELL, CELL), 0.12, 0, rng))
        margin = 0.3 * min(1.0, max(0.0, step / steps - 0.2) / 0.2)
        loss = loss_of(scores, index % words, margin) + F.softplus(blank + 2).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            right = (scores.argmax(1) == index % words).float().mean()
            print(f"step {step}: loss {loss:.4f}, right {right:.4f}, {time.perf_counter() - began:.0f} s", flush=True)
    return model.eval()


@torch.inference_mode()
def measured(model: nn.Module, noise: float, shift: int, font: str, seed: int = 1) -> tuple[float, float]:
    """Of all words: (share whose score is the highest, share whose score alone is above 0)."""
    ink = torch.from_numpy(glyphs(font)).float()
    scores = model(shown(ink, noise, shift, torch.Generator().manual_seed(seed)))
    words = torch.arange(len(ink))
    own = scores.gather(1, words[:, None])[:, 0]
    alone = (own > 0) & (scores.scatter(1, words[:, None], -1e4).amax(1) < 0)
    return float((scores.argmax(1) == words).float().mean()), float(alone.float().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=FILE)
    given = parser.parse_args()
    weights = packed(train(given.steps, given.batch, given.seed))
    save_file(weights, given.out)
    model = Recogniser.load(given.out)
    for font in FONTS:
        for noise, shift in ((0.0, 0), (0.05, 1), (0.1, 2), (0.2, 0)):
            first, alone = measured(model, noise, shift, font)
            print(f"{font}, noise {noise}, up to {shift} px off: first {first:.4f}, alone above 0 {alone:.4f}")


if __name__ == "__main__":
    main()
