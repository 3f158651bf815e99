"""A comparison as a JUnit file, which CI systems show."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from coreheads.check.findings import WORST, Change, Report
from coreheads.files import write_bytes

_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(path: Path, report: Report) -> None:
    """One test case a comparison; a regression is a failure with its text and the samples that lost most."""
    counts = {"tests": str(len(report.findings)), "failures": str(len(report.failed)), "errors": "0"}
    suite = ElementTree.Element("testsuite", {"name": "coreheads check", **counts})
    for finding in report.findings:
        names = {"classname": f"coreheads.{finding.kind}", "name": _clean(finding.name)}
        case = ElementTree.SubElement(suite, "testcase", names)
        if not finding.ok:
            moved = f"{finding.step} {finding.change}".strip()
            failure = ElementTree.SubElement(case, "failure", message=_clean(f"{moved}: {finding.text}"))
            worse = [_line(change) for change in report.worse if change.cell == finding.name]
            failure.text = _clean("\n".join(worse[:WORST]))
    write_bytes(path, ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))


def _line(change: Change) -> str:
    tie = " (near-tie)" if change.near_tie else ""
    answers = f"{change.answer_before!r} -> {change.answer_now!r}"
    return f"{change.record}: {change.before:g} -> {change.now:g}{tie}: {answers}"


def _clean(text: str) -> str:
    """Without the characters that XML cannot hold."""
    return _NOT_XML.sub("", text)
