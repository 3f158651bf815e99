"""VidSTG's measures, by TubeDETR's definition: when is it (tIoU), and when and where is it (vIoU)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from coreheads.regions import Box
from coreheads.tasks.boxes import iou, read_box

Span = tuple[float, float]
"""[start, end): the end is not part of it."""

RATE, MOST = 5.0, 200
_SECONDS = re.compile(r"#\s*(\d+)\s*#\s*(\d+)")


def sampled_frames(start: int, end: int, fps: float, rate: float = RATE, most: int = MOST) -> list[int]:
    """The native frames of [start, end) that are looked at: ``rate`` a second, at most ``most`` in all.

    A frame is taken when it opens a new slot of 1/rate seconds, counted from the video's beginning; too many are
    thinned evenly. Videos slower than ``rate`` give all their frames (TubeDETR refuses them).
    """
    ratio = rate / fps
    frames = [start]
    for frame in range(start, end):
        if int(frames[-1] * ratio) < int(frame * ratio):
            frames.append(frame)
    if len(frames) > most:
        frames = [frames[index * len(frames) // most] for index in range(most)]
    return frames


def score_tube(
    gt_span: Span,
    gt_boxes: Mapping[int, Sequence[float]],
    pred_span: Span,
    pred_boxes: Mapping[int, Sequence[float]],
    frames: Sequence[int],
) -> dict[str, float]:
    """{"tiou", "viou", "viou_0.3", "viou_0.5"}.

    Spans are [start, end) in native frames, boxes {frame: x0, y0, x1, y1 in pixels}, ``frames`` the sampled ones.
    tIoU compares the spans; vIoU is the sum of the boxes' IoU over the sampled frames that both spans hold, divided
    by the number of sampled frames that either holds; viou_0.3 and viou_0.5 are 1 when vIoU is greater, not equal.
    A frame without a predicted box adds nothing.
    """
    start, end = max(gt_span[0], pred_span[0]), min(gt_span[1], pred_span[1])
    both = max(0.0, end - start)
    either = max(0.0, gt_span[1] - gt_span[0]) + max(0.0, pred_span[1] - pred_span[0]) - both
    total, count = 0.0, 0
    for frame in frames:
        in_gt = gt_span[0] <= frame < gt_span[1]
        in_pred = pred_span[0] <= frame < pred_span[1]
        count += in_gt or in_pred
        if in_gt and in_pred and frame in gt_boxes and frame in pred_boxes:
            total += iou(gt_boxes[frame], pred_boxes[frame])
    viou = total / count if count else 0.0
    return {
        "tiou": both / either if either > 0 else 0.0,
        "viou": viou,
        "viou_0.3": float(viou > 0.3),
        "viou_0.5": float(viou > 0.5),
    }


def read_moment(response: str, family: str) -> tuple[int, int, Box] | None:
    """(start s, end s, box in 0..1) of "#7 #8 (313, 188) (375, 250)"; the box may be in any form of ``read_box``.

    The seconds are those printed in the frames; the end is not part of the span. None when either part is missing.
    """
    seconds = _SECONDS.search(response)
    if seconds is None:
        return None
    box = read_box(response[seconds.end() :], family)
    return None if box is None else (int(seconds[1]), int(seconds[2]), box)
