"""Findings of a check as a JUnit file, which CI systems show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from coreheads.check import Finding
from coreheads.files import write_bytes


def write_junit(path: Path, findings: Sequence[Finding]) -> None:
    """One test case a comparison; a regression is a failure with its text."""
    failed = sum(not finding.ok for finding in findings)
    suite = ElementTree.Element(
        "testsuite", name="coreheads check", tests=str(len(findings)), failures=str(failed), errors="0"
    )
    for finding in findings:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"coreheads.{finding.kind}", name=_clean(finding.name)
        )
        if not finding.ok:
            moved = f"{finding.before} -> {finding.now}: {finding.text}"
            ElementTree.SubElement(case, "failure", message=_clean(moved))
    write_bytes(path, ElementTree.tostring(suite, encoding="utf-8", xml_declaration=True))


def _clean(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(character for character in text if character >= " " and character not in "\ufffe\uffff")
