"""Every real task end to end on a small tree in the published layout: records, prompts, regions, scores, splits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trees
from set_scores import aggregate
from trees import FAMILY, whole

from coreheads.errors import UserError
from coreheads.regions import Region
from coreheads.tasks import registry
from coreheads.tasks.reading.documents import Doc

NAMES = tuple(trees.WRITERS)


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[str], Path]:
    def write(name: str) -> Path:
        trees.WRITERS[name](tmp_path)
        return tmp_path

    return write


def usable(docs: list[Doc]) -> list[Doc]:
    return [doc for doc in docs if "bad" not in doc]


def pictures(task: registry.Task, doc: Doc) -> list[Any]:
    return [part["url"] for turn in task.messages(doc) for part in turn["content"] if part["type"] != "text"]


def words(task: registry.Task, doc: Doc) -> str:
    return "\n".join(part["text"] for part in task.messages(doc)[0]["content"] if part["type"] == "text")


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_scores_one_and_nonsense_nothing(name: str, tree: Callable[[str], Path]) -> None:
    task = registry.get(name)
    docs = task.records(whole(name), data_root=tree(name), **FAMILY)
    assert len({task.record_id(doc) for doc in docs}) == len(docs)
    truth = [task.target(doc) if "bad" not in doc else "" for doc in docs]
    scores = aggregate(task, docs, truth)
    assert {*task.metrics, *task.aggregates, "unscored"} <= set(scores)
    if name == "coreheads_mmdocir_page":
        assert scores["recall_1"] == pytest.approx((8 * 0.5 + 2) / 10)  # two gold pages: the first alone is half
        assert scores["recall_3"] == 1.0
    elif name == "coreheads_mmdocir_layout":
        assert scores["layout_recall_10"] == pytest.approx(1.0, abs=0.03)
    else:
        assert scores[task.metric] == pytest.approx(1.0, abs=0.05)
    assert scores["unparsed"] == 0.0
    nothing = aggregate(task, docs, ["?"] * len(docs))
    assert nothing[task.metric] == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_prompts_hold_the_query_and_every_region_lies_in_a_medium(name: str, tree: Callable[[str], Path]) -> None:
    task = registry.get(name)
    for doc in usable(task.records(whole(name), data_root=tree(name), **FAMILY)):
        if name == "coreheads_mmdocir_layout" and doc["question"] == "A flat box?":
            continue  # is not scored, so not shown
        shown = pictures(task, doc)
        assert shown
        assert task.query(doc).strip() in words(task, doc)
        for region in task.regions(doc):
            region.check(len(shown))
            assert region.box is None or 0 <= min(region.box) <= max(region.box) <= 1


@pytest.mark.parametrize("name", NAMES)
def test_splits_are_apart_and_do_not_depend_on_what_else_is_there(name: str, tree: Callable[[str], Path]) -> None:
    task = registry.get(name)
    root = tree(name)
    groups = {split: {doc["group"] for doc in task.records(split, data_root=root, **FAMILY)} for split in ("test",)}
    if task.no_regions:
        with pytest.raises(UserError, match="names neither times nor boxes"):
            task.records("profile", data_root=root)
        with pytest.raises(UserError, match="no ground-truth regions"):
            task.check_profile("test")
        return
    try:
        groups["profile"] = {doc["group"] for doc in task.records("profile", data_root=root, **FAMILY)}
    except UserError:
        groups["profile"] = set()  # two documents may both be on one side
    assert not groups["test"] & groups["profile"]
    assert not task.split("test").overlaps(task.split("profile"))
    again = {doc["group"] for doc in task.records("test", data_root=root, **FAMILY)}
    assert again == groups["test"]


@pytest.mark.parametrize("name", NAMES)
def test_the_first_records_are_the_same_for_every_limit(name: str, tree: Callable[[str], Path]) -> None:
    task = registry.get(name)
    root = tree(name)
    docs = task.records(whole(name), data_root=root, **FAMILY)
    assert task.records(whole(name), 2, root, **FAMILY) == docs[:2]


@pytest.mark.parametrize("name", NAMES)
def test_expected_lists_the_tree(name: str, tree: Callable[[str], Path]) -> None:
    task = registry.get(name)
    before = task.expected("/nowhere")
    assert before
    assert not any(file.present for file in before)
    after = task.expected(tree(name))
    assert all(file.present for file in after if not file.what.startswith("optional"))


# ---- each benchmark's own points


def test_refcocog_profile_shows_no_image_of_the_test_set(tree: Callable[[str], Path]) -> None:
    task, root = registry.get("coreheads_refcocog"), tree("coreheads_refcocog")
    (doc,) = task.records("profile", data_root=root, **FAMILY)
    assert doc["expression"] == "sofa"
    assert {doc["expression"] for doc in task.records("val", data_root=root, **FAMILY)} == {
        "sofa",
        "in the test set, too",
    }
    assert task.split("val").overlaps(task.split("profile"))


@pytest.mark.parametrize(
    ("family", "answer", "part"),
    [
        ("qwen3_vl", '[{"bbox_2d": [83, 125, 500, 500]}]', "0 to 1000"),
        ("internvl", "[[83, 125, 500, 500]]", "<ref>the left cup</ref>"),
        ("llava_onevision", "[0.083, 0.125, 0.5, 0.5]", "from 0 to 1"),
    ],
)
def test_refcocog_asks_and_reads_as_the_family_does(
    family: str, answer: str, part: str, tree: Callable[[str], Path]
) -> None:
    task = registry.get("coreheads_refcocog")
    docs = task.records("test", data_root=tree("coreheads_refcocog"), family=family)
    (doc,) = [doc for doc in docs if doc["expression"] == "the left cup"]
    assert part in words(task, doc)
    assert task.doc_scores(doc, answer)["iou"] == pytest.approx(1.0, abs=0.02)
    assert task.doc_scores(doc, "[8, 8, 48, 32]")["acc_0.5"] == 0.0  # pixels are no family's convention


def test_a_family_must_be_known(tree: Callable[[str], Path]) -> None:
    task = registry.get("coreheads_refcocog")
    for family in (None, "qwen2_5_vl"):
        doc = task.records("test", 1, tree("coreheads_refcocog"), family=family)[0]
        with pytest.raises(UserError, match="family"):
            task.messages(doc)


def test_vidstg_shows_the_segment_alone_and_says_when(tree: Callable[[str], Path]) -> None:
    task = registry.get("coreheads_vidstg")
    docs = task.records("test", data_root=tree("coreheads_vidstg"), options={"frames": 4}, **FAMILY)
    assert [doc["form"] for doc in docs] == ["declarative", "interrogative"] * 2
    # 10 frames a second, 5 scored: 5, 6, 8, 10 ... 32, of which every fourth or so is shown
    shown = [5, 10, 18, 26]
    assert pictures(task, docs[0])[0].size == (96, 64)
    labels = [line for line in words(task, docs[0]).splitlines() if line.endswith(" s:")]
    assert labels == [f"{(frame - 5) / 10:.2f} s:" for frame in shown]
    # of those, 10 and 18 are within the event
    assert task.regions(docs[0]) == [
        Region(media=place, box=((8 + frame) / 96, 8 / 64, (40 + frame) / 96, 48 / 64))
        for place, frame in enumerate(shown)
        if 10 <= frame < 20
    ]


def test_vidstg_duplicates_keep_their_own_ids(tree: Callable[[str], Path]) -> None:
    docs = registry.get("coreheads_vidstg").records("test", data_root=tree("coreheads_vidstg"), **FAMILY)
    assert len({doc["description"] for doc in docs}) == 2
    assert len({doc["record_id"] for doc in docs}) == 4


def test_vidstg_forms_are_reported_apart(tree: Callable[[str], Path]) -> None:
    task, root = registry.get("coreheads_vidstg"), tree("coreheads_vidstg")
    docs = task.records("test", data_root=root, **FAMILY)
    responses = [task.target(doc) if doc["form"] == "declarative" else "none" for doc in docs]
    scores = aggregate(task, docs, responses)
    assert scores["m_viou_declarative"] == pytest.approx(1.0, abs=0.05)
    assert scores["m_viou_interrogative"] == 0.0
    assert scores["m_viou"] == pytest.approx(scores["m_viou_declarative"] / 2)
    only = task.records("test", data_root=root, options={"form": "interrogative"}, **FAMILY)
    assert {doc["form"] for doc in only} == {"interrogative"}


def test_mmdocir_boxes_are_cut_and_flat_ones_left_out(tree: Callable[[str], Path]) -> None:
    root = tree("coreheads_mmdocir_layout")
    page, layout = registry.get("coreheads_mmdocir_page"), registry.get("coreheads_mmdocir_layout")
    docs = {doc["question"]: doc for doc in page.records("all", data_root=root, **FAMILY)}
    flat, beyond = docs["A flat box?"], docs["Beyond the page?"]
    assert page.regions(flat) == [Region(media=2)]
    assert page.regions(beyond) == [Region(media=2, box=(300 / 960, 10 / 640, 1.0, 1.0))]
    assert page.doc_scores(flat, "[3]")["recall_1"] == 1.0
    assert "no area" in page.problems(flat)[0]
    assert "leaves page 2" in page.problems(beyond)[0]
    unscored = aggregate(layout, layout.records("all", data_root=root, **FAMILY), ["[]"] * 10)
    assert unscored["unscored"] == 1.0


def test_mmdocir_counts_domains_alike(tree: Callable[[str], Path]) -> None:
    task = registry.get("coreheads_mmdocir_page")
    docs = task.records("all", data_root=tree("coreheads_mmdocir_page"))
    # domain 0 has 6 questions, domain 1 has 4: all of domain 0 right
    responses = ["[2, 4, 3]" if doc["domain"] == "Domain 0" else "[1]" for doc in docs]
    scores = aggregate(task, docs, responses)
    assert scores["recall_3"] == pytest.approx(6 / 10)
    assert scores["recall_3_macro"] == pytest.approx(0.5)


def test_pages_beyond_the_budget_are_neither_shown_nor_looked_for(tree: Callable[[str], Path]) -> None:
    task = registry.get("coreheads_mmdocir_page")
    docs = task.records("all", data_root=tree("coreheads_mmdocir_page"), options={"max_pages": 2})
    doc = next(doc for doc in docs if doc["pages"] == [1, 3])
    assert len(pictures(task, doc)) == 2
    assert {region.media for region in task.regions(doc)} == {1}


def test_mmlongbench_doc_shows_all_pages_and_skips_pages_that_are_not_there(tree: Callable[[str], Path]) -> None:
    task = registry.get("coreheads_mmlongbench_doc")
    docs = {doc["question"]: doc for doc in task.records("all", data_root=tree("coreheads_mmlongbench_doc"))}
    assert all(len(pictures(task, doc)) == 5 for doc in docs.values())
    assert task.regions(docs["How many?"]) == [Region(media=1)]
    assert task.regions(docs["What colour?"]) == []
    assert task.problems(docs["What colour?"]) == ["evidence_pages has [99] of 5 pages"]
    assert task.variant() == "rules-1, up to 120 pages at 144 dpi"


def test_mmlongbench_finds_gold_pages_by_file_name(tree: Callable[[str], Path]) -> None:
    """Pages count from 0, slides from 1, and pages of other documents that pad the context are not gold."""
    task = registry.get("coreheads_mmlongbench_8k")
    docs = {doc["subtask"]: doc for doc in task.records("all", data_root=tree("coreheads_mmlongbench_8k"))}
    for name in ("mmlongdoc", "longdocurl", "slidevqa"):
        assert task.regions(docs[name]) == [Region(media=2)]
    for name in ("retrieval-image", "counting-image", "reasoning-image"):
        assert task.regions(docs[name]) == [Region(media=1)]
        assert len(pictures(task, docs[name])) == 4
    assert task.regions(docs["infoseek"]) == []
    assert "Document deck, page 5:" in words(task, docs["slidevqa"])
    content = task.messages(docs["retrieval-image"])[0]["content"]
    assert [part["type"] for part in content][:4] == ["text", "image", "text", "image"]


def test_large_files_are_read_alike(tree: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.tasks.mmlongbench import data

    task, root = registry.get("coreheads_mmlongbench_8k"), tree("coreheads_mmlongbench_8k")
    docs = task.records("all", data_root=root)
    monkeypatch.setattr(data, "LARGE", 0)
    assert task.records("all", data_root=root) == docs


def test_mmlongbench_lengths_and_subtasks_are_options(tree: Callable[[str], Path]) -> None:
    task, root = registry.get("coreheads_mmlongbench"), tree("coreheads_mmlongbench_8k")
    options = {"lengths": [8], "subtasks": ["slidevqa", "viquae"]}
    assert {doc["subtask"] for doc in task.records("all", data_root=root, options=options)} == {"slidevqa", "viquae"}
    for wrong, message in (
        ({"lengths": [9]}, "9, expected"),
        ({"subtasks": ["vqa"]}, "'vqa'"),
        ({"length": 8}, "no such option"),
        ({"samples": "many"}, "'many', expected a whole number above 0 or null"),
        ({"samples": 0}, "0, expected a whole number above 0"),
        ({"subtasks": 3}, "3, expected a list of texts"),
    ):
        with pytest.raises(UserError, match=message):
            task.records("all", data_root=root, options=wrong)


def test_mlvu_leaves_out_what_cannot_be_right(tree: Callable[[str], Path]) -> None:
    """An answer that is none of the options, as two published records have: counted, in no score."""
    task = registry.get("coreheads_mlvu_dev")
    docs = task.records(data_root=tree("coreheads_mlvu_dev"))
    assert len(docs) == 3
    scores = aggregate(task, docs, ["(B)", "(B)", "(C)"] if "bad" in docs[1] else ["(C)", "(B)", "(B)"])
    assert scores["unscored"] == 1.0
    assert scores["m_avg"] == 1.0
    assert scores["accuracy_plotQA"] == scores["accuracy_findNeedle"] == 1.0


def test_mlvu_test_has_six_options_and_joins_answers_by_id(tree: Callable[[str], Path]) -> None:
    task = registry.get("coreheads_mlvu_test")
    docs = {doc["record_id"]: doc for doc in task.records(data_root=tree("coreheads_mlvu_test"))}
    assert docs["AR_0"]["answer"] == "Arson"
    assert docs["PQA_0"]["answer"] == "Blast"
    assert "(F) Arson" in words(task, docs["AR_0"])
    assert task.doc_scores(docs["AR_0"], "(F)")["accuracy"] == 1.0
    assert task.doc_scores(docs["AR_0"], "(A)")["accuracy"] == 0.0
