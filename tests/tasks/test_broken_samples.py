"""Samples that cannot be used are unscored, and the others go on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import trees
from damage import Damage, cut, fill, parquet, records, remove, without
from PIL import ImageFile
from trees import FAMILY, whole

from coreheads.cli import main
from coreheads.errors import BadSample
from coreheads.tasks import registry
from coreheads.tasks.validation import validate

# ---- a sample cannot be used: (task, damage, how many are unscored, message)

BAD_SAMPLES = [
    (
        "coreheads_refcocog",
        lambda root: parquet(
            root, "refcocog/data/test-00000-of-00001.parquet", lambda rows: rows[1].update(bbox=[1.0])
        ),
        1,
        r"row 1: bbox is \[1.0\], expected 4 numbers",
    ),
    (
        "coreheads_refcocog",
        lambda root: parquet(
            root, "refcocog/data/test-00000-of-00001.parquet", lambda rows: rows[1].update(bbox=[90.0, 1.0, 20.0, 5.0])
        ),
        1,
        "row 1: bbox ends at .* outside its image of 96 x 64",
    ),
    (
        "coreheads_refcocog",
        lambda root: parquet(
            root,
            "refcocog/data/test-00000-of-00001.parquet",
            lambda rows: rows[1].update(image={"bytes": b"no picture", "path": None}),
        ),
        1,
        "row 1: cannot be read as a picture",
    ),
    (
        "coreheads_refcocog",
        lambda root: parquet(
            root, "refcocog/data/test-00000-of-00001.parquet", lambda rows: rows[1].update(image={"bytes": None})
        ),
        1,
        "row 1 has no image",
    ),
    (
        "coreheads_vidstg",
        records("vidstg/annotations/test*", without("temporal_gt")),
        2,  # both sentences
        "record 0: field 'temporal_gt'",
    ),
    (
        "coreheads_mmdocir_page",
        lambda root: parquet(
            root, "mmdocir/MMDocIR_pages.parquet", lambda rows: rows[4].update(image_binary=b"not a picture")
        ),
        1,
        "row 4, image_binary: cannot be read as a picture",
    ),
    (
        "coreheads_mmdocir_page",
        lambda root: parquet(root, "mmdocir/MMDocIR_pages.parquet", lambda rows: rows[7].update(doc_name="other.pdf")),
        1,
        "rows 4 to 7 are of other.pdf, expected doc1.pdf",
    ),
    (
        "coreheads_mmlongbench_doc",
        remove("mmlongbench_doc/data/documents/b.pdf"),
        2,
        "b.pdf: not there, expected a PDF",
    ),
    (
        "coreheads_mmlongbench_doc",
        fill("mmlongbench_doc/data/documents/b.pdf", b""),
        2,
        "b.pdf: cannot be read as a PDF",
    ),
    (
        "coreheads_mmlongbench_doc",
        fill("mmlongbench_doc/data/documents/b.pdf", b"%PDF-1.4 but not really"),
        2,
        "b.pdf: cannot be read as a PDF",
    ),
    (
        "coreheads_mmlongbench_doc",
        records(
            "mmlongbench_doc/data/samples.json", lambda rows: [rows[0] | {"evidence_pages": "__import__('os')"}, *rows]
        ),
        1,
        "record 0: ",
    ),
    (
        "coreheads_mmlongbench_8k",
        remove("mmlongbench/mmlb_image/slidevqa/deck/deck-5*"),
        1,
        "deck-5-1024.jpg: not there",
    ),
    ("coreheads_mmlongbench_8k", cut("mmlongbench/mmlb_image/longdocurl/4088/*"), 1, "cannot be read as a picture"),
    (
        "coreheads_mlvu_dev",
        remove("mlvu_dev/MLVU/video/2_needle/*"),
        2,
        "findNeedle_1.mp4: not there, expected a video",
    ),
    ("coreheads_mlvu_test", records("mlvu_test/test_multi*", without("candidates")), 1, "record 0: field 'candidates'"),
]


@pytest.mark.parametrize(("name", "damage", "unscored", "message"), BAD_SAMPLES)
def test_a_bad_sample_is_unscored_and_the_others_go_on(
    name: str,
    damage: Damage,
    unscored: int,
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    task = registry.get(name)
    trees.WRITERS[name](tmp_path)
    damage(tmp_path)
    docs = task.records(whole(name), data_root=tmp_path, **FAMILY)
    reasons = []
    for doc in docs:
        try:
            task.messages(doc)
            task.doc_scores(doc, "")
        except BadSample as error:
            reasons.append(str(error))
    assert len(reasons) == unscored
    assert all(len(reason.splitlines()) == 1 for reason in reasons)
    assert any(re.search(message, reason) for reason in reasons), reasons
    assert main(["tasks", "validate", name, "--split", whole(name), "--data-root", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert f"{len(docs)} records of split {whole(name)} looked at, {unscored} that would be counted as unscored" in out


def test_a_video_that_is_cut_short_is_unscored(tmp_path: Path) -> None:
    """Headers at the end of the file: half of it is no video at all."""
    trees.mlvu_dev(tmp_path)
    cut("mlvu_dev/MLVU/video/2_needle/*")(tmp_path)
    trees.vidstg(tmp_path)
    cut("vidstg/vidor/video/0001/2*")(tmp_path)
    vidstg = registry.get("coreheads_vidstg")
    with pytest.raises(BadSample, match=r"2000000001.mp4: cannot be read as a video"):
        vidstg.messages(vidstg.records("test", 1, tmp_path, **FAMILY)[0])
    assert main(["tasks", "validate", "coreheads_mlvu_dev", "--data-root", str(tmp_path)]) == 1


def test_a_video_with_fewer_frames_than_annotated_is_unscored(tmp_path: Path) -> None:
    trees.vidstg(tmp_path)
    path = tmp_path / "vidstg/annotations/test_annotations.json"
    content = json.loads(path.read_text())
    for record in content:
        record |= {"frame_count": 400, "used_segment": {"begin_fid": 0, "end_fid": 399}}
    path.write_text(json.dumps(content))
    task = registry.get("coreheads_vidstg")
    with pytest.raises(BadSample, match="has 40 frames, expected the 400 of the annotation"):
        task.messages(task.records("test", 1, tmp_path, **FAMILY)[0])


def test_a_target_without_boxes_is_unscored(tmp_path: Path) -> None:
    trees.vidstg(tmp_path)
    records("vidstg/vidor/annotation/validation/0001/*", lambda video: video | {"trajectories": [[]] * 40})(tmp_path)
    task = registry.get("coreheads_vidstg")
    with pytest.raises(BadSample, match="no box of tid 0 in frames 10 to 19"):
        task.messages(task.records("test", 1, tmp_path, **FAMILY)[0])


def test_pictures_and_marks_must_match(tmp_path: Path) -> None:
    trees.mmlongbench(tmp_path)
    path = next((tmp_path / "mmlongbench/mmlb_data/NIAH").glob("retrieval-image*"))
    record = json.loads(path.read_text())
    task = registry.get("coreheads_mmlongbench_8k")
    options = {"subtasks": ["retrieval-image"]}
    for change, message in (
        ({"image_list": record["image_list"][:1]}, "more <image> in the texts than the 3 pictures"),
        ({"image_list": record["image_list"] * 2}, "4 <image> in the texts, but 6 pictures"),
    ):
        path.write_text(json.dumps(record | change) + "\n")
        (doc,) = task.records("all", data_root=tmp_path, options=options)
        from coreheads.tasks.mmlongbench import data

        data._line.cache_clear()
        with pytest.raises(BadSample, match=message):
            task.messages(doc)


def test_a_cut_off_picture_is_refused_whatever_lmms_eval_tells_pillow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)  # as importing lmms_eval.api.task does
    trees.refcocog(tmp_path)
    parquet(
        tmp_path,
        "refcocog/data/test-00000-of-00001.parquet",
        lambda rows: rows[1].update(image={"bytes": trees.jpeg(1)[:-200], "path": None}),
    )
    task = registry.get("coreheads_refcocog")
    docs = task.records("test", data_root=tmp_path, **FAMILY)
    assert validate(task, data_root=tmp_path).unscored == 1
    (bad,) = [doc for doc in docs if doc["row"] == 1]
    with pytest.raises(BadSample, match="truncated"):
        task.messages(bad)
