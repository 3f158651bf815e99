"""The mini data: made once and alike, apart from training, in the real formats, and true to its own pixels."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_data import SMALL

from coreheads.errors import UserError
from coreheads.tasks import registry
from coreheads.tasks.mini import data, sprites
from coreheads.tasks.mini.sizes import BENCHMARKS, BEYOND, SEED, SPLITS, Sizes, generator
from coreheads.tasks.mini.vocabulary import NAMES
from coreheads.tasks.mini.world import make_scene, render
from coreheads.tasks.mini.writers.media import write_mp4, write_pdf
from coreheads.tasks.reading.sources import Source

CELL = sprites.CELL
MINI = [name for name in registry.names() if registry.get(name).folder.name == "mini"]


def hashes(root: Path) -> dict[str, str]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


# ---- making it


def test_made_twice_it_is_the_same(small: Path, tmp_path: Path) -> None:
    again = data.ensure(sizes=SMALL, cache=tmp_path)
    assert again.name == small.name
    assert hashes(again) == hashes(small)


def test_sizes_have_their_own_folder() -> None:
    assert data.version(SMALL) != data.version(Sizes())


def test_what_is_there_is_not_made_again(small: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in small.rglob("*")}
    data.ensure()
    assert {path: path.stat().st_mtime_ns for path in small.rglob("*")} == before


def test_a_crash_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from coreheads.tasks.mini.writers import mlvu

    def fail(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(mlvu, "write_json", fail)
    with pytest.raises(KeyboardInterrupt):
        data.ensure(["mlvu"], sizes=SMALL, cache=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    monkeypatch.undo()
    assert (data.ensure(["mlvu"], sizes=SMALL, cache=tmp_path) / "mlvu" / data.MARKER).is_file()


def test_two_processes_at_once(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from coreheads.tasks.mini import data, sizes;"
        "small = sizes.Sizes(mlvu=(4, 8));"
        "print(data.ensure(['mlvu'], sizes=small, cache=Path(sys.argv[1])))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=600) for process in running]
    assert [process.returncode for process in running] == [0, 0], answers
    (root,) = {out.decode().strip() for out, _ in answers}
    assert [path.name for path in Path(root).iterdir()] == ["mlvu"]


def test_unknown_benchmark_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'coco'.*refcocog"):
        data.ensure(["coco"], cache=tmp_path)


def test_no_generator_is_shared() -> None:
    """Between benchmarks, splits and scenes, and with training, whose seeds are below 1000."""
    first = {
        tuple(generator(benchmark, split, index).integers(2**62, size=2))
        for benchmark in BENCHMARKS
        for split in SPLITS
        for index in range(20)
    }
    training = {
        tuple(np.random.default_rng([0, step, k]).integers(2**62, size=2)) for step in range(20) for k in range(20)
    }
    assert len(first) == len(BENCHMARKS) * len(SPLITS) * 20
    assert not first & training
    assert SEED >= 1000


# ---- lossless media


def test_videos_and_pdfs_keep_every_pixel(tmp_path: Path) -> None:
    import av
    from PIL import Image

    from coreheads.media.pdf import pdf_pages

    rng = np.random.default_rng(5)
    pictures = render(make_scene(rng, 4, 8, 8, 20, stamped=True).kinds, rng)
    write_mp4(tmp_path / "x.mp4", list(pictures), 2, 2)
    expected = np.repeat(pictures, 2, axis=0)
    with av.open(str(tmp_path / "x.mp4")) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert np.array_equal(frames, expected)
    decord = pytest.importorskip("decord")
    reader = decord.VideoReader(str(tmp_path / "x.mp4"))
    assert np.array_equal(reader.get_batch(range(8)).asnumpy(), expected)
    assert reader.get_avg_fps() == 2.0
    write_pdf(tmp_path / "x.pdf", list(pictures), 144)
    pages = pdf_pages(tmp_path / "x.pdf", 144)
    assert all(isinstance(page, Image.Image) for page in pages)
    assert np.array_equal(np.stack([np.asarray(page) for page in pages]), pictures)


# ---- the drawn truth, read off the pixels


def pictures_of(task: registry.Task, doc: dict[str, Any]) -> list[NDArray[np.uint8]]:
    """The images or pages, or a video's first frame of every second."""
    media = [part["url"] for part in task.messages(doc)[0]["content"] if part["type"] != "text"]
    if not isinstance(media[0], str):
        return [np.asarray(picture) for picture in media]
    import av

    with av.open(media[0]) as container:
        assert container.streams.video[0].average_rate == 2
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][::2]


def cell_mask(crop: NDArray[np.uint8], ground: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    mask: NDArray[np.bool_] = np.abs(crop.astype(float) - ground).max(axis=-1) > 45
    return mask


def name_of(crop: NDArray[np.uint8], ground: NDArray[np.floating[Any]]) -> str:
    """The object that a crop shows: the shape whose drawing fits best, the colour whose hue is nearest."""
    mask = cell_mask(crop, ground)
    coverage, _ = sprites.glyphs()
    fits = []
    for shape in range(8):
        if len(crop) == CELL:
            drawing = coverage[sprites.small(shape)] > 0.5
        else:
            quarters = [coverage[sprites.big(shape, quarter)] for quarter in range(4)]
            drawing = np.block([[quarters[0], quarters[1]], [quarters[2], quarters[3]]]) > 0.5
        fits.append((mask & drawing).sum() / (mask | drawing).sum())
    assert max(fits) > 0.6, fits
    mean = crop[mask].mean(axis=0)
    colours = np.array(sprites.COLOUR_RGB, float)
    cosine = colours @ mean / np.linalg.norm(colours, axis=1) / np.linalg.norm(mean)
    return NAMES[8 * int(cosine.argmax()) + int(np.argmax(fits))]


def digit_of(crop: NDArray[np.uint8]) -> int:
    drawn = sprites.glyphs()[0][sprites.DIGIT : sprites.BIG]
    dark = 1 - crop.mean(axis=-1) / 230
    return int(np.abs(drawn - dark).sum(axis=(1, 2)).argmin())


def stamp_of(picture: NDArray[np.uint8]) -> int:
    drawn = sprites.glyphs()[0][sprites.STAMP :]
    dark = 1 - picture[:CELL, :CELL, 0] / 242
    return int(np.abs(drawn - dark).sum(axis=(1, 2)).argmin())


@pytest.mark.parametrize("name", MINI)
@pytest.mark.parametrize("split", SPLITS)
def test_regions_show_what_is_asked(small: Path, name: str, split: str) -> None:
    task = registry.get(name)
    docs = task.records(split)
    assert len(docs) == SMALL.questions(task.benchmark, split)
    for doc in docs:
        pictures = pictures_of(task, doc)
        (region,) = task.regions(doc)
        region.check(len(pictures) if task.kind in ("page", "docqa") else 1)
        index = region.media
        if task.kind in ("vidstg", "mcq"):
            assert region.start is not None
            assert region.end == region.start + 1
            index = int(region.start)
        picture = pictures[index]
        if task.kind != "rec":
            assert [stamp_of(page) for page in pictures] == list(range(len(pictures)))
        height, width, _ = picture.shape
        assert region.box is not None
        x0, y0, x1, y1 = (edge * side for edge, side in zip(region.box, (width, height) * 2, strict=True))
        assert all(edge == pytest.approx(round(edge)) for edge in (x0, y0, x1, y1))
        left, top, right, bottom = round(x0), round(y0), round(x1), round(y1)
        ground = np.median(picture.reshape(-1, 3), axis=0)
        assert name_of(picture[top:bottom, left:right], ground) == task.query(doc) in doc["prompt"]
        answer = task.target(doc)
        if task.kind in ("docqa", "mcq"):
            assert str(digit_of(picture[top:bottom, right : right + CELL])) == answer
        elif task.kind == "page":
            assert answer == f"#{index}"
        else:
            edges = [edge * 1000 / side for edge, side in zip((x0, y0, x1, y1), (width, height) * 2, strict=True)]
            said = [float(number) for number in answer.replace("(", "").replace(")", "").replace(",", "").split()[-4:]]
            assert said == pytest.approx(edges, abs=0.5)
        # out of reach of sinks and window: cells are vision tokens, in reading order
        rows, columns = height // CELL, width // CELL
        first = (index * rows + top // CELL) * columns + left // CELL
        last = (index * rows + (bottom - 1) // CELL) * columns + (right - 1) // CELL
        total = len(pictures) * rows * columns
        assert first >= 8
        assert total - 1 - last >= BEYOND
        low, high = {"rec": (128, 256), "vidstg": (512, 768), "page": (512, 768), "docqa": (4352, 4352)}.get(
            task.kind, (1536, 1920)
        )
        assert low <= total <= high


def test_splits_share_no_media(small: Path) -> None:
    for name in MINI:
        task = registry.get(name)
        seen = []
        for split in SPLITS:
            docs = task.records(split)
            assert len({task.record_id(doc) for doc in docs}) == len(docs)
            seen.append(
                {hashlib.sha256(picture.tobytes()).hexdigest() for doc in docs for picture in pictures_of(task, doc)}
            )
        assert not seen[0] & seen[1]


def test_options_are_four_and_distinct(small: Path) -> None:
    docs = registry.get("coreheads_mini_mlvu").records("test")
    assert all(len(set(doc["candidates"])) == 4 and doc["answer"] in doc["candidates"] for doc in docs)
    # each place is right equally often, and no digit much oftener than another
    assert sorted(doc["right"] for doc in docs) == [0, 0, 1, 1, 2, 2, 3, 3]
    assert max(docs.count(doc) for doc in docs) == 1
    assert len({doc["answer"] for doc in docs}) >= 7


def test_evidence_stays_when_mmdocir_is_absent(small: Path, tmp_path: Path) -> None:
    """MMLongBench-Doc itself has pages only: then a region is the whole page."""
    from coreheads.regions import Region
    from coreheads.tasks.mmlongbench_doc import data as source

    samples = json.loads((small / "mmlongbench_doc/test/data/samples.json").read_text())
    (tmp_path / "data").mkdir()
    (tmp_path / "data/samples.json").write_text(json.dumps(samples[:1]))
    shutil.copytree(small / "mmlongbench_doc/test/data/documents", tmp_path / "data/documents")
    (doc,) = source.records(Source(str(tmp_path)), "all", {})
    assert source.regions(doc) == [Region(media=int(samples[0]["evidence_pages"].strip("[]")) - 1)]
