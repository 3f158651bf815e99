"""Half a character (a JSON escape whose other half was cut off) makes its own record unscored, and no other one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trees
from trees import FAMILY, whole

from coreheads.cli import main
from coreheads.errors import BadSample, UserError
from coreheads.tasks import registry
from coreheads.tasks.reading.documents import read_doc

HALF = "cut \ud83d here"
LONG, DOCS, PAGES = "mmlongbench/mmlb_data", "mmlongbench_doc/data/samples.json", "mmdocir/*.jsonl"


def fields(*path: str | int) -> Callable[[Any], None]:
    """Put half a character at a place of a record."""

    def change(record: Any) -> None:
        for part in path[:-1]:
            record = record[part]
        record[path[-1]] = HALF

    return change


CASES = [
    ("mmlongbench_doc", DOCS, fields("question"), 1),
    ("mmlongbench_doc", DOCS, fields("answer"), 1),
    ("mmlongbench_doc", DOCS, fields("doc_id"), 1),
    ("mmdocir_page", PAGES, fields("questions", 0, "Q"), 1),
    ("mmdocir_page", PAGES, fields("questions", 0, "A"), 1),
    ("mmdocir_layout", PAGES, fields("doc_name"), 3),
    ("mmdocir_page", PAGES, fields("domain"), 3),
    ("vidstg", "vidstg/annotations/test*", fields("captions", 0, "description"), 1),
    ("vidstg", "vidstg/annotations/test*", fields("vid"), 2),
    ("mlvu_dev", "mlvu_dev/MLVU/json/1*", fields("question"), 2),
    ("mlvu_dev", "mlvu_dev/MLVU/json/1*", fields("candidates", 0), 2),
    ("mlvu_dev", "mlvu_dev/MLVU/json/1*", fields("video"), 2),
    ("mlvu_dev", "mlvu_dev/MLVU/json/1*", fields("question_type"), 2),
    ("mlvu_test", "mlvu_test/test_multi*", fields("question_id"), 1),
    ("mmlongbench_8k", f"{LONG}/vrag/infoseek*", fields("question"), 1),
    ("mmlongbench_8k", f"{LONG}/vrag/infoseek*", fields("id"), 1),
    ("mmlongbench_8k", f"{LONG}/vrag/infoseek*", fields("image"), 1),
    ("mmlongbench_8k", f"{LONG}/vrag/infoseek*", fields("ctxs", 0, "text"), 1),
    ("mmlongbench_8k", f"{LONG}/NIAH/retrieval*", fields("ctxs", 0, "text"), 1),
    ("mmlongbench_8k", f"{LONG}/NIAH/vh_single*", fields("ctxs", 0), 1),
    ("mmlongbench_8k", f"{LONG}/documentQA/slide*", fields("page_list", 0), 1),
]


@pytest.mark.parametrize(("name", "pattern", "change", "unscored"), CASES)
def test_it_is_one_record_unscored(
    name: str,
    pattern: str,
    change: Callable[[Any], None],
    unscored: int,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = registry.get(f"coreheads_{name}")
    trees.WRITERS[task.name](tmp_path)
    before = _unusable(task, tmp_path)
    path = sorted(tmp_path.glob(pattern))[0]
    lines = path.suffix == ".jsonl"
    content = [json.loads(line) for line in path.read_text().splitlines()] if lines else json.loads(path.read_text())
    change(content[0])
    path.write_text("".join(json.dumps(entry) + "\n" for entry in content) if lines else json.dumps(content))
    after = _unusable(task, tmp_path)
    assert 1 <= len(after) <= len(before) + unscored
    assert len(set(after) - set(before)) >= 1
    json.dumps(task.records(whole(task.name), data_root=tmp_path, **FAMILY), ensure_ascii=False).encode()
    assert main(["tasks", "validate", task.name, "--split", whole(task.name), "--data-root", str(tmp_path)]) == 1
    assert f"{len(after)} that would be counted as unscored" in capsys.readouterr().out


def _unusable(task: registry.Task, root: Path) -> list[str]:
    """Why records cannot be asked or scored; each reason can be written as UTF-8."""
    reasons = []
    for doc in task.records(whole(task.name), data_root=root, **FAMILY):
        try:
            task.messages(doc)
            task.regions(doc)
            task.doc_scores(doc, "")
        except BadSample as error:
            reasons.append(f"{task.record_id(doc)}: {error}")
    "\n".join(reasons).encode()
    return reasons


def test_a_record_says_which_field_holds_it() -> None:
    doc = read_doc("root", f"{HALF}/0", HALF, "set.json: record 0", lambda: {"question": {"of": ["?", HALF]}})
    assert doc["bad"] == r"set.json: record 0: record_id is 'cut \ud83d here/0', expected whole characters"
    assert doc["record_id"] == r"cut \ud83d here/0"
    doc = read_doc("root", "0", "a", "set.json: record 0", lambda: {"question": {"of": ["?", HALF]}})
    assert doc["bad"] == r"set.json: record 0: question is 'cut \ud83d here', expected whole characters"
    assert "bad" not in read_doc("root", "0", "a", "", lambda: {"question": "\U0001f600 e\u0301"})


def test_messages_can_be_written() -> None:
    assert str(UserError(f"{HALF}: no such file")) == r"cut \ud83d here: no such file"
