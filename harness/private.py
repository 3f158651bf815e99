"""What must not leave this machine with what is stored: passwords, tokens, and where somebody's home folder is.

Commands, configurations and the texts of errors are given to others with a run's folder, its board or a baseline.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HIDDEN = "***"
"""Stands in place of a secret."""

_SECRET = (
    r"(?:[\w.-]*(?:token|passw(?:or)?d|passphrase|secret|api_?-?key|access_?-?key(?:_?-?id)?|private_?-?key"
    r"|credentials?|signature|authorization)|(?:[\w.-]*[_.-])?(?:auth|pwd|sig))"
)
"""A name whose value is a secret: hf_token, models.0.settings.api_key, X-Amz-Signature; max_new_tokens is none."""
_NAME = re.compile(rf"-*{_SECRET}", re.IGNORECASE)
_VALUE = r"""(?:"[^"]*"|'[^']*'|[^\s&'",;)\]}<>|]+)"""
_ASSIGNED = rf"(?<![\w.-]){_SECRET}[\"']?\s*=\s*"
_IN_A_MAPPING = rf"(?:[\"']|[{{,]\s*|^[ \t]*){_SECRET}[\"']?\s*:\s*(?!bearer|basic)"
_QUOTED = rf"(?<![\w.-]){_SECRET}\s+is\s+(?=[\"'])"
_PATTERNS = [
    (re.compile(pattern, re.IGNORECASE | re.MULTILINE), shown)
    for pattern, shown in (
        (r"\b(bearer|basic)\s+[\w.~+/=-]{6,}", rf"\1 {HIDDEN}"),
        (rf"({_ASSIGNED}|{_IN_A_MAPPING}|{_QUOTED}|[?&](?:key|code|awsaccesskeyid)=){_VALUE}", rf"\1{HIDDEN}"),
        # user:password@ of an address, also of one that was taken for a path
        (r"(\b(?:[a-z][a-z0-9+.-]{0,20}://|(?:https?|ftp|ssh|s3|gs):/))[^\s/?#'\"]+@", rf"\1{HIDDEN}@"),
    )
]
_TOKEN = re.compile(
    r"\bhf_(?!(?:transfer|tokenizer|processor)\b)(?:[A-Za-z0-9]{8,}|(?=[a-z]*[A-Z0-9])[A-Za-z0-9]{5,})\b"
    r"|(?<![\w-])sk-(?=[\w-]*\d|[\w-]{20})[\w-]{8,}"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abprs]-|nvapi-)[\w-]{10,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b|\bAIza[\w-]{30,}|\beyJ[\w-]{6,}\.[\w-]+\.[\w-]*"
)
"""Known by their form: tokens of Hugging Face, OpenAI, GitHub, GitLab, Slack, NVIDIA, Amazon and Google, and JWT."""


def without_secrets(text: str) -> str:
    """A text in which tokens, passwords and signatures of addresses are hidden; given its own result, the same."""
    for pattern, shown in _PATTERNS:
        text = pattern.sub(shown, text)
    return _TOKEN.sub(HIDDEN, text)


def private(text: str) -> str:
    """A text without secrets and with ``~`` in place of the home folder."""
    return without_home(without_secrets(text))


def without_home(text: str) -> str:
    """A text with ``~`` in place of the home folder, such as a path that can still be opened."""
    for home in dict.fromkeys((str(Path.home()), str(Path.home().resolve()))):
        if len(Path(home).parts) > 1:
            text = re.sub(rf"(?<![\w.~-]){re.escape(home)}(?![\w.-])", "~", text)
    return text


def private_value(value: Any, name: str = "") -> Any:
    """A JSON value, such as a configuration, without secrets; paths stay as they are."""
    if isinstance(value, dict):
        return {key: private_value(part, str(key)) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [private_value(part, name) for part in value]
    if value is None or isinstance(value, bool) or not _NAME.fullmatch(name):
        return without_secrets(value) if isinstance(value, str) else value
    return HIDDEN


def private_command(words: Sequence[str]) -> str:
    """A command line as one could type it again, but for secrets and with ``~`` in place of the home folder."""
    shown = []
    for before, word in zip(["", *words], words, strict=False):
        name, sign, _ = word.partition("=")
        if sign and _NAME.fullmatch(name):
            word = f"{name}={HIDDEN}"
        elif before.startswith("-") and "=" not in before and _NAME.fullmatch(before):
            word = HIDDEN
        word = private(word)
        # a shell takes ~ for the home folder where it is not quoted
        shown.append("~/" + shlex.quote(word[2:]) if word.startswith("~/") and word[2:] else shlex.quote(word))
    return " ".join(shown)


def private_command_line(text: str) -> str:
    """The same of a command line that is a text already."""
    try:
        words = shlex.split(text)
    except ValueError:
        return private(text)
    shown = private_command(words)
    return private(text if shlex.split(shown) == words else shown)
