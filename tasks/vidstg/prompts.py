"""How a model is asked for a tube: labelled frames, then one question; the coordinates are the family's own."""

from __future__ import annotations

from coreheads.tasks.scoring.families import wording

PROMPT = (
    "These are frames of a video, each with its time. {sentence} Say when the event begins and ends, in seconds, and "
    "where the {what} is at several times in between. Answer with JSON only: "
    '{{"start": ..., "end": ..., "boxes": [{{"time": ..., "bbox_2d": [x1, y1, x2, y2]}}, ...]}}, with boxes in '
    "{coordinates}."
)

SENTENCES = {
    "declarative": 'Find the moment that this sentence describes, and its subject: "{description}".',
    "interrogative": 'Find the moment that this question is about, and what it asks for: "{description}".',
}

WHAT = {"declarative": "subject of the sentence", "interrogative": "thing asked for"}


def prompt(description: str, form: str, family: str) -> str:
    """The question about one caption (declarative) or question (interrogative)."""
    sentence = SENTENCES[form].format(description=description)
    return PROMPT.format(sentence=sentence, what=WHAT[form], coordinates=wording(family))


def label(seconds: float) -> str:
    """What stands before a frame."""
    return f"{seconds:.2f} s"
