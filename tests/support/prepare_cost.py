"""What ``prepare`` costs over the processor's plain call: ``python tests/support/prepare_cost.py``.

64 pictures of 1024 x 768 in one prompt, published processor settings, both in turns; median seconds of each, and the
median of the ratios with the quartiles.
"""

from __future__ import annotations

import statistics
import sys
import time

from adapter_cases import image_part, picture, text_part, user
from family_cases import FAMILIES, adapter

PICTURES, SIZE, REPEATS = 64, (1024, 768), 9


def main(repeats: int) -> None:
    pictures = [picture(*SIZE, seed=number) for number in range(PICTURES)]
    messages = user(*map(image_part, pictures), text_part("where is the red-star ?"))
    print(f"{'family':<16} {'tokens':>7} {'plain s':>8} {'prepare s':>9}  ratio [quartiles]")
    for model_type in FAMILIES:
        made = adapter(model_type, published=True)
        prompt = made.prepare(messages, query="red-star")
        images = [pictures] if model_type == "llava_onevision" else pictures
        times: list[tuple[float, float]] = []
        for _ in range(repeats):
            started = time.perf_counter()
            made.processor(text=[prompt.text], images=images, return_tensors="pt")
            between = time.perf_counter()
            made.prepare(messages, query="red-star")
            times.append((between - started, time.perf_counter() - between))
        plain, own = (statistics.median(column) for column in zip(*times, strict=True))
        low, middle, high = statistics.quantiles([b / a for a, b in times], n=4)
        print(f"{model_type:<16} {prompt.tokens:>7} {plain:>8.2f} {own:>9.2f}  {middle:.3f} [{low:.3f}, {high:.3f}]")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REPEATS)
