"""How each sub-task is asked: pages, pictures and texts in the order of the record, then the question."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from coreheads import limits
from coreheads.errors import BadSample
from coreheads.files import whole_file
from coreheads.media.images import decode
from coreheads.media.room import PictureRoom
from coreheads.tasks.mmlongbench import data
from coreheads.tasks.mmlongbench.subtasks import SUBTASKS
from coreheads.tasks.reading.documents import Doc, Part, image, text

MARK = "<image>"
"""Stands in the records' texts for the next picture."""

ASK = {
    "pages": "Answer this question about document {document} in a few words: {question}\n"
    'If the document does not tell, answer "Not answerable".',
    "haystack": "Answer with yes or no. {question}",
    "interleaved": "Answer by what the texts and pictures above say. {question}",
    "documents": "Answer this question about what the picture shows, with the help of the texts above, in a few words: "
    "{question}",
}

ENDING = 'Write "Answer:" before your answer.'
LETTER = "Answer with the letter of the right picture."


def parts(doc: Doc, record: dict[str, Any]) -> list[Part]:
    """The content of the one message. BadSample where pictures are missing or their number is wrong."""
    subtask = SUBTASKS[doc["subtask"]]
    question = ASK[subtask.layout].format(question=record["question"], document=record.get("doc_name", ""))
    last = text(f"{question}\n{ENDING}")
    room = PictureRoom(data.where(doc), "ask for a shorter length (option lengths)")
    if subtask.layout == "pages":
        pages = [part for path in record["page_list"] for part in (text(page_label(path)), _picture(doc, path, room))]
        return [*pages, last]
    if subtask.layout == "haystack":
        return [*(_picture(doc, path, room) for path in record["ctxs"]), last]
    if subtask.layout == "documents":
        passages = [f"{passage['title']}: {passage['text']}" for passage in record["ctxs"]]
        return [text("\n\n".join(passages)), _picture(doc, record["image"], room), last]
    choices = record.get("choices_image") or []
    pictures = iter([*record["image_list"], *(record.get("needle_image_list") or []), *choices])
    context = "\n\n".join(paragraph["text"] for paragraph in record["ctxs"])
    options = "".join(f"\n({chr(ord('A') + index)}) {MARK}" for index in range(len(choices)))
    ending = f"{LETTER} {ENDING}" if choices else ENDING
    return list(interleaved(doc, [context, f"\n\n{question}{options}\n{ending}"], pictures, room))


def interleaved(doc: Doc, texts: Sequence[str], pictures: Iterator[str], room: PictureRoom) -> Iterator[Part]:
    """Texts with each mark replaced by the next picture, all of which must be used up."""
    used, where = 0, data.where(doc)
    for words in texts:
        for number, piece in enumerate(words.split(MARK)):
            if number:
                path = next(pictures, None)
                if path is None:
                    raise BadSample(f"{where}: more {MARK} in the texts than the {used} pictures that are named")
                used += 1
                yield _picture(doc, path, room)
            if piece.strip():
                yield text(piece)
    if left := list(pictures):
        raise BadSample(f"{where}: {used} {MARK} in the texts, but {used + len(left)} pictures are named")


def page_label(path: str) -> str:
    """What stands before a page: its document and its number from 1."""
    number = data.page_of(path)
    return f"Document {Path(path).parent.name}, page {'?' if number is None else number + 1}:"


def _picture(doc: Doc, name: str, room: PictureRoom) -> Part:
    path = data.image_path(doc, name)
    content = whole_file(path, limits.PICTURE_BYTES, "a picture", BadSample)
    return image(room.take(decode(content, str(path))))
