"""Results for people and for build servers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree

from cds.conformance.model import Result

_MARKS = {"passed": "ok", "failed": "FAIL", "warned": "warn", "skipped": "skip"}


def as_text(results: Sequence[Result]) -> str:
    """Return one line per check, by item, and a count."""
    lines = []
    for result in results:
        detail = f": {result.detail}" if result.detail else ""
        lines.append(f"{_MARKS[result.status]:4s}  {result.item:2d}  {result.title}{detail}")
    return "\n".join([*lines, "", count(results)])


def count(results: Sequence[Result]) -> str:
    """Return how many checks and items ended how."""
    statuses = Counter(result.status for result in results)
    seen = {result.item for result in results if result.status != "skipped"}
    broken = sorted({result.item for result in results if result.status == "failed"})
    said = ", ".join(f"{statuses[status]} {status}" for status in ("passed", "failed", "warned", "skipped"))
    items = f"items broken: {', '.join(map(str, broken))}" if broken else "no item broken"
    return f"{said}; {len(seen)} items looked at; {items}"


def as_junit(results: Sequence[Result], url: str) -> str:
    """Return the results as JUnit XML; a SHOULD that is broken stands in the output of a passed case."""
    statuses = Counter(result.status for result in results)
    suite = ElementTree.Element(
        "testsuite",
        name=f"CDS Hooks conformance of {url}",
        tests=str(len(results)),
        failures=str(statuses["failed"]),
        skipped=str(statuses["skipped"]),
    )
    for result in results:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"cds-hooks.item-{result.item:02d}", name=result.title
        )
        if result.status == "failed":
            ElementTree.SubElement(case, "failure", message=result.detail)
        elif result.status == "skipped":
            ElementTree.SubElement(case, "skipped", message=result.detail)
        elif result.status == "warned":
            ElementTree.SubElement(case, "system-out").text = f"SHOULD: {result.detail}"
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)
