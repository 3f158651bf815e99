"""Small data in the layouts that the benchmarks are published in, written by the tests."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from coreheads.tasks import registry
from coreheads.tasks.mini.writers.media import write_mp4, write_pdf

FPS, FRAMES = 10, 40
WIDTH, HEIGHT = 96, 64


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Smooth, and another one for every seed."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 255, (4, 4, 3)).astype(np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR)


def jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    picture(seed).save(buffer, "JPEG")
    return buffer.getvalue()


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def _lines(path: Path, records: list[Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def parquet(path: Path, rows: list[dict[str, Any]], rows_a_group: int = 2) -> None:
    import pyarrow
    import pyarrow.parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path, row_group_size=rows_a_group)


def region(number: int, image: int, box: list[float], expressions: list[str]) -> dict[str, Any]:
    """A row of RefCOCOg's parquet; box: x, y, width, height."""
    x, y, width, height = box
    return {
        "question_id": str(number),
        "image": {"bytes": jpeg(image), "path": None},
        "question": "where?",
        "answer": expressions,
        "segmentation": [x, y, x + width, y, x + width, y + height],
        "bbox": box,
        "iscrowd": 0,
        "file_name": f"COCO_train2014_{image:012d}_{number}.jpg",
    }


def refcocog(root: Path) -> None:
    test = [
        region(0, 1, [8.0, 8.0, 40.0, 24.0], ["the left cup", "a cup"]),
        region(1, 1, [50.0, 10.0, 20.0, 40.0], ["the right cup"]),
        region(2, 2, [0.0, 0.0, 96.0, 32.0], ["the shelf"]),
    ]
    val = [
        region(7, 2, [0.0, 0.0, 96.0, 32.0], ["in the test set, too"]),
        region(8, 3, [4.0, 4.0, 60.0, 50.0], ["sofa"]),
    ]
    parquet(root / "refcocog/data/test-00000-of-00001.parquet", test)
    parquet(root / "refcocog/data/val-00000-of-00001.parquet", val)


def vidstg(root: Path) -> None:
    """Two records over one video of 4 s: frames 5 to 34 are the segment, 10 to 19 the event."""
    for split, vid, vidor in (("test", "2000000001", "validation"), ("val", "1000000001", "training")):
        base = root / "vidstg"
        frames = [np.asarray(picture(100 + number)) for number in range(FRAMES)]
        write_mp4(base / f"vidor/video/0001/{vid}.mp4", frames, FPS, 1)
        tracks = [
            [
                {
                    "tid": tid,
                    "bbox": {"xmin": 8 + frame, "ymin": 8, "xmax": 39 + frame, "ymax": 47},
                    "generated": 0,
                    "tracker": "none",
                }
                for tid in (0, 1)
            ]
            for frame in range(FRAMES)
        ]
        about = {"fps": float(FPS), "frame_count": FRAMES, "width": WIDTH, "height": HEIGHT}
        _json(base / f"vidor/annotation/{vidor}/0001/{vid}.json", {"video_id": vid, **about, "trajectories": tracks})
        record = {
            "vid": vid,
            **about,
            "used_segment": {"begin_fid": 5, "end_fid": 34},
            "temporal_gt": {"begin_fid": 10, "end_fid": 20},
            "captions": [{"description": "a dog runs.", "type": "object", "target_id": 0}],
            "questions": [{"description": "what does the dog chase?", "type": "object", "target_id": 1}],
        }
        _json(base / f"annotations/{split}_annotations.json", [record, record])


def layout(page: int, bbox: list[float]) -> dict[str, Any]:
    return {"page": page, "page_size": [960.0, 640.0], "bbox": bbox}


def mmdocir(root: Path, documents: int = 8) -> None:
    """Documents of 4 pages in two domains; the first has the two broken boxes of the published set, too."""
    rows, lines = [], []
    for number in range(documents):
        name, domain = f"doc{number}.pdf", f"Domain {number % 2}"
        first = len(rows)
        for page in range(4):
            rows.append(
                {
                    "doc_name": name,
                    "domain": domain,
                    "passage_id": str(page),
                    "image_path": f"{name}_{page}.jpg",
                    "image_binary": jpeg(10 * number + page),
                    "ocr_text": "",
                    "vlm_text": "",
                }
            )
        questions = [
            {"Q": f"Which table is in {name}?", "A": "1", "type": "['Table']", "page_id": [1, 3],
             "layout_mapping": [layout(1, [96, 64, 480, 320]), layout(3, [0, 0, 960, 320])]},
        ]  # fmt: skip
        if number == 0:
            flat, beyond = layout(2, [300, 100, 300, 450]), layout(2, [300, 10, 1000, 700])
            questions += [
                {"Q": "A flat box?", "A": "2", "type": "[]", "page_id": [2], "layout_mapping": [flat]},
                {"Q": "Beyond the page?", "A": "3", "type": "[]", "page_id": [2], "layout_mapping": [beyond]},
            ]
        indices = [first, len(rows) - 1]
        lines.append({"doc_name": name, "domain": domain, "page_indices": indices, "questions": questions})
    _lines(root / "mmdocir/MMDocIR_annotations.jsonl", lines)
    parquet(root / "mmdocir/MMDocIR_pages.parquet", rows, rows_a_group=len(rows))


def mmlongbench_doc(root: Path) -> None:
    base = root / "mmlongbench_doc/data"
    for name in ("a.pdf", "b.pdf"):
        write_pdf(base / "documents" / name, [np.asarray(picture(page)) for page in range(5)], 144)
    common = {"doc_type": "Test", "evidence_sources": "['Table']"}
    rows = [
        ("a.pdf", "How many?", "8", "[2]", "Int"),
        ("a.pdf", "Which share?", "18.29%", "[4, 5]", "Float"),
        ("a.pdf", "What colour?", "red", "[99]", "Str"),
        ("b.pdf", "Which two?", "['red', 'blue']", "[1]", "List"),
        ("b.pdf", "Who?", "Not answerable", "[]", "None"),
    ]
    keys = ("doc_id", "question", "answer", "evidence_pages", "answer_format")
    _json(base / "samples.json", [dict(zip(keys, row, strict=True)) | common for row in rows])


def mmlongbench(root: Path, length: int = 8) -> None:
    base = root / "mmlongbench"
    pages = {
        "mmlongdoc": ("doc", [f"mmlongbench-doc/doc/doc_page{page}.jpg" for page in (3, 4, 5)]),
        "longdocurl": ("4088", [f"longdocurl/4088/4088_page{page}.jpg" for page in (3, 4, 5)]),
        "slidevqa": ("deck", [f"slidevqa/deck/deck-{page + 1}-1024.jpg" for page in (3, 4, 5)]),
    }
    shown: set[str] = set()
    for name, (document, paths) in pages.items():
        other = f"{name}/other/other_page4.jpg"  # padding with a page of another document, of the same number
        shown |= {*paths, other}
        record = {
            "id": f"{name}_1", "doc_name": document, "question": "How many?", "answer": "8", "ans_page_list": [4],
            "answer_format": "Integer", "page_list": [other, *paths], "length": 100,
        }  # fmt: skip
        _lines(base / f"mmlb_data/documentQA/{name}_K{length}.jsonl", [record])
    for name, depth in (("vh_single", 6), ("vh_multi", 3)):
        haystack = [f"vh/{number}.jpg" for number in range(4)]
        shown |= set(haystack)
        record = {"id": f"{name}-1", "ctxs": haystack, "question": "Is there a dog?", "answer": "yes"}
        _lines(base / f"mmlb_data/NIAH/{name}_test_1000_K{length}_dep{depth}.jsonl", [record])
    for name, depth in (("retrieval", 6), ("counting", 3), ("reasoning", 6)):
        images = [f"mm-niah/ctx/{number}.jpg" for number in range(2)]
        extra = [f"mm-niah/needle/{number}.jpg" for number in range(2)]
        shown |= {*images, *extra}
        record = {
            "id": f"{name}-1",
            "ctxs": [{"type": "text", "text": "Once <image> upon"}, {"type": "text", "text": "a time.<image>"}],
            "positive_ctxs": [{"type": "image", "text": "<image>", "image": "ctx/1.jpg"}],
            "image_list": images,
        }
        if name == "counting":
            asked = {"question": "How often is <image> or <image> in them?", "answer": [1, 2]}
            record |= {**asked, "needle_image_list": extra}
        else:
            record |= {"question": "Which is in one of the pictures?", "answer": 1, "choices_image": extra}
        _lines(base / f"mmlb_data/NIAH/{name}-image_test_K{length}_dep{depth}.jsonl", [record])
    for name, depth in (("infoseek", 3), ("viquae", 6)):
        shown.add('vrag/"quoted".jpg')
        record = {
            "id": f"{name}-1", "image": 'vrag/"quoted".jpg', "question": "Who built it?", "answer": ["Ann", "Ann Lee"],
            "ctxs": [{"doc_id": "1", "title": "House", "text": "Ann Lee built it."}], "positive_ctxs": [],
        }  # fmt: skip
        _lines(base / f"mmlb_data/vrag/{name}_K{length}_dep{depth}.jsonl", [record])
    for number, path in enumerate(sorted(shown)):
        (base / "mmlb_image" / path).parent.mkdir(parents=True, exist_ok=True)
        (base / "mmlb_image" / path).write_bytes(jpeg(number))


def question(kind: str, answer: str, options: list[str], **more: Any) -> dict[str, Any]:
    return {
        "video": f"{kind}_1.mp4", "duration": 2.0, "question": f"What about {kind}?", "candidates": options,
        "answer": answer, "question_type": kind, **more,
    }  # fmt: skip


def _video(path: Path) -> None:
    write_mp4(path, [np.asarray(picture(200 + number)) for number in range(4)], 2, 1)


def mlvu_dev(root: Path) -> None:
    base = root / "mlvu_dev/MLVU"
    options = ["red", "green", "blue", "grey"]
    plots = [question("plotQA", "green", options), question("plotQA", "purple", options)]
    _json(base / "json/1_plotQA.json", plots)
    _json(base / "json/2_needle.json", [question("findNeedle", "blue", options)])
    _json(base / "json/9_summary.json", [{"video": "x.mp4", "duration": 1, "question": "?", "answer": "long"}])
    _video(base / "video/1_plotQA/plotQA_1.mp4")
    _video(base / "video/2_needle/findNeedle_1.mp4")


def mlvu_test(root: Path) -> None:
    base = root / "mlvu_test"
    options = ["Fight", "Blast", "Robbery", "Shooting", "Stealing", "Arson"]
    kinds = [("AR_0", "anomaly_reco", "F"), ("PQA_0", "plotQA", "Blast")]
    questions = [question(kind, "", options, question_id=name) for name, kind, _ in kinds]
    for entry in questions:
        del entry["answer"]
        _video(base / "MLVU_Test/video" / entry["video"])
    _json(base / "test_multi_choice_tasks.json", questions)
    answers = [{"question_id": name, "answer": answer} for name, _, answer in reversed(kinds)]
    _json(base / "test-ground-truth/test_mcq_gt.json", answers)


WRITERS: dict[str, Callable[[Path], None]] = {
    "coreheads_refcocog": refcocog,
    "coreheads_vidstg": vidstg,
    "coreheads_mmdocir_page": mmdocir,
    "coreheads_mmdocir_layout": mmdocir,
    "coreheads_mmlongbench_doc": mmlongbench_doc,
    "coreheads_mmlongbench_8k": mmlongbench,
    "coreheads_mlvu_dev": mlvu_dev,
    "coreheads_mlvu_test": mlvu_test,
}


FAMILY = {"family": "qwen3_vl"}


def whole(name: str) -> str:
    """The split that has everything."""
    return "all" if "all" in registry.get(name).splits else "test"
