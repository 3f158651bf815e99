"""Every frame's own time and number, against what a player shows."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from shutil import which

import mutations
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from movies import Movie, cut, listed, numbered, numbers, played, steady, turn

from coreheads.errors import UserError
from coreheads.media.video import open_clip

TENTH = Fraction(1, 10)
ROUNDING = 1.1e-3
"""Seconds: Matroska and FLV round to milliseconds."""


def check(path: Path, picks: Sequence[Sequence[int]] = ()) -> None:
    """Compare a file with what a player shows of it, that is, with all of it decoded in its order."""
    times, shown = zip(*played(path), strict=True)
    clip = open_clip(path)
    assert clip.total == len(times)
    assert np.abs(clip.seconds - times).max() < ROUNDING
    for asked in [range(len(shown)), *picks, [len(shown) - 1], [0]]:
        places = sorted({place % len(shown) for place in asked})
        assert (places, numbers(clip.read(places))) == (places, [shown[place] for place in places])


def check_written(path: Path, movie: Movie, picks: Sequence[Sequence[int]] = ()) -> None:
    """Compare a file with what was written, too: nothing of it is hidden."""
    seconds = np.subtract(movie.times, movie.times[0]) * float(movie.tick)
    assert open_clip(path).total == len(seconds)
    assert np.abs(open_clip(path).seconds - seconds).max() < ROUNDING
    assert [number for _, number in played(path)] == list(range(len(seconds)))
    check(path, picks)


@st.composite
def movies(draw: st.DrawFn) -> Movie:
    """Rates, groups of frames, B frames, beginnings and containers of all kinds."""
    tick = draw(st.sampled_from([TENTH, Fraction(1001, 30000), Fraction(1, 25), Fraction(1, 1000)]))
    start, count = draw(st.sampled_from([0, 0, 7, 1503])), draw(st.integers(1, 40))
    gaps = st.integers(20, 900) if tick < Fraction(1, 100) else st.integers(1, 9)
    constant = st.integers(1, 3).map(lambda every: steady(count, every, start))
    variable = st.lists(gaps, min_size=count - 1, max_size=count - 1).map(lambda gaps: listed(gaps, start))
    files = [("libx264", ending) for ending in ("mp4", "mov", "mkv", "ts", "flv")]
    codec, ending = draw(st.sampled_from([*files, ("libx264", "mp4"), ("mpeg4", "mp4"), ("libx265", "mp4")]))
    between = 0 if codec == "mpeg4" or count < 5 else draw(st.integers(0, 3))  # writers refuse some
    times = draw(variable if tick < Fraction(1, 100) else constant | variable)
    return Movie(times, tick, codec, ending, draw(st.integers(1, 15)), between)


PICKS = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=6), max_size=6)


@mutations.many
@given(movie=movies(), picks=PICKS)
def test_every_frame_at_its_own_time(tmp_path_factory: pytest.TempPathFactory, movie: Movie, picks: list) -> None:
    check_written(movie.write(tmp_path_factory.mktemp("movie")), movie, picks)


@mutations.many
@given(movie=movies(), start=st.floats(0, 1), length=st.none() | st.floats(0.05, 1), picks=PICKS)
@example(Movie(steady(100), group=50), 0.33, None, [[0, 16, 33, 50, 66]])
@example(Movie(steady(100), group=50, between=2), 0.33, 0.4, [[0, 16, 33, 50, 66]])
@example(Movie(steady(100), group=250, between=2), 0.8, None, [])
def test_a_cut_without_encoding_anew(
    tmp_path_factory: pytest.TempPathFactory, movie: Movie, start: float, length: float | None, picks: list
) -> None:
    """The frames before the cut are in the file, and hidden by its edit list; so are those after its end."""
    folder = tmp_path_factory.mktemp("movie")
    whole, span = replace(movie, ending="mp4").write(folder), movie.times[-1] - movie.times[0]
    first = movie.times[0] + round(start * span)
    last = None if length is None else first + max(1, round(length * span))
    path = cut(whole, folder / "cut.mp4", first, last, movie.tick)
    if played(path):
        check(path, picks)
    else:
        with pytest.raises(UserError, match=r"cut\.mp4: cannot be read as a video \(no frames\)"):
            open_clip(path)


FILES = {
    "mpeg2 ts, open groups": Movie(steady(40), codec="mpeg2video", ending="ts", between=2),
    "mpeg2 mkv, open groups": Movie(steady(40), Fraction(1, 25), "mpeg2video", "mkv", between=2),
    "mpeg4, open groups": Movie(steady(40), codec="mpeg4", between=2),
    "hevc mkv, open groups": Movie(steady(60), codec="libx265", ending="mkv", between=3),
    "avi": Movie(steady(30), codec="mpeg4", ending="avi"),
    "motion jpeg": Movie(steady(12), codec="mjpeg", ending="avi"),
    "vp8": Movie(steady(30), codec="libvpx", ending="webm"),
    "vp9, variable": Movie(listed([100, 33, 1000] * 6), Fraction(1, 1000), "libvpx-vp9", "webm"),
    "tiny": Movie(steady(20), size=(8, 8), options={"qp": "0"}),
    "narrow": Movie(steady(20), size=(8, 64), between=2, options={"qp": "0"}),
    "one frame": Movie((0,)),
    "one late frame": Movie((9,), ending="mkv"),
    "one frame in a stream": Movie((5,), ending="ts"),
    "starts late": Movie(steady(30, start=15), between=2),
    "starts late, variable": Movie(listed([1] * 10 + [7] * 10, 15), between=2),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_all_kinds(tmp_path: Path, name: str) -> None:
    movie = FILES[name]
    picks = [[3], [19, 20, 21], [11, 12, 13], [5, 17, 29]]
    check_written(movie.write(tmp_path), movie, picks)


@pytest.mark.parametrize("between", [0, 2])
def test_avi_says_only_when_frames_are_decoded(tmp_path: Path, between: int) -> None:
    clip = open_clip(Movie(steady(20), ending="avi", between=between).write(tmp_path))
    assert np.allclose(clip.seconds, np.arange(20) / 10)
    assert numbers(clip.read([0, 1, 7, 19])) == [0, 1, 7, 19]


@pytest.mark.parametrize("codec", ["libx264", "mpeg2video", "libx265"])
@pytest.mark.parametrize("packets", [10, 25, 40])
def test_a_recording_that_begins_within_a_group(tmp_path: Path, codec: str, packets: int) -> None:
    path = Movie(steady(40), codec=codec, ending="ts", between=2).write(tmp_path)
    path.write_bytes(path.read_bytes()[188 * packets :])
    assert 10 < len(played(path)) < 40
    check(path, [[0], [5], [9]])


@pytest.mark.parametrize("starts", [(0, 0), (0, 3), (100, 0), (7, 0)])
def test_recordings_put_together(tmp_path: Path, starts: tuple[int, int]) -> None:
    """Each counts its time from its own beginning, and may have its own size."""
    parts = [
        Movie(steady(15, start=start), ending="ts", between=2, size=(64, side)).write(tmp_path, str(side))
        for start, side in zip(starts, (48, 64), strict=True)
    ]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    clip = open_clip(path)
    assert np.allclose(clip.seconds, np.arange(30) / 10)
    assert numbers(clip.read([0, 14, 15, 20, 29])) == [0, 14, 0, 5, 14]
    assert clip.read([0, 29]).shape == (2, 48, 64, 3)


def test_vp8_has_packets_that_are_never_shown(tmp_path: Path) -> None:
    import av

    path = FILES["vp8"].write(tmp_path)
    with av.open(str(path)) as container:
        packet = next(bytes(packet) for packet in container.demux() if packet.pts == 800)
    content = path.read_bytes()
    assert content.count(packet) == 1
    path.write_bytes(content.replace(packet, bytes([packet[0] & ~0x10]) + packet[1:]))
    check(path, [[7], [8], [9]])
    assert numbers(open_clip(path).read([7, 8])) == [7, 9]
    assert np.allclose(open_clip(path).seconds[7:9], [0.7, 0.9])


@pytest.mark.parametrize("size", [(64, 48), (8, 8)])
def test_videos_are_shown_as_a_player_turns_them(tmp_path: Path, size: tuple[int, int]) -> None:
    """A display matrix, as phones write it: each quarter turn, plain and mirrored. Boxes are of the turned picture."""
    plain = Movie(steady(5), size=size, options={"qp": "0"}).write(tmp_path)
    corner = numbered(1, *size)
    for mirrored in (False, True):
        for turns in range(4):  # clockwise
            a, b, c, d = [(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0)][turns]
            matrix = (-a, -b, c, d) if mirrored else (a, b, c, d)
            frames = open_clip(turn(plain, tmp_path / "turned.mp4", matrix)).read([1, 4])
            wanted = np.rot90(corner[:, ::-1] if mirrored else corner, -turns)
            assert frames.shape[1:] == wanted.shape
            assert np.abs(frames[0].astype(int) - wanted).mean() < 8, (turns, mirrored)


def test_decord_gives_the_same_pixels_where_it_is_right(tmp_path: Path) -> None:
    decord = pytest.importorskip("decord")
    movie = Movie(steady(40), between=2, size=(66, 50))
    path = movie.write(tmp_path)
    places = [0, 5, 11, 12, 13, 39]
    reader = decord.VideoReader(str(path), num_threads=1)
    assert np.array_equal(reader.get_batch(places).asnumpy(), open_clip(path).read(places))
    assert np.abs(reader.get_frame_timestamp(range(40))[:, 0] - open_clip(path).seconds).max() < ROUNDING


@pytest.mark.skipif(which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("cut_at", [None, 33])
@pytest.mark.parametrize("matrix", [(1, 0, 0, 1), (0, 1, -1, 0), (0, 1, 1, 0), (-1, 0, 0, -1)])
def test_ffmpeg_shows_the_same(tmp_path: Path, cut_at: int | None, matrix: tuple[int, int, int, int]) -> None:
    path = Movie(steady(60), group=25, between=2).write(tmp_path)
    if cut_at is not None:
        path = cut(path, tmp_path / "cut.mp4", cut_at)
    path = turn(path, tmp_path / "turned.mp4", matrix)
    shown = open_clip(path).read(range(open_clip(path).total))
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-fps_mode", "passthrough", "-f", "rawvideo"]
    raw = subprocess.run([*command, "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    assert np.abs(np.frombuffer(raw, np.uint8).reshape(shown.shape).astype(int) - shown).mean() < 3
