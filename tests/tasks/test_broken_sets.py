"""Missing, truncated, empty and wrong files: a set that cannot be used stops with one line; what validating finds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trees
from damage import Damage, cut, fill, parquet, remove
from trees import FAMILY, whole

from coreheads.cli import main
from coreheads.errors import BadSample, UserError
from coreheads.tasks import registry
from coreheads.tasks.reading.pieces import fault

UNUSABLE = [
    ("coreheads_refcocog", remove("refcocog/data/test*"), r"data/test-\*.parquet: not there, expected regions"),
    ("coreheads_refcocog", cut("refcocog/data/test*"), r"test-00000-of-00001.parquet: cannot be read as parquet"),
    ("coreheads_refcocog", fill("refcocog/data/test*", b""), "cannot be read as parquet"),
    (
        "coreheads_refcocog",
        lambda root: trees.parquet(root / "refcocog/data/test-00000-of-00001.parquet", [{"question": "?"}]),
        "has no column question_id, expected question_id, .*; it has question",
    ),
    ("coreheads_vidstg", remove("vidstg/annotations/*"), "test_annotations.json: not there, expected VidSTG's"),
    ("coreheads_vidstg", cut("vidstg/annotations/test*"), "test_annotations.json: is not JSON"),
    ("coreheads_vidstg", fill("vidstg/annotations/test*", b"[]"), "no records in split test"),
    ("coreheads_vidstg", fill("vidstg/annotations/test*", b'{"videos": []}'), "holds dict, expected a list"),
    ("coreheads_vidstg", fill("vidstg/annotations/test*", b'[{"vid": "1"}]'), "none of 1 records can be used.*'used_s"),
    ("coreheads_mmdocir_page", remove("mmdocir/*.jsonl"), "MMDocIR_annotations.jsonl: not there"),
    ("coreheads_mmdocir_page", fill("mmdocir/*.jsonl", b"{}\n"), "line 1: field 'doc_name' is missing"),
    ("coreheads_mmdocir_page", fill("mmdocir/*.jsonl", b"{\n{}\n"), "line 1 is not JSON"),
    ("coreheads_mmdocir_page", fill("mmdocir/*.jsonl", b""), "no records in split all"),
    ("coreheads_mmlongbench_doc", remove("mmlongbench_doc/data/samples.json"), "samples.json: not there, nor data/"),
    ("coreheads_mmlongbench_doc", fill("mmlongbench_doc/data/samples.json", b'"x"'), "holds str, expected a list"),
    ("coreheads_mmlongbench_8k", remove("mmlongbench/mmlb_data/NIAH/vh_s*"), "vh_single_.*not there, expected MMLong"),
    ("coreheads_mmlongbench_8k", fill("mmlongbench/mmlb_data/NIAH/vh_s*", b""), "is empty, expected a JSON record"),
    ("coreheads_mlvu_dev", remove("mlvu_dev/MLVU/json/*"), r"json: no \*.json, expected MLVU's questions"),
    ("coreheads_mlvu_dev", fill("mlvu_dev/MLVU/json/2*", b"{}"), "2_needle.json: holds dict, expected a list"),
    ("coreheads_mlvu_test", remove("mlvu_test/test-ground-truth/*"), "test_mcq_gt.json: not there, expected MLVU's"),
]


@pytest.mark.parametrize(("name", "damage", "message"), UNUSABLE)
def test_a_set_that_cannot_be_used_stops(
    name: str, damage: Damage, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trees.WRITERS[name](tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        registry.get(name).records(whole(name), data_root=tmp_path, **FAMILY)
    assert len(str(caught.value).splitlines()) == 1
    assert main(["tasks", "validate", name, "--split", whole(name), "--data-root", str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


PIECES = [
    (["0-of-2"], r"data/test-00001-of-00002.parquet: not there, expected all 2 pieces of the set"),
    (["1-of-2"], r"data/test-00000-of-00002.parquet: not there, expected all 2"),
    (["0-of-3", "2-of-3"], r"data/test-00001-of-00003.parquet: not there, expected all 3"),
    (["0-of-2-0a1b"], r"data/test-00001-of-00002-0a1b.parquet: not there, expected all 2"),
    (["0-of-1", "0-of-2", "1-of-2"], r"test-00000-of-00002.parquet: not of one set with .*test-00000-of-00001.parquet"),
    (["0-of-1", "copy"], r"test-copy.parquet: not of one set with data/test-00000-of-00001.parquet, expected the 1"),
    (
        ["0-of-1", "0-of-1 (1)"],
        r"00001( \(1\))?.parquet: the same piece as data/test-00000",
    ),
    (
        ["0-of-1-0a1b", "0-of-1-2c3d"],
        r"2c3d.parquet: the same piece as .*0a1b.parquet, expected each of 1 once",
    ),
    (["0-of-2", "1-of-2.parquet.incomplete"], r"00001-of-00002.parquet.incomplete: a download that was cut off"),
    (["0-of-1", "0-of-1.parquet.aria2"], r"a download that was cut off, expected whole files"),
    (["5-of-1"], r"data/test-00000-of-00001.parquet: not there, expected all 1"),
    (["0-of-0"], r"numbered beyond its total"),
    (["1-of-999999999"], r"data/test-00000-of-999999999.parquet: not there"),
]


def pieces(root: Path, names: list[str]) -> None:
    """Copies of RefCOCOg's one file under names such as 0-of-2."""
    (whole_set,) = (root / "refcocog/data").glob("test*")
    content = whole_set.read_bytes()
    whole_set.unlink()
    for name in names:
        padded = re.sub(r"\d+(?=-of)|(?<=of-)\d+", lambda match: match.group().zfill(5), name)
        file = f"test-{padded}" if ".parquet" in padded else f"test-{padded}.parquet"
        (root / "refcocog/data" / file).write_bytes(content)


@pytest.mark.parametrize(("names", "message"), PIECES)
def test_pieces_of_a_set_are_all_there_once(
    names: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trees.refcocog(tmp_path)
    pieces(tmp_path, names)
    with pytest.raises(UserError, match=message) as caught:
        registry.get("coreheads_refcocog").records("test", data_root=tmp_path)
    assert not isinstance(caught.value, BadSample)
    assert len(str(caught.value).splitlines()) == 1
    assert main(["tasks", "coreheads_refcocog", "--data-root", str(tmp_path)]) == 0
    assert re.search(r"missing .*test-\*.parquet", capsys.readouterr().out)


@pytest.mark.parametrize("end", [".parquet", "-ab12.parquet", ".json", ".jsonl", ".jsonl.gz"])
def test_numbers_without_zeros_before_them(end: str) -> None:
    assert fault([f"data/test-0-of-2{end}"]) == f"data/test-1-of-2{end}: not there, expected all 2 pieces of the set"
    assert fault([f"data/test-{number}-of-11{end}" for number in range(11)]) == ""
    assert fault(["report 1-of-2.pdf", "talk-3-of-4.mp4"]) == ""  # documents of their own


@pytest.mark.parametrize("names", [["0-of-2", "1-of-2"], ["1-of-2", "2-of-2"], ["0-of-2-a", "1-of-2-b"], ["a", "b"]])
def test_whole_sets_in_pieces(names: list[str], tmp_path: Path) -> None:
    trees.refcocog(tmp_path)
    pieces(tmp_path, names)
    assert len(registry.get("coreheads_refcocog").records("test", data_root=tmp_path)) == 8
    assert all(file.present for file in registry.get("coreheads_refcocog").expected(tmp_path))


def test_sound_data_has_no_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trees.refcocog(tmp_path)
    assert main(["tasks", "validate", "coreheads_refcocog", "--data-root", str(tmp_path), "--limit", "2"]) == 0
    assert "2 records of split test looked at, 0 that would be counted as unscored, 0 other" in capsys.readouterr().out


def test_validation_names_what_is_odd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trees.mmdocir(tmp_path)
    arguments = ["--split", "all", "--data-root", str(tmp_path)]
    assert main(["tasks", "validate", "coreheads_mmdocir_page", *arguments]) == 1
    out = capsys.readouterr().out
    assert "has no area" in out
    assert "leaves page" in out
    trees.refcocog(tmp_path)
    parquet(tmp_path, "refcocog/data/test-00000-of-00001.parquet", lambda rows: rows.append(rows[0]))
    assert main(["tasks", "validate", "coreheads_refcocog", "--data-root", str(tmp_path)]) == 1
    assert "id is there twice" in capsys.readouterr().out


def test_folders_and_tasks_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tasks", "validate", "coreheads_refcocog", "--data-root", str(tmp_path)]) == 2
    assert "refcocog: no such folder, expected the data of coreheads_refcocog" in capsys.readouterr().err
    assert main(["tasks", "validate", "coreheads_vidstg"]) == 2
    assert "give --data-root" in capsys.readouterr().err
    assert main(["tasks", "validate"]) == 2
    assert main(["tasks", "validate", "refcoco"]) == 2
    assert main(["tasks", "coreheads_refcocog", "coreheads_vidstg"]) == 2
    assert main(["tasks", "coreheads_refcocog", "--option", "length=3"]) == 2
    assert main(["tasks", "coreheads_vidstg", "--data-root", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "missing  " in out
    assert "vidor/annotation/validation/*/*.json" in out


def test_data_without_one_usable_record_is_unusable(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trees.mlvu_dev(tmp_path)
    remove("mlvu_dev/MLVU/video/*/*")(tmp_path)
    assert main(["tasks", "validate", "coreheads_mlvu_dev", "--data-root", str(tmp_path)]) == 2
    assert "3 records of split test looked at, 3 that would be counted as unscored" in capsys.readouterr().out
