"""``coreheads run``: find the heads, evaluate every cell, time the timed ones, write the leaderboard.

Reads top to bottom: one model after the other, one task after the other, and everything that is finished is on disk.
"""

from __future__ import annotations

import shutil
from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from coreheads import leaderboard
from coreheads.cells import Cell, expand, select
from coreheads.config import ModelConfig, RunConfig
from coreheads.errors import UserError
from coreheads.preflight import look
from coreheads.profile import HeadProfile
from coreheads.progress import Reporter
from coreheads.retry import mended
from coreheads.run_folder import RunFolder, writing


def run(config: RunConfig, shown: bool = True) -> dict[str, Any]:
    """Do what is not done yet of this run, and return its leaderboard (the content of leaderboard.json).

    Raises UserError for everything that is wrong with the input, as far as possible before anything is computed.
    """
    out = Path(config.out)
    check_names(config)
    cells = expand(config)
    with RunFolder.open(out, config.model_dump(mode="json")) as folder, writing(out):
        reporter = Reporter(shown)
        again = mended(config, cells, folder)
        if again:
            reporter.say(f"{sum(again.values())} answers of {len(again)} finished cells were unscored: asked again now")
        left = _left(config, cells, folder, again)
        _look_at_data(config, {cell.model for cell in left}, folder)
        for model in config.models:
            mine = [cell for cell in cells if cell.model == model.name]
            if any(cell.model == model.name for cell in left):
                _run_model(config, model, mine, folder, reporter, again)
            else:
                reporter.say(f"{model.name}: all {len(mine)} cells are finished")
        reporter.say("Writing the leaderboard")
        return leaderboard.write([folder], out)


def check_names(config: RunConfig) -> None:
    """UserError for tasks, patches, patch parameters and heads files that do not exist, before a model is loaded."""
    from coreheads.adapters.patches.registry import make_patch
    from coreheads.tasks import registry

    for name in config.evaluate.tasks:
        registry.get(name).split(config.evaluate.split)
    for name in config.profile.tasks:
        task = registry.get(name)
        task.check_profile(config.profile.split)
        if name in config.evaluate.tasks and task.split(config.profile.split).overlaps(
            task.split(config.evaluate.split)
        ):
            raise UserError(
                f"{name}: splits {config.profile.split} and {config.evaluate.split} share records: heads are found on "
                "one set and judged on another"
            )
    for name, options in config.options.items():
        registry.get(name).settings(options)
    for group in config.cells:
        make_patch(group.patch, {(0, 0)}, **group.params)
    for model in config.models:
        if model.heads is not None:
            HeadProfile.load(model.heads)


def _left(config: RunConfig, cells: Sequence[Cell], folder: RunFolder, again: Container[str]) -> list[Cell]:
    """The cells that are to be evaluated or timed."""
    finished, timed = folder.cells(), folder.timings()
    return [
        cell
        for cell in cells
        if cell.name not in finished or cell.name in again or (_is_timed(cell, config) and cell.name not in timed)
    ]


def _look_at_data(config: RunConfig, models: Container[str], folder: RunFolder) -> None:
    """UserError where a task has no data that can be used, for what these models are still to do."""
    busy = [model for model in config.models if model.name in models]
    if not busy:
        return
    if any(model.heads is None and not folder.heads_path(model.name).exists() for model in busy):
        wanted = config.profile
        look(wanted.tasks, wanted.split, wanted.samples, config.data_root, config.options)
    look(config.evaluate.tasks, config.evaluate.split, None, config.data_root, config.options)


def _run_model(
    config: RunConfig,
    model: ModelConfig,
    cells: Sequence[Cell],
    folder: RunFolder,
    reporter: Reporter,
    again: Container[str],
) -> None:
    from coreheads.adapters.registry import load_adapter
    from coreheads.evaluation import Evaluator, quiet
    from coreheads.examples import draw_for_run

    reporter.say(f"{model.name}: loading")
    with quiet():
        adapter = load_adapter(
            model.id,
            device=config.device,
            dtype=model.dtype,
            attn_implementation=model.attn_implementation,
            revision=model.revision,
            trust_remote_code=model.trust_remote_code,
            **model.settings,
        )
    profile = _profile(config, model, adapter, folder, reporter)
    draw_for_run(folder.path, model.name, adapter, profile, config, reporter.say)
    evaluator = Evaluator(adapter, config.evaluate.split, config.data_root, config.evaluate.batch_size, config.options)
    for task in config.evaluate.tasks:
        mine = [cell for cell in cells if cell.task == task]
        patches = {cell.name: _patch(cell, profile, adapter) for cell in mine}
        _evaluate(mine, patches, evaluator, folder, reporter, again)
        _time(config, mine, patches, evaluator, folder, reporter)


def _profile(
    config: RunConfig, model: ModelConfig, adapter: Any, folder: RunFolder, reporter: Reporter
) -> HeadProfile | None:
    """The model's head profile: as stored in the run, as given, or measured now."""
    path = folder.heads_path(model.name)
    if path.exists():
        profile = HeadProfile.load(path)
    elif model.heads is not None:
        profile = HeadProfile.load(model.heads)
    elif config.profile.tasks:
        from coreheads.profiling import profile_heads

        settings = config.profile
        reporter.say(f"{model.name}: looking for the heads on {len(settings.tasks)} tasks x {settings.samples} samples")
        profile = profile_heads(
            adapter,
            settings.tasks,
            settings.samples,
            split=settings.split,
            normalization=settings.normalization,
            seed=config.seed,
            progress=reporter.shown,
            data_root=config.data_root,
            options=config.options,
            cache_dir=folder.path / "heads" / "partial",
        )
    else:
        return None
    profile.check_model(adapter.describe())
    profile.save(path)
    shutil.rmtree(folder.path / "heads" / "partial", ignore_errors=True)
    return profile


def _patch(cell: Cell, profile: HeadProfile | None, adapter: Any) -> tuple[list[list[int]], Any]:
    """(heads as stored, the patch) of a cell."""
    from coreheads.adapters.patches.registry import make_patch

    heads = select(cell, profile, (adapter.layers, adapter.heads))
    return [list(head) for head in sorted(heads)], make_patch(cell.patch, heads, **cell.settings)


def _evaluate(
    cells: Sequence[Cell],
    patches: dict[str, Any],
    evaluator: Any,
    folder: RunFolder,
    reporter: Reporter,
    again: Container[str],
) -> None:
    finished = folder.cells()
    missing = [cell for cell in cells if cell.name not in finished or cell.name in again]
    if not missing:
        return
    from coreheads.speed import kv_ratio

    available = len(evaluator.task(missing[0].task).ids)
    total = sum(cell.span(available)[1] for cell in missing)
    with reporter.step(f"{missing[0].task}: {len(missing)} cells, {total} answers", total) as step:
        for cell in missing:
            step.now(cell.name.split("__", 2)[-1])
            heads, patch = patches[cell.name]
            result = evaluator.evaluate(cell, patch, folder.samples(cell.name), step.advance)
            if result["n"]:
                tokens = round(result["tokens_median"])
                result["kv_bytes_ratio"] = kv_ratio(patch, evaluator.model.adapter.model, tokens)
            folder.finish_cell({"name": cell.name, "cell": cell.to_json(), "heads": heads, **result})


def _time(
    config: RunConfig,
    cells: Sequence[Cell],
    patches: dict[str, Any],
    evaluator: Any,
    folder: RunFolder,
    reporter: Reporter,
) -> None:
    """Time the timed cells of one task in one interleaved measurement: times of two processes do not mix."""
    wanted = [cell for cell in cells if _is_timed(cell, config)]
    timed = folder.timings()
    if not wanted or all(cell.name in timed for cell in wanted):
        return
    from coreheads.speed import time_cells

    settings = config.timing
    samples = folder.samples(wanted[0].name).samples
    ids = evaluator.task(wanted[0].task).ids
    tokens = {ids.index(record): line["prompt_tokens"] for record, line in samples.items()}
    with reporter.step(f"{wanted[0].task}: timing {len(wanted)} cells x {settings.repeats}", settings.repeats) as step:
        records = time_cells(
            evaluator,
            [(cell, patches[cell.name][1]) for cell in wanted],
            tokens,
            settings.repeats,
            settings.warmup,
            settings.decode_tokens,
            step.advance,
        )
        for record in records:
            folder.finish_timing(record)


def _is_timed(cell: Cell, config: RunConfig) -> bool:
    return cell.timed and cell.task in config.timed_tasks()
