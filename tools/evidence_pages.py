"""Can page retrieval be asked of ``smol`` by the likelihood of the pages' numbers, where it does not say them?

    python tools/evidence_pages.py

Two kinds of printed documents, 24 questions each: ``table`` says the page of eight things ("The castle is on page 7.")
among sentences that tell nothing; ``headed`` are seven pages that each begin with their number, with a fact of each
relation, whose page is asked for. Each question is answered freely, by the likeliest option, and by the option whose
log-likelihood most exceeds its mean over the document's questions. A line a question goes to
results/smol/evidence/pages.jsonl.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from evidence_tables import FOLDER
from PIL import Image
from torch import Tensor

from coreheads import environment
from coreheads.adapters.checkpoints.adapter import load_adapter
from coreheads.adapters.families.base import Adapter
from coreheads.adapters.prompt.prompt import Prompt
from coreheads.files import append_jsonl
from coreheads.tasks.reading.documents import image, text, user_turn
from coreheads.tasks.smol.data import BEFORE, BEYOND, SPARE
from coreheads.tasks.smol.print import SIDE, page
from coreheads.tasks.smol.world import make_document, words_of

THINGS = ["castle", "piano", "bottle", "hammer", "ladder", "basket", "pencil", "blanket", "helmet", "kettle", "pillow"]
"""No filler sentence has any of them."""
A_PAGE = SIDE * SIDE
HEADING = 3
"""Words of "page 3 :"."""
PAGES = {"table": 3, "headed": 7}
ASKED = 8
DOCUMENTS = 3


@dataclass(frozen=True)
class Shown:
    """A printed document: its words page by page, and (question, the answer's beginning, number) of each question."""

    pages: list[list[str]]
    asked: list[tuple[str, str, int]]
    options: int


def table(rng: random.Random) -> Shown:
    """Eight things among the sentences of a document whose own facts are left out."""
    base = make_document(rng, "test", PAGES["table"] * A_PAGE - SPARE, BEFORE, BEYOND)
    things = rng.sample(THINGS, ASKED)
    numbers = rng.sample(range(1, ASKED + 1), ASKED)
    told = iter([f"The {thing} is on page {number}." for thing, number in zip(things, numbers, strict=True)])
    printed: list[str] = []
    for sentence, fact in base.sentences:
        printed += words_of(sentence if fact is None else next(told, ""))
    asked = [
        (f"On which page is the {thing}?", f"The {thing} is on page", number)
        for thing, number in zip(things, numbers, strict=True)
    ]
    return Shown([printed[at : at + A_PAGE] for at in range(0, len(printed), A_PAGE)], asked, ASKED)


def headed(rng: random.Random) -> Shown:
    """Facts of a document whose pages say their numbers."""
    a_page, pages = A_PAGE - HEADING, PAGES["headed"]
    document = make_document(rng, "test", pages * a_page - SPARE, BEFORE, BEYOND)
    printed: list[str] = []
    asked = []
    for sentence, fact in document.sentences:
        if fact is not None:
            said = fact.begins.rsplit(" is", 1)[0]
            thing = said[:1].lower() + said[1:]
            if " is" in fact.begins:
                asked.append((f"On which page is {thing}?", f"{said} is on page", len(printed) // a_page + 1))
        printed += words_of(sentence)
    cut = [printed[at : at + a_page] for at in range(0, len(printed), a_page)]
    return Shown(
        [["page", str(number), ":", *words] for number, words in enumerate(cut, 1)], rng.sample(asked, ASKED), pages
    )


def prompts(adapter: Adapter, shown: Shown) -> Iterator[Prompt]:
    pictures = [image(Image.fromarray(page(words))) for words in shown.pages]
    first: Prompt | None = None
    for question, begins, _ in shown.asked:
        turn = user_turn(*pictures, text(f"\n\nQuestion: {question}\nAnswer: {begins}"))
        first = adapter.prepare(turn, like=first)
        yield first


def likelihoods(adapter: Adapter, prompt: Prompt, options: int) -> list[float]:
    """Log-likelihood of each number behind the blank that comes before it."""
    tokenizer = adapter.processor.tokenizer
    blank, *digits = tokenizer.convert_tokens_to_ids(["Ġ", *(str(number) for number in range(1, options + 1))])
    inputs = dict(prompt.inputs)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([[blank]])], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    with torch.inference_mode():
        logits: Tensor = adapter.model(**inputs, use_cache=False, logits_to_keep=1).logits[0, -1]
    return [float(value) for value in logits.log_softmax(-1)[digits]]


def main() -> int:
    adapter = load_adapter("smol")
    for kind, make in {"table": table, "headed": headed}.items():
        right: dict[str, list[bool]] = {"free": [], "likeliest": [], "calibrated": []}
        for number in range(DOCUMENTS):
            shown = make(random.Random(f"pages {kind} {number}"))
            asked = list(prompts(adapter, shown))
            free = [
                said.text for said in adapter.generate(asked, max_new_tokens=4, stop=["\n", "."], share_prefix=True)
            ]
            scores = np.array([likelihoods(adapter, prompt, shown.options) for prompt in asked])
            picked = {"likeliest": scores.argmax(1) + 1, "calibrated": (scores - scores.mean(0)).argmax(1) + 1}
            for row, (question, _, answer) in enumerate(shown.asked):
                right["free"].append(free[row] == str(answer))
                for way in picked:
                    right[way].append(int(picked[way][row]) == answer)
                line = {"kind": kind, "document": number, "question": question, "answer": answer, "free": free[row]}
                line |= {"log_likelihoods": [round(value, 4) for value in scores[row].tolist()]}
                line |= {"command": environment.command_line(), "date": environment.now()}
                append_jsonl(FOLDER / "pages.jsonl", line)
            print(kind, {way: f"{sum(hits)}/{len(hits)}" for way, hits in right.items()}, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
