"""What is stored can be given away: no token, no password, no signed address, no home folder of a command."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import small_run

from coreheads import environment
from coreheads.check.compare import update
from coreheads.cli import main
from coreheads.cli.output import say
from coreheads.config.cells import Cell
from coreheads.errors import UserError
from coreheads.files import append_jsonl, read_json
from coreheads.leaderboard.build import build
from coreheads.leaderboard.publish import publish
from coreheads.private import HIDDEN, private, private_command_line, private_value, without_secrets
from coreheads.run.progress import RunProgress
from coreheads.store.folder import RunFolder
from coreheads.store.samples import SampleFile

KEY = "Xy12secret34"
SECRETS = (
    f"models.0.settings.token={KEY}", f"pretrained=a,token={KEY},device=cpu", f"HF_TOKEN={KEY} next", f"token = {KEY}",
    f"AWS_SECRET_ACCESS_KEY={KEY}/a+b=", f"api_key='{KEY} b'", f'{{"accessToken": "{KEY}"}}',
    f"{{x: 1, password: {KEY}}}",
    f"settings.token is '{KEY}', expected", f"https://user:{KEY}@host/a",
    f"https://user:a@{KEY}@host/a", f"https://{KEY}@host",
    f"git+https://x-access-token:{KEY}@host/a.git@main", f"see https://b.s3.example/k?X-Amz-Signature={KEY}&x=1",
    f"https://b/k?X-Amz-Credential={KEY}%2F2026&X-Amz-Security-Token={KEY}",
    f"https://a.blob.example/k?sv=1&sig={KEY}%3D&se=2",
    f"https://a/k?Expires=1&Signature={KEY}&Key-Pair-Id=2", f"https://a/k?token={KEY}", f"https://a/k?key={KEY}",
    f"401 for hf_{KEY}: unknown", f"OPENAI sk-proj-{KEY}", f"Authorization: Bearer {KEY}",
    f"{{'Authorization': 'Bearer {KEY}'}}",
    f"authorization: basic {KEY}==", f"ghp_{KEY}{KEY}",
)  # fmt: skip
HARMLESS = (
    "timing.decode_tokens=8 max_new_tokens=5 prompt_tokens: 4", "the regions touch no vision token: 5 of 6",
    "hf_hub_download",
    "https://host:8000/a@b?x=1", "user@host", "task-1234567890", "design=3", "no token",
    "key=5", "sk-learn", "hf_transfer",
)  # fmt: skip


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_hidden(text: str) -> None:
    shown = without_secrets(text)
    assert "secret34" not in shown
    assert HIDDEN in shown
    assert without_secrets(shown) == shown
    command = private_command_line(f"coreheads run --set {shlex.quote(text)}")
    assert "secret34" not in command
    assert private_command_line(command) == command
    assert len(shlex.split(command)) == 4


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets(text) == text
    assert private_command_line(text) == text


def test_words_of_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    home = str(Path.home())
    words = [
        "run",
        f"{home}/my configs/a.yaml",
        "--hf-token",
        KEY,
        "--set",
        f"x.password={KEY} with blanks",
        "--limit",
        "4",
    ]
    monkeypatch.setattr(sys, "argv", [f"{home}/bin/coreheads", *words, f"--out={home}/run", f"{home}x"])
    command = environment.command_line()
    assert command.startswith("coreheads run ~/'my configs/a.yaml' --hf-token '***' --set 'x.password=***' ")
    assert shlex.split(command)[-2:] == ["--out=~/run", f"{home}x"]
    monkeypatch.setattr(sys, "argv", ["coreheads", "run", "--set", "a b=1", "--out", "run"])
    assert environment.command_line() == "coreheads run --set 'a b=1' --out run"


def test_the_home_folder_in_a_text() -> None:
    home = str(Path.home())
    assert private(f"'{home}/a/b.jpg': no such file; {home}") == "'~/a/b.jpg': no such file; ~"
    for other in (f"{home}x/a", f"/mnt{home}/a"):
        assert private(other) == other


def test_values_of_a_configuration() -> None:
    value = {
        "settings": {"token": KEY, "api_key": None, "max_tokens": 5},
        "password": [KEY],
        "root": f"https://a:{KEY}@b",
    }
    assert private_value(value) == {
        "settings": {"token": HIDDEN, "api_key": None, "max_tokens": 5},
        "password": [HIDDEN],
        "root": f"https://{HIDDEN}@b",
    }


def stored(folder: Path) -> str:
    """All texts of a folder."""
    return "\n".join(
        path.read_text(encoding="utf-8") for path in folder.rglob("*") if path.suffix in (".json", ".jsonl", ".txt")
    )


def test_a_run_with_a_secret_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Path.home()
    settings = {"token": KEY, "max_pixels": 5}
    config: dict[str, Any] = {
        "models": [{"id": "made-up", "name": "made-up", "settings": settings}],
        "device": "cpu",
        "data_root": str(home / "data"),
    }
    monkeypatch.setattr(
        sys, "argv", ["coreheads", "run", str(home / "c.yaml"), "--set", f"models.0.settings.token={KEY}"]
    )
    cell = Cell(model="made-up", task="long_task")
    with RunFolder.open(tmp_path / "run", config) as run:
        run.fail_cells([cell], f"401: https://u:{KEY}@host/x for '{home}/x'")
        run.fail_timing([cell], f"token={KEY}")
        run.note_error("a", f"Traceback\n  {home}/x.py\nError: Bearer {KEY}")
        samples = SampleFile(run.path / "samples" / f"{cell.name}.jsonl")
        samples.leave_out("r1", f"https://a/b?sig={KEY}")
        samples.leave_out("r1", f"https://a/b?sig={KEY}")
    text = stored(tmp_path / "run")
    assert "secret34" not in text
    assert "~/c.yaml" in text
    assert run.config["data_root"] == str(home / "data"), "the run's own paths stay until they are published"
    settings["token"] = "another"  # the same run
    with RunFolder.open(tmp_path / "run", config) as run:
        assert len(run.manifest["invocations"]) == 2
    settings["max_pixels"] = 6
    with (
        pytest.raises(UserError, match=r"max_pixels: 5 there, 6 now\)"),
        RunFolder.open(tmp_path / "run", config),
    ):
        pass


def older_run(path: Path) -> RunFolder:
    """As a version stored it that hid nothing."""
    run = small_run.fake_run(path)
    command = (
        f"coreheads run --set models.0.settings.token={KEY} --data-root https://a:{KEY}@b --out {Path.home()}/runs/r"
    )
    models = [{"id": "made-up", "name": "made-up", "settings": {"token": KEY}}]
    run = small_run.change_manifest(run, command=command, config={"models": models})
    failures = []
    for number, cell in enumerate((Cell(model="made-up", task="other"), Cell(model="made-up", task="short | task"))):
        reason = f"Error {number}: Bearer {KEY} for {Path.home()}/x"
        failures.append({"schema_version": 1, "name": f"lost_{number}", "cell": cell.to_json(), "failed": reason})
    append_jsonl(run.path / "cells.jsonl", *failures)
    name, reason = Cell(model="made-up", task="long_task").name, f"https://a/b?sig={KEY}"
    unscored = {"schema_version": 1, "record_id": "r99", "unscored": reason}
    append_jsonl(run.path / "samples" / f"{name}.jsonl", unscored)
    lines = [json.loads(line) for line in (run.path / "cells.jsonl").open()]
    lines = [line | {"unscored": 1, "unscored_example": reason} if line["name"] == name else line for line in lines]
    (run.path / "cells.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return RunFolder.load(run.path)


def test_older_runs_on_boards_and_in_baselines(tmp_path: Path) -> None:
    run = older_run(tmp_path / "run")
    with RunFolder.open(run.path, run.config) as again:
        assert "secret34" not in json.dumps(again.config)
    board = json.dumps(build([older_run(tmp_path / "board")]))
    assert "Error 0: Bearer ***" in board
    assert "https://a/b?sig=***" in board
    assert "secret34" not in board
    assert f"{Path.home()}/" not in board
    update(older_run(tmp_path / "gate"), tmp_path / "baseline.json")
    assert "secret34" not in (tmp_path / "baseline.json").read_text()
    made_by = read_json(tmp_path / "baseline.json")["made_by"]
    assert made_by.startswith(
        "coreheads run --set 'models.0.settings.token=***' --data-root 'https://***@b' --out ~/runs/r"
    )


@pytest.mark.slow  # pages
def test_older_runs_that_are_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        sys, "argv", ["coreheads", "publish", "run", "--to", f"{Path.home()}/{os.getpid()}", f"token={KEY}"]
    )
    publish([older_run(tmp_path / "run")], tmp_path / "site")
    for path in (tmp_path / "site").rglob("*"):
        if path.is_file():
            text = path.read_bytes().decode("utf-8", "replace")
            assert "secret34" not in text, path
            assert f"{Path.home()}/" not in text, path


@pytest.mark.parametrize("words", [("run", f"no/such?token={KEY}"), ("heads", "show", f"https://u:{KEY}@host/h.json")])
def test_what_is_wrong_is_said_without_secrets(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(list(words)) == 2
    assert "secret34" not in capsys.readouterr().err


def test_what_is_printed_is_without_secrets(capsys: pytest.CaptureFixture[str]) -> None:
    text = f"401 for https://u:{KEY}@host/x"
    say(text)
    progress = RunProgress()
    progress.say(text)
    progress.warn(text)
    shown = capsys.readouterr()
    assert shown.out + shown.err.replace("0:00  ", "") == 3 * "401 for https://***@host/x\n"
