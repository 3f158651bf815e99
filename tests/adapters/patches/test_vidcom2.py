"""VidCom2 against its definition written out slowly."""

from __future__ import annotations

import math

import numpy as np
from drop_cases import kept, parts_by_hand
from frame_cases import Shown, clips, cut_of, media
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coreheads.adapters.patches.vidcom2 import VidCom2

shares = st.floats(0.02, 1.0)


def vidcom2_by_hand(shown: list[Shown], features: np.ndarray, keep: float) -> list[int]:
    total = len(features)
    every = [frame for clip in clips(shown) for frame in clip]
    count = max(round(keep * total), len(every))
    scores, wanted = {}, []
    for clip in clips(shown):
        own = [token for frame in clip for token in frame]
        varies = features[own].var(axis=0)
        steady = sorted(range(features.shape[1]), key=lambda c: (varies[c], c))[: features.shape[1] // 2]
        length = {t: np.linalg.norm(features[t, steady]) for t in own}
        x = {t: features[t, steady] / length[t] if length[t] else features[t, steady] for t in own}

        def g(token: int, members: list[int], x: dict[int, np.ndarray] = x) -> float:
            far = float(((x[token] - np.mean([x[t] for t in members], axis=0)) ** 2).sum())
            return sum(math.exp(-far / (2 * a)) for a in (0.125, 0.25, 0.5, 1.0, 2.0))

        scores |= {t: g(t, own) + g(t, frame) for frame in clip for t in frame}
        away = [-np.mean([g(t, own) for t in frame]) / 0.01 for frame in clip]
        p = np.exp(np.array(away) - max(away))
        p /= p.sum()
        wanted += [count / total * (1 + p[i] - 1 / len(clip)) * len(frame) for i, frame in enumerate(clip)]
    quotas = parts_by_hand(count, wanted, [1] * len(every), [len(frame) for frame in every])
    chosen: list[int] = []
    for frame, quota in zip(every, quotas, strict=True):
        chosen += sorted(frame, key=lambda token: (round(scores[token], 9), token))[:quota]
    return sorted(chosen)


@settings(max_examples=150, deadline=None)
@given(media, shares, st.integers(0, 99), st.sampled_from(["normal", "zeros"]))
def test_vidcom2_is_its_definition(shown: list[Shown], keep: float, seed: int, kind: str) -> None:
    cut = cut_of(shown, seed, kind)
    assume(all(sum(map(len, clip)) != 2 for clip in clips(shown)))  # two are equally far from their mean
    expected = vidcom2_by_hand(shown, cut.hidden[cut.vision].double().numpy(), keep)
    assert kept(VidCom2(keep), cut) == expected


@settings(max_examples=60, deadline=None)
@given(media, shares, st.sampled_from(["normal", "still", "axes", "zeros"]))
def test_as_many_stay_as_are_asked_for_and_one_a_frame(shown: list[Shown], keep: float, kind: str) -> None:
    cut = cut_of(shown, 0, kind)
    found = kept(VidCom2(keep), cut)
    every = [frame for clip in clips(shown) for frame in clip]
    assert len(found) == max(round(keep * int(cut.vision.sum())), len(every))
    assert all(set(frame) & set(found) for frame in every)
