"""From a model's response to the short answer that is scored: by rules, or by another model.

Officially GPT-4o reads the response and names the answer. Which of the two was used is the result's ``variant``;
figures of different variants do not compare.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from coreheads.errors import UserError
from coreheads.tasks.mmlongbench_doc.scoring import NOT_ANSWERABLE
from coreheads.tasks.scoring.answers import after_answer

RULES = "rules-1"
"""Name of the rules below; changed when they change."""

_OPENING = re.compile(r"^(?:so|thus|therefore)?,?\s*the (?:final |correct )?answer is\s*:?\s*", re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?\$?\s?\d[\d,]*(?:\.\d+)?\s?%?")
_UNANSWERABLE = re.compile(r"\W*(?:the question (?:is|was) |it is |this is )?not answerable\W*", re.IGNORECASE)


def by_rules(response: str, answer_format: str) -> str:
    """The short answer in a response, without asking a model.

    What follows the last "Answer:" counts, or the whole response; of it the first paragraph, without "the answer is",
    asterisks, a last full stop, and thousands' commas in a number. "not answerable" in any dress becomes the official
    string. Where the question's ``answer_format`` is Int or Float and the text has exactly one number, the number.
    """
    said = after_answer(response).strip().strip("*_` ")
    said = said.split("\n\n")[0].strip()
    said = _OPENING.sub("", said).strip().strip("*_` ")
    if _UNANSWERABLE.fullmatch(said):
        return NOT_ANSWERABLE
    if answer_format in ("Int", "Float"):
        numbers = _NUMBER.findall(said)
        if len(numbers) == 1:
            return re.sub(r"[\s,$+]", "", numbers[0]) if answer_format == "Int" else numbers[0].replace(",", "").strip()
    return said.removesuffix(".").strip()


INSTRUCTION = (
    "Below are a question about a document and somebody's response to it. Write down, and nothing else, the short "
    "answer that the response gives: a number as digits, several things as a Python list of strings, anything else as "
    f'few words as possible. If the response says that the document does not tell, write "{NOT_ANSWERABLE}". If it '
    'gives no answer at all, write "Fail to answer".'
)


def by_model(question: str, response: str, model: str, url: str | None) -> str:
    """The short answer as another model reads it, over an OpenAI-compatible interface.

    Args:
        question: The task's.
        response: The evaluated model's.
        model: Name of the one that is asked.
        url: Of the interface; None is OpenAI's own. The key is where the openai package looks for it.

    Raises:
        UserError: The model cannot be asked.
    """
    from openai import OpenAIError

    try:
        completion = _client(url).chat.completions.create(
            model=model,
            temperature=0,
            max_tokens=256,
            messages=[
                {"role": "system", "content": INSTRUCTION},
                {"role": "user", "content": f"Question: {question}\nResponse: {response}"},
            ],
        )
    except OpenAIError as error:
        raise UserError(f"options.extractor: {model} cannot be asked ({str(error).splitlines()[0]})") from None
    return str(completion.choices[0].message.content or "").strip()


@lru_cache(maxsize=4)
def _client(url: str | None) -> Any:
    from openai import OpenAI

    return OpenAI(base_url=url)
