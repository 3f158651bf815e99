"""VidSTG's measures, by TubeDETR's definition: when is it (tIoU), and when and where is it (vIoU)."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence

from coreheads.regions import Box
from coreheads.tasks.scoring.answers import answered, json_objects, seconds
from coreheads.tasks.scoring.boxes import boxes_of, iou, read_box
from coreheads.tasks.scoring.families import normalised

Span = tuple[float, float]
"""[start, end): the end is not part of it."""

RATE, MOST = 5.0, 200
_SECONDS = re.compile(r"#\s*(\d+)\s*#\s*(\d+)(?!\d|[.,:]\d)")


def sampled_frames(start: int, end: int, fps: float) -> list[int]:
    """The native frames of [start, end) that are looked at: ``RATE`` a second, at most ``MOST`` in all.

    A frame is taken when it opens a new slot of 1/RATE seconds, counted from the video's beginning; too many are
    thinned evenly. Videos slower than ``RATE`` give all their frames (TubeDETR refuses them).
    """
    ratio = RATE / fps
    frames = [start]
    for frame in range(start, end):
        if int(frames[-1] * ratio) < int(frame * ratio):
            frames.append(frame)
    return thinned(frames, MOST)


def thinned(frames: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of the frames, evenly, the first among them."""
    if len(frames) <= most:
        return list(frames)
    return [frames[index * len(frames) // most] for index in range(most)]


def score_tube(
    gt_span: Span,
    gt_boxes: Mapping[int, Sequence[float]],
    pred_span: Span,
    pred_boxes: Mapping[int, Sequence[float]],
    frames: Sequence[int],
) -> dict[str, float]:
    """How well a span and its boxes fit the true ones, by temporal and by spatio-temporal IoU.

    tIoU compares the spans; vIoU is the sum of the boxes' IoU over the sampled frames that both spans hold, divided
    by the number of sampled frames that either holds; viou_0.3 and viou_0.5 are 1 when vIoU is greater, not equal.
    A frame without a predicted box adds nothing.

    By the definition of Zhang et al. (CVPR 2020, VidSTG) and TubeDETR (CVPR 2022): the frames of the *union* of the
    spans are counted. TubeDETR's released evaluator cuts the union at the earlier of the two ends (it takes a minimum
    where the definition takes a maximum), which leaves out the part of one span beyond the other's end and can only
    raise vIoU; the definition is followed here.

    Args:
        gt_span: [start, end) in native frames.
        gt_boxes: By frame, x0, y0, x1, y1 in pixels.
        pred_span: As ``gt_span``.
        pred_boxes: As ``gt_boxes``.
        frames: The sampled frames, ascending.

    Returns:
        ``tiou`` and ``viou`` in 0..1; ``viou_0.3`` and ``viou_0.5``, 0 or 1.
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


def read_tube(response: str, family: str) -> tuple[Span, dict[float, Box]] | None:
    """((start s, end s), {second: box in 0..1}) of {"start", "end", "boxes": [{"time", "bbox_2d"}]}.

    The first JSON object that has a start and an end counts; entries of ``boxes`` that are no box with a time are
    left out, and may all be missing. None where there is no such object, or its times are not understood or end before
    they start.
    """
    item = next((item for item in json_objects(answered(response)) if "start" in item and "end" in item), None)
    start, end = (None, None) if item is None else (seconds(item["start"]), seconds(item["end"]))
    if item is None or start is None or end is None or end < start:
        return None
    boxes: dict[float, Box] = {}
    for entry in item["boxes"] if isinstance(item.get("boxes"), list) else []:
        time = seconds(entry.get("time")) if isinstance(entry, dict) else None
        if time is not None and (said := boxes_of(entry)):
            boxes[time] = normalised(said[0], family)
    return (start, end), boxes


def at_times(boxes: Mapping[float, Box], times: Sequence[float]) -> list[Box]:
    """The boxes at other times: straight lines between neighbours, the nearest box beyond the first and the last."""
    known = sorted(boxes)
    interpolated = []
    for time in times:
        index = bisect_left(known, time)
        before, after = known[max(0, index - 1)], known[min(index, len(known) - 1)]
        share = min(1.0, max(0.0, (time - before) / (after - before))) if after > before else 0.0
        pairs = zip(boxes[before], boxes[after], strict=True)
        x0, y0, x1, y1 = (left + share * (right - left) for left, right in pairs)
        interpolated.append((x0, y0, x1, y1))
    return interpolated


def read_moment(response: str, family: str) -> tuple[int, int, Box] | None:
    """(start s, end s, box in 0..1) of "#7 #8 (313, 188) (375, 250)"; the box may be in any form of ``read_box``.

    The seconds are those printed in the frames; the end is not part of the span. None when either part is missing.
    """
    said = answered(response)
    span = _SECONDS.search(said)
    if span is None:
        return None
    box = read_box(said[span.end() :], family)
    return None if box is None else (int(span[1]), int(span[2]), box)
