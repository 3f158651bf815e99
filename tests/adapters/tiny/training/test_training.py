"""The training program: labels, losses, determinism, going on where it stopped."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from coreheads.adapters.generation.structure import language_model
from coreheads.adapters.tiny.model import build_model
from coreheads.adapters.tiny.training import train as training
from coreheads.adapters.tiny.training.align import EntryState, cell_labels
from coreheads.adapters.tiny.training.copying import CORE_GROUPS, initialise_copying
from coreheads.adapters.tiny.training.curriculum import ALIGN, STAGES, Stage
from coreheads.adapters.tiny.training.forward import decoder_states, use_packed_attention
from coreheads.adapters.tiny.training.packing import Layout, make_batch
from coreheads.tasks.mini.vocabulary import NAMES
from coreheads.tasks.mini.world import make_scene

SMALL = Layout("image", 1, 4, 4, 3, ("digit", "box"), 3, 2)
PLAN = (
    replace(ALIGN, steps=2, mixture=((1.0, SMALL),)),
    Stage("few", 2, 0.01, 3e-3, 0.5, 0.5, 0.1, 0.5, 0.3, ((1.0, SMALL), (1.0, replace(SMALL, kind="video")))),
)


def weights(trainer: training.Trainer) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in trainer.model.named_parameters()}


def test_a_stopped_run_goes_on_to_the_same_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    # a smaller model, and a picture for the matchers to be made from between the stages: much faster
    monkeypatch.setattr(training, "build_model", partial(build_model, hidden_size=64, num_hidden_layers=4))
    monkeypatch.setattr(training, "ALIGN", PLAN[0])
    whole = training.Trainer(tmp_path / "whole", 3, 0, 1)
    (tmp_path / "whole").mkdir()
    whole.run(PLAN)
    (tmp_path / "cut").mkdir()
    training.Trainer(tmp_path / "cut", 3, 0, 1).run((PLAN[0], replace(PLAN[1], steps=1)))
    # the shortened stage must have had the rates of the whole one: its first step is at the stage's start either way
    again = training.Trainer(tmp_path / "cut", 3, 0, 1)
    again.run(PLAN)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(again)[name]), name


def test_seeds_make_different_models(tmp_path: Path) -> None:
    first, second = (training.Trainer(tmp_path, seed, 0, 1) for seed in (0, 1))
    assert not torch.equal(*(language_model(t.model).layers[0].mlp.up_proj.weight for t in (first, second)))


def test_head_dropout_silences_whole_heads_only_when_on() -> None:
    model = build_model(0, num_hidden_layers=2)
    dropout = training.HeadDropout(model)
    seen = {}
    projection = language_model(model).layers[1].self_attn.o_proj
    projection.register_forward_hook(lambda module, args, output: seen.update(output=output))
    states = torch.ones(4, 5, projection.in_features)
    projection(states)
    torch.testing.assert_close(seen["output"], torch.nn.functional.linear(states, projection.weight))
    dropout.drop = 1.0
    projection(states)
    assert not seen["output"].any()


def test_cell_labels_name_what_the_scene_holds() -> None:
    rng = np.random.default_rng(4)
    scene = make_scene(rng, 3, 8, 8, 30, stamped=True, shuffled=True, big=0.3)
    labels = {group: values.reshape(scene.kinds.shape) for group, values in cell_labels(scene).items()}
    for thing in scene.things:
        for picture, row, column in thing.cells():
            assert labels["name"][picture, row, column] == thing.name
            assert labels["x"][picture, row, column] == 2 * thing.column
            assert labels["y"][picture, row, column] == 2 * thing.row
            assert labels["stamp"][picture, row, column] == scene.stamps[thing.picture]
        expected = -1 if thing.digit is None else thing.digit
        assert labels["digit"][thing.picture, thing.row, thing.column] == expected
    assert labels["name"].max() < len(NAMES)


def test_matchers_start_in_the_look_up_layer_and_nowhere_else() -> None:
    model = build_model(0)
    use_packed_attention(model)
    before = {n: p.detach().clone() for n, p in model.named_parameters()}
    entry = EntryState(model)
    batches = [make_batch(np.random.default_rng(n), SMALL) for n in range(2)]
    with torch.no_grad():
        decoder_states(model, batches[0])
    initialise_copying(model, entry, batches, 0)
    size = 32 * CORE_GROUPS
    for name, parameter in model.named_parameters():
        changed = (parameter != before[name]).reshape(len(parameter), -1).any(1)
        if "language_model" in name and "k_proj" in name:
            assert bool(changed.any()) == ("layers.2." in name), name
            assert not changed[size:].any(), name
        elif "mlp" in name or "visual" in name or "embed" in name or "layers.0." in name:
            assert not changed.any(), name


@pytest.mark.parametrize("stage", [ALIGN, *STAGES], ids=lambda stage: stage.name)
def test_every_layout_of_the_curriculum_can_be_drawn(stage: Stage) -> None:
    for _, layout in stage.mixture:
        if layout.vision_tokens > 1500:
            continue
        batch = make_batch(np.random.default_rng(0), layout)
        assert all(batch.asked)
        assert batch.position_ids.max() < 1024
