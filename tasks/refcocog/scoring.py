"""RefCOCOg's measure: one box a referring expression, right when its IoU with the true box is at least 0.5."""

from __future__ import annotations

from collections.abc import Sequence

from coreheads.tasks.scoring.boxes import iou, read_box, scaled

THRESHOLD = 0.5


def score(response: str, gold_box: Sequence[float], size: tuple[int, int], family: str) -> dict[str, float]:
    """How well the first box of a response fits.

    IoU of exactly 0.5 counts as right, as in InternVL's and Google's evaluation (Google's counts boxes with one pixel
    more on each side; InternVL's, and we, do not); a response without a box is wrong.

    Args:
        response: The model's.
        gold_box: x0, y0, x1, y1 in pixels (the files hold x, y, width, height).
        size: The image's width and height in pixels.
        family: Whose coordinates the response uses, see ``read_box``.

    Returns:
        ``iou`` in 0..1 and ``acc_0.5``, 0 or 1.
    """
    box = read_box(response, family)
    if box is None:
        return {"iou": 0.0, "acc_0.5": 0.0}
    overlap = iou(scaled(box, *size), gold_box)
    return {"iou": overlap, "acc_0.5": float(overlap >= THRESHOLD)}
