"""The trained part of the tower: a cell's pixels -> a number a word, above 0 for the word that is printed there."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from coreheads.tasks.smol.print import CELL

HIDDEN = 640
"""Width of the tower; above the language model's 576, whose embeddings it has to hold."""

WIDTH = 2048
"""Units of either MLP; the second has one a word."""

FILE = Path(__file__).parent / "recogniser.safetensors"


class Recogniser(nn.Module):
    """Filters over the pixels of a cell, an MLP beside a residual, a template a word: a vision layer's parts."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.randn(HIDDEN, CELL * CELL) * 0.05)
        """Each of sum zero, so that the paper's brightness does not count (``plain_filters``)."""
        self.inner_in = nn.Linear(HIDDEN, WIDTH)
        self.inner_out = nn.Linear(WIDTH, HIDDEN)
        self.templates = nn.Linear(HIDDEN, WIDTH)

    def plain_filters(self) -> Tensor:
        return self.filters - self.filters.mean(1, keepdim=True)

    def features(self, cells: Tensor) -> Tensor:
        """[n, 1024] brightness, -1 to 1 -> [n, 640], each of mean 0 and variance 1."""
        hidden = cells @ self.plain_filters().T
        hidden = hidden + self.inner_out(F.gelu(self.inner_in(F.layer_norm(hidden, (HIDDEN,), eps=EPSILON))))
        return F.layer_norm(hidden, (HIDDEN,), eps=EPSILON)

    def forward(self, cells: Tensor) -> Tensor:
        """[n, 1024] -> [n, 2048]; the first numbers are the words' (see ``tasks.smol.print.words``)."""
        scores: Tensor = self.templates(self.features(cells))
        return scores

    @classmethod
    def load(cls, path: Path = FILE) -> Recogniser:
        """The trained one."""
        model = cls()
        model.load_state_dict(unpacked(load_file(path)))
        return model.eval()


EPSILON = 1e-6
"""Of the layer norms, as in InternVL's vision tower."""


def packed(model: Recogniser) -> dict[str, Tensor]:
    """Matrices as whole numbers of 8 bits with a scale a row, to keep the file small."""
    weights = {}
    for name, values in model.state_dict().items():
        if values.ndim == 2:
            scale = values.abs().amax(1, keepdim=True) / 127
            weights[name], weights[f"{name}.scale"] = (values / scale).round().to(torch.int8), scale
        else:
            weights[name] = values
    return weights


def unpacked(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """What ``packed`` has packed, as float32."""
    return {
        name: values.float() * weights[f"{name}.scale"] if values.dtype == torch.int8 else values
        for name, values in weights.items()
        if not name.endswith(".scale")
    }
