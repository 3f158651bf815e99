"""How each family is asked for a box: our own wording, in the form of answer that the family was trained to give.

Qwen3-VL answers JSON with ``bbox_2d``, InternVL takes the expression between <ref> tags and answers [[...]], LLaVA
answers [...]. ``coreheads.tasks.scoring.families`` says what the numbers mean.
"""

from __future__ import annotations

from coreheads.tasks.scoring.families import family_of, wording

PROMPTS = {
    "qwen": 'Find what this expression describes: "{expression}". Give its bounding box as JSON: '
    '[{{"bbox_2d": [x1, y1, x2, y2], "label": "..."}}], in {coordinates}.',
    "internvl": "Which region of the image is described by <ref>{expression}</ref>? "
    "Give its bounding box as [[x1, y1, x2, y2]], in {coordinates}.",
    "llava": "Which region of the image does this expression describe: {expression}? "
    "Give its bounding box as [x1, y1, x2, y2], in {coordinates}.",
}


def prompt(expression: str, family: str, template: str | None = None) -> str:
    """The question about one expression; ``template`` replaces our wording, with {expression} in it."""
    if template is not None:
        return template.replace("{expression}", expression)
    return PROMPTS[family_of(family)].format(expression=expression, coordinates=wording(family))
