"""From a model's response to the short answer that is scored, as another model reads it.

Officially GPT-4o reads the response and names the answer; without such a model rules do, those of
``tasks.scoring.short_answers``. Which of the two was used is the result's ``variant``; figures of different variants do
not compare.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from coreheads.errors import UserError
from coreheads.tasks.scoring.answers import answered
from coreheads.tasks.scoring.short_answers import NO_ANSWER, NOT_ANSWERABLE
from coreheads.tasks.scoring.short_answers import by_rules as by_rules

INSTRUCTION = (
    "Below are a question about a document and somebody's response to it. Write down, and nothing else, the short "
    "answer that the response gives: a number as digits, several things as a Python list of strings, anything else as "
    f'few words as possible. If the response says that the document does not tell, write "{NOT_ANSWERABLE}". If it '
    f'gives no answer at all, write "{NO_ANSWER}".'
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
                {"role": "user", "content": f"Question: {question}\nResponse: {answered(response)}"},
            ],
        )
    except OpenAIError as error:
        raise UserError(f"options.extractor: {model} cannot be asked ({str(error).splitlines()[0]})") from None
    return str(completion.choices[0].message.content or "").strip()


@lru_cache(maxsize=4)
def _client(url: str | None) -> Any:
    from openai import OpenAI

    return OpenAI(base_url=url)
