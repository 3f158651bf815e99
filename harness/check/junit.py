"""A comparison as a JUnit file, which CI systems show."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree

from coreheads.check.findings import WORST, Change, Report, cells_of
from coreheads.files import write_bytes

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: Path, report: Report) -> None:
    """One test case a comparison; a regression is a failure with its text and the samples that lost most."""
    suite = ElementTree.Element(
        "testsuite",
        name="coreheads check",
        tests=str(len(report.findings)),
        failures=str(len(report.failed)),
        errors="0",
    )
    worse: dict[str, list[Change]] = defaultdict(list)
    for change in report.worse:
        worse[change.cell].append(change)
    for finding in report.findings:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"coreheads.{finding.kind}", name=_clean(finding.name)
        )
        if not finding.ok:
            _, _, before, now, change_text, _, text = cells_of(finding, "", "")
            moved = f"{before} -> {now} {change_text}".strip()
            failure = ElementTree.SubElement(case, "failure", message=_clean(f"{moved}: {text}"))
            failure.text = _clean("\n".join(_line(change) for change in worse[finding.name][:WORST]))
    write_bytes(path, ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))


def _line(change: Change) -> str:
    tie = " (near-tie)" if change.near_tie else ""
    answers = f"{change.answer_before!r} -> {change.answer_now!r}"
    return f"{change.record}: {change.before:g} -> {change.now:g}{tie}: {answers}"


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return _NOT_XML.sub("", text)
