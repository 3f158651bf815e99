"""The tasks there are. To add one: a folder with a YAML and a module of functions, and an entry here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from coreheads.tasks.mmlongbench.subtasks import LENGTHS, SUBTASKS
from coreheads.tasks.options import Option
from coreheads.tasks.splits import Split
from coreheads.tasks.task import Task

_CUT = {"test": Split("all", "rest"), "profile": Split("all", "profile"), "all": Split("all")}
"""Of benchmarks with a single published split: a fifth of the documents finds heads, the others judge them."""

_OURS = "Apache-2.0"
"""Of what is made here; no published benchmark gives everybody the right to pass its pictures on."""

_MMDOCIR: dict[str, Any] = {
    "benchmark": "mmdocir",
    "splits": _CUT,
    "hub": "MMDocIR/MMDocIR_Evaluation_Dataset",
    "options": {"max_pages": Option(120, "a whole number above 0")},
}


def _mini(kind: str, benchmark: str, metrics: tuple[str, ...], summary: str, *aggregates: str) -> Task:
    return Task(
        name=f"coreheads_mini_{benchmark}",
        kind=kind,
        benchmark=benchmark,
        module=f"coreheads.tasks.mini.{benchmark}",
        metrics=(*metrics, "unparsed"),
        summary=summary,
        splits={"profile": Split("profile"), "test": Split("test")},
        aggregates=aggregates,
        media_licence=_OURS,
    )


def _smol(name: str, module: str, kind: str, metric: str, summary: str, *aggregates: str) -> Task:
    return Task(
        name=f"coreheads_smol_{name}",
        kind=kind,
        benchmark=name,
        module=f"coreheads.tasks.smol.{module}",
        metrics=(metric, "unparsed"),
        summary=summary,
        splits={"profile": Split("profile"), "test": Split("test")},
        aggregates=aggregates,
        media_licence=_OURS,
    )


def _mlvu(part: str, options: int, hub: str) -> Task:
    return Task(
        name=f"coreheads_mlvu_{part}",
        kind="mcq",
        benchmark=f"mlvu_{part}",
        module=f"coreheads.tasks.mlvu.{'task' if part == 'dev' else 'testset'}",
        metrics=("accuracy", "unparsed"),
        summary=f"multiple choice about a long video, {options} options",
        splits={"test": Split(part)},
        aggregates=("m_avg",),
        hub=hub,
        no_regions="MLVU names neither times nor boxes",
        group_by="question_type",
    )


def _mmlongbench(ending: str, lengths: tuple[int, ...]) -> Task:
    return Task(
        name=f"coreheads_mmlongbench{ending}",
        kind="long",
        benchmark="mmlongbench",
        module="coreheads.tasks.mmlongbench.task",
        metrics=("score", "unparsed"),
        summary=f"document questions, picture needles, visual RAG at {', '.join(map(str, lengths))}k tokens",
        splits=_CUT,
        aggregates=("macro",),
        group_by="subtask",
        hub="ZhaoweiWang/MMLongBench",
        options={
            "lengths": Option(lengths, "a list of whole numbers", choices=LENGTHS),
            "subtasks": Option(None, "a list of texts", choices=tuple(SUBTASKS)),
            "samples": Option(100, "a whole number above 0", null=True),
        },
        drawn="samples",
    )


_REAL = (
    Task(
        name="coreheads_refcocog",
        kind="rec",
        benchmark="refcocog",
        module="coreheads.tasks.refcocog.task",
        metrics=("acc_0.5", "iou", "unparsed"),
        summary="box of what an expression refers to, in a photograph",
        splits={"test": Split("test"), "val": Split("val"), "profile": Split("val", apart_from="test")},
        hub="lmms-lab-encoder/RefCOCOg",
        options={"prompt": Option(None, "a text")},
        by_family=True,
    ),
    Task(
        name="coreheads_vidstg",
        kind="vidstg",
        benchmark="vidstg",
        module="coreheads.tasks.vidstg.task",
        metrics=("m_viou", "m_tiou", "viou_0.3", "viou_0.5", "unparsed"),
        summary="times and boxes of what a sentence describes, in a video",
        splits={"test": Split("test"), "val": Split("val"), "profile": Split("val")},
        options={
            "frames": Option(32, "a whole number above 0"),
            "side": Option(640, "a whole number above 0"),
            "form": Option(None, "a text", choices=("declarative", "interrogative")),
        },
        by_family=True,
    ),
    Task(
        name="coreheads_mmdocir_page",
        kind="page",
        module="coreheads.tasks.mmdocir.page",
        metrics=("recall_1", "recall_3", "recall_5", "unparsed"),
        summary="pages of a document that answer a question",
        aggregates=("recall_1_macro", "recall_3_macro", "recall_5_macro"),
        **_MMDOCIR,
    ),
    Task(
        name="coreheads_mmdocir_layout",
        kind="layout",
        module="coreheads.tasks.mmdocir.layout",
        metrics=("layout_recall_1", "layout_recall_5", "layout_recall_10", "area", "unparsed"),
        summary="boxes on a document's pages that answer a question",
        aggregates=("layout_recall_1_macro", "layout_recall_5_macro", "layout_recall_10_macro"),
        by_family=True,
        **_MMDOCIR,
    ),
    Task(
        name="coreheads_mmlongbench_doc",
        kind="docqa",
        benchmark="mmlongbench_doc",
        module="coreheads.tasks.mmlongbench_doc.task",
        metrics=("accuracy", "unparsed"),
        summary="questions about a long PDF, all of its pages shown",
        splits=_CUT,
        aggregates=("f1",),
        hub="yubo2333/MMLongBench-Doc",
        options={
            "max_pages": Option(120, "a whole number above 0", null=True),
            "dpi": Option(144, "a whole number above 0"),
            "extractor": Option(None, "a text"),
            "extractor_url": Option(None, "a text"),
        },
    ),
    _mmlongbench("", LENGTHS),
    *(_mmlongbench(f"_{length}k", (length,)) for length in LENGTHS),
    _mlvu("dev", 4, "MLVU/MVLU"),
    _mlvu("test", 6, "MLVU/MLVU_Test"),
)

_MINI = (
    _mini("rec", "refcocog", ("acc_0.5", "iou"), "box of a named thing in an image"),
    _mini(
        "vidstg", "vidstg", ("m_tiou", "m_viou", "viou_0.3", "viou_0.5"), "seconds and box of a named thing in a video"
    ),
    _mini("page", "mmdocir", ("recall_1",), "page of a document that shows a named thing"),
    _mini("docqa", "mmlongbench_doc", ("accuracy",), "digit beside a named thing in a long PDF", "f1"),
    _mini("mcq", "mlvu", ("accuracy",), "digit beside a named thing in a long video, four options", "m_avg"),
)

_SMOL = (
    *(
        _smol(
            f"doc_{words}",
            "mmlongbench_doc",
            "docqa",
            "accuracy",
            f"what a printed PDF of about {words:,} words says of a person",
            "f1",
        )
        for words in (450, 1000, 2000, 4000)
    ),
    _smol("docqa", "mmlongbench", "long", "score", "the same over page images of about 1,000 words"),
    _smol("slides", "mlvu", "mcq", "accuracy", "the same over a video of slides", "m_avg"),
)

TASKS: Mapping[str, Task] = {task.name: task for task in (*_REAL, *_MINI, *_SMOL)}
