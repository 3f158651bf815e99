"""``coreheads bench`` from end to end on small models, its files, and its loud failures."""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import family_cases
import pytest
import torch

from coreheads.adapters.kernels import dispatch, window
from coreheads.adapters.kernels.local import local_attention
from coreheads.adapters.kernels.rules import Group, Local
from coreheads.adapters.patches.hybrid import Hybrid
from coreheads.bench import check as bench_check
from coreheads.bench import extra
from coreheads.bench import series as bench
from coreheads.bench.rows import FIELDS, PHASES
from coreheads.bench.target import Target, load
from coreheads.bench.timing import Plan, _Runner, measure
from coreheads.cli import main
from coreheads.errors import UserError
from coreheads.timing.interleaved import OWN

QUICK = ["--repeats", "2", "--warmup", "0", "--decode-tokens", "3", "--sink", "4", "--window", "16"]
PLAN = Plan(repeats=2, warmup=0, decode_tokens=3)


@pytest.fixture(scope="module")
def target(small_model: Path) -> Target:
    torch.set_num_threads(1)
    return load(str(small_model), False, "cpu", "float32")


def entries(target: Target, **changes: Any) -> list[bench.Entry]:
    given: dict[str, Any] = {"selections": ["clustered"], "fractions": [0.25], "patterns": [(4, 16)]}
    return bench.entries(target, None, **{**given, "granularity": "query", **changes})


def test_a_checkpoint_by_phase(small_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bench.json"
    arguments = ["bench", str(small_model), "--context", "300,411", "--fraction", "0.25", "--device", "cpu", *QUICK]
    assert main([*arguments, "--out", str(out), "--ram", "--fit", "--threads", "1"]) == 0
    stored = json.loads(out.read_text())
    assert set(stored) == {"schema_version", "rows"}
    assert stored["schema_version"] == 1
    rows = stored["rows"]
    assert all(tuple(row) == FIELDS for row in rows)
    # two contexts, two spreads, all phases
    assert len(rows) == 2 * 2 * len(PHASES)
    for row in rows:
        assert row["weights"] == "loaded"
        assert row["context"] in (300, 411)
        assert row["speedup"] == pytest.approx(row["dense_ms"] / row["hybrid_ms"])
        assert row["dense_ci"][0] <= row["dense_ms"] <= row["dense_ci"][1]
        if row["phase"] in ("preprocess", "vision"):
            assert (row["speedup"], row["ceiling"], row["dense_kernel"]) == (1.0, None, None)
        else:
            assert row["ceiling_share"] == pytest.approx(row["speedup"] / row["ceiling"])
            assert set(row["dense_kernel"].split("+")) <= {"sdpa", "eager", OWN}
    details = json.loads((tmp_path / "bench.details.json").read_text())
    # the KV ratio is of bytes, and is what the formula says
    patch = entries(load(str(small_model), False, "cpu", "float32"))[0].patch
    clustered = [row for row in rows if row["selection"] == "clustered" and row["context"] == 411]
    model = load(str(small_model), False, "cpu", "float32").model
    assert clustered[0]["kv_bytes_ratio"] == pytest.approx(patch.kv_ratio(model, 411), rel=0.02)
    assert details["contexts"][0]["checked"]["clustered 25 %, sink 4, window 16"]["row_error"] < 1e-5
    assert set(details["ram"][0]) >= {"plain", "ram", "eager"}
    assert details["longest"] == {}
    printed = capsys.readouterr().out
    assert "of 8 KV heads keep all tokens" in printed
    assert "prefill: " in printed
    assert "tokens on" in printed or "not faster" in printed
    assert out.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("model_type", family_cases.FAMILIES)
def test_random_weights_of_every_family(model_type: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    family_cases.model(model_type).config.save_pretrained(tmp_path)
    arguments = ["bench", str(tmp_path), "--random-weights", "--context", "200", "--fraction", "0.25", "--dtype"]
    selection = ["--selection", "scattered", "--prefill-chunk", "64", "--granularity", "kv", "--batch", "2"]
    assert main([*arguments, "float32", "--device", "cpu", *QUICK, *selection, "--out", str(tmp_path / "b.json")]) == 0
    rows = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert {row["phase"] for row in rows} == {"vision", "prefill", "decode", "end_to_end"}
    assert {row["weights"] for row in rows} == {"random"}
    assert {row["batch"] for row in rows} == {2}
    printed = capsys.readouterr().out
    assert "Weights were random" in printed
    assert "Not measured: preprocess" in printed


def test_published_shapes_are_known_by_the_beginning_of_their_names(monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.bench.target import _configuration

    for given, layers in (
        ("Qwen/Qwen3-VL-8B", 36),
        ("Qwen/Qwen3-VL-32B-Instruct", 64),
        ("OpenGVLab/InternVL3_5-8B", 36),
    ):
        name, config = _configuration(given)
        assert name.startswith(given)
        assert config.text_config.num_hidden_layers == layers
    with pytest.raises(UserError, match="no known shape"):
        _configuration("Qwen/Qwen3-VL-7B")


def test_all_variants_take_turns(target: Target) -> None:
    (entry,) = entries(target)
    result = measure(target, 300, {entry.name: entry.patch}, PLAN)
    assert result.repeats == 2
    assert set(result.times) == {"dense", entry.name, f"ceiling {entry.name}"}
    assert all(len(times[phase]) == 2 for times in result.times.values() for phase in ("prefill", "decode", "vision"))
    assert set(result.kernels["prefill"]) == {"sdpa", "eager", OWN}
    assert result.dense_kernel["decode"] == min(result.kernels["decode"], key=result.kernels["decode"].__getitem__)
    assert result.workload.inputs["input_ids"].shape == (1, 300)
    assert 0 < result.workload.vision_tokens < 300
    assert "forward" not in vars(target.adapter.vision_modules[0])
    assert target.model.model.language_model.config._attn_implementation == "sdpa"


def run(target: Target) -> Any:
    return bench.bench(target, [300], entries(target), PLAN)


def test_wrong_outputs_fail(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(query: Any, key: Any, value: Any, scaling: float, sink: int, width: int, output: Any = None) -> Any:
        return local_attention(query, key, value, scaling, sink, width + 1, output)

    monkeypatch.setattr(window, "local_attention", shifted)
    with pytest.raises(bench_check.BenchError, match="differs from the masked reference"):
        run(target)


def test_outputs_that_are_no_numbers_fail(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> Any:
        return local_attention(*given).fill_(float("nan"))

    monkeypatch.setattr(window, "local_attention", broken)
    with pytest.raises(bench_check.BenchError, match="masked reference by nan"):
        run(target)


def masked(query: Any, key: Any, value: Any, scaling: float, sink: int, width: int, output: Any = None) -> Any:
    """Right, and as much work as dense attention."""
    group = Group(tuple(range(query.shape[1])), (Local(sink, width),))
    found = dispatch.masked_attention(query, key, value, scaling, group, None)
    return found if output is None else output.copy_(found)


def test_work_that_does_not_shrink_fails(
    target: Target,
    small_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(window, "local_attention", masked)
    # so short that the whole prompt is a block: nothing can be saved, and that is no error
    checked = bench_check.check(target, target.workload(270), "short", Hybrid({(0, 0)}, 4, 16), None)
    assert checked["work"]["window"] == 0
    arguments = ["bench", str(small_model), "--context", "900", "--fraction", "0.1", "--device", "cpu", *QUICK]
    assert main([*arguments, "--out", str(tmp_path / "b.json")]) == 1
    message = capsys.readouterr().err
    assert "the work of the sparse heads does not shrink" in message
    assert not (tmp_path / "b.json").exists()


def test_a_cache_that_keeps_everything_fails(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    every = [list(range(4))] * 2
    monkeypatch.setattr(Hybrid, "full_kv_heads", lambda self, model: every)
    monkeypatch.setattr(Hybrid, "kv_ratio", lambda self, model, tokens: 0.5)
    with pytest.raises(bench_check.BenchError, match="KV cache keeps"):
        run(target)


def test_a_wrong_cache_fails(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.adapters.kernels.evicting import EvictingLayer

    monkeypatch.setattr(EvictingLayer, "_targets", lambda self, first, last: iter([(max(first, 0), 0, 1)]))
    with pytest.raises(bench_check.BenchError, match="evicting cache differ"):
        run(target)


@pytest.mark.parametrize(("sink", "wide"), [(0, 1), (0, -1), (-1, 0)])
def test_small_mistakes_are_seen_in_bfloat16(
    small_model: Path, sink: int, wide: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounded = load(str(small_model), False, "cpu", "bfloat16")
    patch = Hybrid({(0, 1), (1, 5)}, 4, 30)
    assert 1e-4 < bench_check.check(rounded, rounded.workload(700), "x", patch, None)["row_error"] < 0.01

    def wrong(query: Any, key: Any, value: Any, scaling: float, sinks: int, width: int, output: Any = None) -> Any:
        return local_attention(query, key, value, scaling, sinks + sink, width + wide, output)

    monkeypatch.setattr(window, "local_attention", wrong)
    with pytest.raises(bench_check.BenchError, match="differs from the masked reference"):
        bench_check.check(rounded, rounded.workload(700), "x", patch, None)


def test_what_is_timed_in_pieces_is_checked_in_pieces(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.adapters.kernels.evicting import EvictingLayer

    ordered = EvictingLayer.ordered
    # of use only to a piece with others before it
    monkeypatch.setattr(EvictingLayer, "ordered", lambda *given: tuple(0 * part for part in ordered(*given)))
    patch = Hybrid({(0, 1)}, 4, 30)
    bench_check.check(target, target.workload(500), "x", patch, None)
    with pytest.raises(bench_check.BenchError, match="evicting cache differ"):
        bench_check.check(target, target.workload(500), "x", patch, 100)


def test_the_check_holds_one_cache_at_a_time(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    alive: list[int] = []
    held: list[weakref.ref[Any]] = []
    forward = Target.forward

    def watched(self: Target, cache: Any, **inputs: Any) -> torch.Tensor:
        if not any(known() is cache for known in held):
            held.append(weakref.ref(cache))
        alive.append(sum(known() is not None for known in held))
        return forward(self, cache, **inputs)

    monkeypatch.setattr(Target, "forward", watched)
    bench_check.check(target, target.workload(300), "x", Hybrid({(0, 1)}, 4, 30), None)
    assert len(held) == 2
    assert set(alive) == {1}


def test_rows_are_checked_in_chunks_too(target: Target) -> None:
    whole, pieces = (
        bench_check.check(target, target.workload(500), "x", Hybrid({(0, 1), (1, 5)}, 4, 30), chunk)
        for chunk in (None, 77)
    )
    assert whole["row_error"] < 1e-5
    assert pieces["row_error"] < 1e-5


def test_the_longest_context_is_found_by_halving() -> None:
    tried: list[int] = []

    def fits(limit: int) -> Any:
        def attempt(tokens: int) -> None:
            tried.append(tokens)
            if tokens > limit:
                raise torch.OutOfMemoryError

        return attempt

    assert extra.largest(fits(100_000), 8192) == 99328
    assert extra.largest(fits(5000), 131072) == 4096
    assert extra.largest(fits(500), 4096) is None
    assert extra.largest(fits(1 << 30), 4096, limit=1 << 16) == 1 << 16
    assert len(tried) < 60
    # each try takes 10 seconds: the fourth would begin after 30, and might end after 50
    times = iter(range(0, 1000, 10))
    assert extra.largest(fits(1 << 30), 1024, seconds=60, clock=lambda: float(next(times))) == 2048


def test_out_of_memory_ends_the_series(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    workload = Target.workload

    def limited(self: Target, tokens: int, batch: int = 1) -> Any:
        if tokens > 300:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return workload(self, tokens, batch)

    monkeypatch.setattr(Target, "workload", limited)
    said: list[str] = []
    rows, details = bench.bench(target, [280, 400, 500], entries(target), PLAN, said.append)
    assert {row["context"] for row in rows} == {280}
    assert "out_of_memory" in details["contexts"][1]
    assert len(details["contexts"]) == 2
    assert "does not fit" in said[-1]


def test_kernels_that_do_not_fit_are_left_out(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    dense = _Runner.dense
    fitting = {"eager"}

    def limited(self: _Runner, kernels: Mapping[str, str]) -> dict[str, float]:
        if dispatch["prefill"] not in fitting:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        return dense(self, dispatch)

    monkeypatch.setattr(_Runner, "dense", limited)
    (entry,) = entries(target)
    assert set(measure(target, 300, {entry.name: entry.patch}, PLAN).kernels["prefill"]) == {"eager"}
    fitting.clear()
    rows, details = run(target)
    assert not rows
    assert "Tried to allocate" in details["contexts"][0]["out_of_memory"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--context", "8x"], "--context: '8x'"),
        (["--context", "0"], "--context: '0'"),
        (["--fraction", "1.5"], "--fraction: '1.5'"),
        (["--fraction", "x"], "--fraction: 'x'"),
        (["--window", "0"], "--window: '0'"),
        (["--sink", "1,2", "--window", "1,2,3"], "--sink: 2 values"),
        (["--selection", "top"], "top needs --heads FILE"),
        (["--selection", ","], "expected at least one value"),
        (["--granularity", "layer"], "--granularity: 'layer'"),
        (["--heads", "/nowhere.json"], "/nowhere.json: no such file"),
        (["--device", "cuda:77"], "cuda:77"),
        (["--out", "."], "--out is ., a folder"),
    ],
)
def test_wrong_options_are_one_line(
    arguments: list[str], expected: str, small_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", str(small_model), *arguments]) == 2
    message = capsys.readouterr().err.strip()
    assert message.startswith("error: ")
    assert expected in message
    assert len(message.splitlines()) == 1


def test_prompts_shorter_than_a_picture_are_refused(target: Target) -> None:
    with pytest.raises(UserError, match="--context is 5, expected at least"):
        target.workload(5)


def test_heads_of_another_model_are_refused(small_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    heads = Path(__file__).parents[3] / "results" / "embedded" / "heads.json"
    assert main(["bench", str(small_model), "--heads", str(heads)]) == 2
    assert "belongs to another model" in capsys.readouterr().err


def test_it_needs_torch_and_transformers_only(small_model: Path, tmp_path: Path) -> None:
    """As on a machine where nothing else is installed; an old typer is, a new one needs pydantic itself."""
    program = (
        "import sys\n"
        "others = ('lmms_eval', 'datasets', 'decord', 'pydantic', 'av', 'pypdfium2', 'typer')\n"
        "sys.modules.update(dict.fromkeys(others))\n"
        "from pathlib import Path\n"
        "from coreheads.bench.run import Settings, run\n"
        "from coreheads.bench.timing import Plan\n"
        f"settings = Settings({str(small_model)!r}, [100], [0.2], ['clustered'], [(4, 16)],"
        f" Path({str(tmp_path / 'b.json')!r}), random_weights=True, device='cpu', plan=Plan(2, 0, 3))\n"
        "print(run(settings))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert "Weights were random" in done.stdout
