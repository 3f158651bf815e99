"""Which option a natural reply names: the one that a person reads, or none."""

from __future__ import annotations

import pytest

from coreheads.tasks.scoring.options import read_option

OPTIONS = ["He opens a door", "She paints a wall", "They feed a horse", "It rains"]


@pytest.mark.parametrize(
    ("response", "option"),
    [
        ("(B) because it is not a door", "B"),
        ("(B) She paints a wall. (A) is wrong", "B"),
        ("(C) They feed a horse and it rains", "C"),
        ("Answer: B. Note that A is a common mistake.", "B"),
        ("The answer is B. Note that (A) is a common mistake.", "B"),
        ("B\n\nHe says sorry, and waits", "B"),
        ("A. He opens a door\nB. She paints a wall\nAnswer: B", "B"),
        ("Answer: (B)\n\nQuestion: what next?\nAnswer: (C)", "B"),
        ("Answer: B\nUser: and now?", "B"),
        ("Question: what is it?\nAnswer: B", "B"),
        ("A: He opens a door", "A"),
        ("(A) is wrong, it is (B)", None),
        ("A) is not right", None),
        ("(A) isn't it", None),
        ("A. Incorrect", None),
        ("(A) can be ruled out, so (B)", None),
        ("A. No wait, B", None),
        ("(A)... sorry, (C)", None),
        ("A, no, B", None),
        ("A. No, it is B.", None),
        ("A. Wait, the correct answer is (B)", None),
        ("B. No, it is raining", "B"),
        ("B: not sure", None),
        ("(A) He opens a door (B) She paints a wall (C) They feed a horse (D) It rains", None),
        ("A. He opens a door\nB. She paints a wall\nC. They feed a horse\nD. It rains", None),
        ("B) She paints a wall or C) They feed a horse", None),
        ("(D) It rains\n(A) He opens a door", None),
        ("(A)(B)", None),
        ("(A) (B)", None),
        ("A. B. C.", None),
        ("(A) - (C)", None),
        ("(A) vs (B)", None),
        ("Either (A) or (B)", None),
        ("Neither A nor B", None),
        ("The answer is not (A)", None),
        ("Answer: not B", None),
        ("All of the above", None),
        ("I am a robot", None),
        ("A dog barks", None),
        ("(E)", None),
    ],
)
def test_natural_replies(response: str, option: str | None) -> None:
    read = read_option(response, OPTIONS)
    assert (None if read is None else "ABCD"[read]) == option


def test_an_option_that_begins_with_another_letter_is_itself() -> None:
    assert read_option("(A) B. King", ["B. King", "A. Lee"]) == 0
    assert read_option("(A) 3 (B) 7 (C) 1", ["3", "7", "1"]) is None
    assert read_option("(B) 7", ["3", "7", "77"]) == 1
    assert read_option("(C) 77", ["3", "7", "77"]) == 2
