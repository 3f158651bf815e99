"""EVS against its definition written out slowly, and the parts that clips and frames get."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from drop_cases import cosine, kept, parts_by_hand
from frame_cases import Shown, clips, cut_of, media
from hypothesis import given, settings
from hypothesis import strategies as st

from coreheads.adapters.patches.drop_vision import shared_out
from coreheads.adapters.patches.evs import EVS

shares = st.floats(0.02, 1.0)
states = st.sampled_from(["normal", "normal", "still", "axes", "zeros"])


@given(st.lists(st.tuples(st.floats(0, 9), st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=6), st.data())
def test_parts_add_up_within_their_bounds(parts: list[tuple[float, int, int]], data: st.DataObject) -> None:
    wanted, least = [want for want, _, _ in parts], [low for _, low, _ in parts]
    most = [low + more for _, low, more in parts]
    count = data.draw(st.integers(sum(least), sum(most)))
    found = shared_out(count, wanted, least, most)
    assert found == parts_by_hand(count, wanted, least, most)
    assert sum(found) == count


def evs_by_hand(shown: list[Shown], features: np.ndarray, keep: float) -> list[int]:
    total = len(features)
    change, new, length = {}, [], []
    for clip in clips(shown):
        new.append(0)
        length.append(sum(len(frame) for frame in clip))
        for number, frame in enumerate(clip):
            for place, token in enumerate(frame):
                if number == 0 or place >= len(clip[number - 1]):
                    change[token], new[-1] = 255.0, new[-1] + 1
                else:
                    change[token] = 1 - cosine(features[token], features[clip[number - 1][place]])
    count = max(round(keep * total), sum(new))
    quotas = parts_by_hand(count, [Fraction(size * count, total) for size in length], new, length)
    chosen: list[int] = []
    for clip, quota in zip(clips(shown), quotas, strict=True):
        tokens = [token for frame in clip for token in frame]
        chosen += sorted(tokens, key=lambda token: (-round(change[token], 5), token))[:quota]
    return sorted(chosen)


@settings(max_examples=150, deadline=None)
@given(media, shares, st.integers(0, 99), states)
def test_evs_is_its_definition(shown: list[Shown], keep: float, seed: int, kind: str) -> None:
    cut = cut_of(shown, seed, kind)
    expected = evs_by_hand(shown, cut.hidden[cut.vision].double().numpy(), keep)
    assert kept(EVS(keep), cut) == expected


@settings(max_examples=60, deadline=None)
@given(media, shares, states)
def test_as_many_stay_as_are_asked_for_or_are_new(shown: list[Shown], keep: float, kind: str) -> None:
    cut = cut_of(shown, 0, kind)
    first = sum(len(clip[0]) for clip in clips(shown))
    newlines = sum(medium.newline and medium.frames > 1 for medium in shown)
    assert len(kept(EVS(keep), cut)) == max(round(keep * int(cut.vision.sum())), first + newlines)


def test_a_still_video_keeps_its_first_frame_and_what_moves() -> None:
    cut = cut_of([Shown(4, 6)])
    cut.hidden[cut.vision] = cut.hidden[:6].repeat(4, 1)
    moved = int(cut.vision.nonzero()[15])  # place 3 of frame 2, which differs from frames 1 and 3
    cut.hidden[moved] = -cut.hidden[moved]
    assert kept(EVS(8 / 24), cut) == [0, 1, 2, 3, 4, 5, 15, 21]
