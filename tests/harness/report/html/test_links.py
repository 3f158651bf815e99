"""Where the page leads to: hub ids and data sets by their names, files of runs that lie beside it, and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path

import page_boards
import pytest
import small_run

from coreheads.cli import main
from coreheads.report.html import links


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("Qwen/Qwen3-VL-8B-Instruct", "https://huggingface.co/Qwen/Qwen3-VL-8B-Instruct"),
        ("tiny", None),
        ("/home/someone/model", None),
        ("~/model", None),
        ("a/b/c", None),
        ("../model", None),
        ("javascript:alert(1)/x", None),
        (page_boards.EVIL, None),
    ],
)
def test_a_hub_id_has_an_address(name: str, address: str | None) -> None:
    board = page_boards.board([], {"m": page_boards.random_profile(2, 4)})
    board["heads"][0]["id"] = name
    assert links.models(board).get("m") == address  # type: ignore[arg-type]


def test_a_data_set_on_the_hub_has_an_address() -> None:
    rows = [page_boards.row(task=task) for task in ("coreheads_mlvu_dev", "coreheads_mini_mlvu", "of another package")]
    (address,) = links.tasks(page_boards.board(rows)).items()  # type: ignore[arg-type]
    assert address[0] == "coreheads_mlvu_dev"
    assert address[1].startswith("https://huggingface.co/datasets/")


def files(page: Path) -> list[Path]:
    """Files that the page leads to."""
    found = re.findall(r'href="([^"#:]+)"', page.read_text())
    return [page.parent / name for name in dict.fromkeys(found)]


@pytest.mark.slow
def test_files_of_a_run_are_linked_where_they_lie_beside_the_page(tmp_path: Path) -> None:
    runs = [small_run.fake_run(tmp_path / name) for name in ("one run", "two")]
    small_run.change_manifest(
        runs[1],
        started="2026-02-02T00:00:00+00:00",
        machine=runs[0].manifest["invocations"][0]["machine"] | {"name": "another"},
    )
    assert main(["leaderboard", str(runs[0].path), "--out", str(runs[0].path)]) == 0
    own = files(runs[0].path / "leaderboard.html")
    assert runs[0].path / "manifest.json" in [path.resolve() for path in own]
    assert all(path.exists() for path in own)
    assert sum("samples" in path.parts and path.suffix == ".jsonl" and path.exists() for path in own) > 5
    assert main(["leaderboard", str(runs[0].path), "--out", str(tmp_path / "board")]) == 0
    assert files(tmp_path / "board" / "leaderboard.html") == []
    for run in runs:
        assert main(["publish", str(run.path), "--to", str(tmp_path / "site")]) == 0
    text = (tmp_path / "site" / "index.html").read_text()
    linked = set(re.findall(r'href="runs/([^/]+)/cells.jsonl"', text))
    assert linked == {path.name for path in (tmp_path / "site" / "runs").iterdir()}
    assert len(linked) == 2, "also what was published before"
