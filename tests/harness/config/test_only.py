"""A part of a configuration by its models' names."""

from __future__ import annotations

import pytest

from coreheads.cli import main
from coreheads.config.cells import expand
from coreheads.config.only import only
from coreheads.config.schema import load_config
from coreheads.errors import UserError

QWEN, INTERN = "Qwen/Qwen3-VL-8B-Instruct", "OpenGVLab/InternVL3_5-8B-HF"


def test_a_part_has_the_cells_of_its_models_and_no_other() -> None:
    config = load_config("paper", ("evaluate.draws=1",))
    assert only(config, []) is config
    parts = [only(config, [f"model={model.name}"]) for model in config.models]
    assert [cell for part in parts for cell in expand(part)] == expand(config)
    # in the configuration's order, whatever order was asked for
    assert [model.name for model in only(config, [f"model={INTERN}", f"model={QWEN}"]).models] == [QWEN, INTERN]
    assert only(config, [f"model={QWEN}"] * 2) == only(config, [f"model={QWEN}"])


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("model=Qwen/Qwen3-VL-8B", r"--only: model 'Qwen/Qwen3-VL-8B', expected one of .* \(did you mean 'Qwen"),
        ("model=", "--only: model '', expected one of Qwen/"),
        ("task=coreheads_refcocog", "--only 'task=coreheads_refcocog': expected model=NAME"),
        (QWEN, "expected model=NAME, for example --only model=Qwen/Qwen3-VL-4B-Instruct"),
    ],
)
def test_what_is_no_model_is_one_line_with_the_known_ones(wanted: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as caught:
        only(load_config("paper"), [wanted])
    assert len(str(caught.value).splitlines()) == 1


def test_the_command_line_lists_the_models_and_takes_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "of", "paper"]) == 0
    names = capsys.readouterr().out.splitlines()
    assert names == [model.name for model in load_config("paper").models]
    assert main(["models", "of", "papers"]) == 2
    assert "did you mean 'paper'" in capsys.readouterr().err
    assert main(["run", "--only", "model=tinny", "--dry-run"]) == 2
    error = capsys.readouterr().err.strip()
    assert error == "error: --only: model 'tinny', expected one of tiny (did you mean 'tiny'?)"
