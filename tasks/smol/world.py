"""The world of the printed documents: facts about people among sentences that tell nothing.

Every word is one token of SmolLM2. In one document a relation (password, home city, ...) occurs once, each time of
another person: the model tells relations apart, but hardly eight people of one relation.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

_SAID = yaml.safe_load(Path(__file__).with_name("_world_yaml").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Relation:
    """What is told of a person: ``begins`` is the answer's beginning, the fact is "<begins> <value>."."""

    question: str
    begins: str
    values: tuple[str, ...]
    """Empty: a number of three digits."""

    def fact(self, name: str, value: str) -> str:
        return f"{self.begins.format(name=name)} {value}."


NAMES: list[str] = _SAID["names"].split()
RELATIONS = {
    name: Relation(relation["question"], relation["begins"], tuple(relation["values"].split()))
    for name, relation in _SAID["relations"].items()
}
FILLERS: list[str] = _SAID["fillers"]
_WORDS: dict[str, list[str]] = {kind: words.split() for kind, words in _SAID["slots"].items()}

SPLITS = ("profile", "test")

_SLOT = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"[A-Za-z]+|\d|[.,:;?!]")


def words_of(sentence: str) -> list[str]:
    """What is printed: a word, a digit or a mark a cell."""
    return _WORD.findall(sentence)


@dataclass(frozen=True)
class Fact:
    relation: str
    name: str
    value: str

    @property
    def sentence(self) -> str:
        return RELATIONS[self.relation].fact(self.name, self.value)

    @property
    def question(self) -> str:
        return RELATIONS[self.relation].question.format(name=self.name)

    @property
    def begins(self) -> str:
        """The answer's beginning."""
        return RELATIONS[self.relation].begins.format(name=self.name)


@dataclass(frozen=True)
class Document:
    """sentences: in their order, each with the fact that it tells, or None."""

    sentences: tuple[tuple[str, Fact | None], ...]

    @property
    def facts(self) -> list[Fact]:
        return [fact for _, fact in self.sentences if fact is not None]


def of_split(values: Sequence[str], split: str) -> list[str]:
    """Names and values of the split: no other split has any of them."""
    return list(values[SPLITS.index(split) :: len(SPLITS)])


def values_of(relation: str, split: str) -> list[str]:
    """The values that a relation may have in a split."""
    values = RELATIONS[relation].values
    return of_split(values or [f"{number}" for number in range(100, 1000)], split)


def make_document(rng: random.Random, split: str, words: int, before: int, beyond: int) -> Document:
    """A document of about ``words`` words with a fact of each relation, each of another person.

    Args:
        rng: Where the choices come from.
        split: Whose names and values are taken.
        words: Printed words, marks counted.
        before: Words that lie before the first fact at least.
        beyond: Words that follow after the last fact at least.
    """
    names = rng.sample(of_split(NAMES, split), len(RELATIONS))
    facts: list[Fact] = []
    for relation, name in zip(RELATIONS, names, strict=True):
        free = [value for value in values_of(relation, split) if value not in {fact.value for fact in facts}]
        facts.append(Fact(relation, name, rng.choice(free)))
    rng.shuffle(facts)
    left = words - sum(len(words_of(fact.sentence)) for fact in facts)
    fillers: list[str] = []
    starts: list[int] = []
    told = 0
    while told < left:
        starts.append(told)
        fillers.append(_filler(rng))
        told += len(words_of(fillers[-1]))
    places = [index for index, start in enumerate(starts) if before <= start <= told - beyond]
    slots = sorted(rng.choice(places) for _ in facts)
    sentences: list[tuple[str, Fact | None]] = []
    waiting = list(zip(slots, facts, strict=True))
    for index, filler in enumerate(fillers):
        while waiting and waiting[0][0] == index:
            fact = waiting.pop(0)[1]
            sentences.append((fact.sentence, fact))
        sentences.append((filler, None))
    return Document(tuple(sentences))


def _filler(rng: random.Random) -> str:
    """A sentence that tells nothing; no word stands twice in the slots of one kind."""
    template = rng.choice(FILLERS)
    kinds = _SLOT.findall(template)
    drawn = {kind: rng.sample(_WORDS[kind], kinds.count(kind)) for kind in dict.fromkeys(kinds)}
    return _SLOT.sub(lambda slot: drawn[slot[1]].pop(), template)


def vocabulary() -> list[str]:
    """Every word that a document can have, in a fixed order."""
    texts = [*NAMES, *(value for relation in RELATIONS.values() for value in relation.values)]
    texts += [_SLOT.sub("", text) for relation in RELATIONS.values() for text in (relation.question, relation.begins)]
    texts += [word for words in _WORDS.values() for word in words]
    texts += [_SLOT.sub("", filler) for filler in FILLERS]
    return list(dict.fromkeys(word for text in texts for word in words_of(text)))
