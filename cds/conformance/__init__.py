"""A conformance kit for CDS Hooks 2.0.1: what any server does, seen over HTTP alone.

    model.py      checks, results, and the registry of checks by item of docs/cds-hooks.md
    target.py     the server under test: calls, tokens, what was answered
    examples.py   requests for a service that was discovered
    discovery.py  items 1-5, 10-12
    requests.py   items 6-8, 13, 16-18, 43
    cards.py      items 19-31, 42
    feedback.py   items 31-34
    security.py   items 4, 35-41
    fetching.py   items 9, 14, 15, with a FHIR server of its own
    report.py     results as text and as JUnit XML

Knows nothing of the rest of this program, so it treats it as any other server.
"""

from __future__ import annotations

from cds.conformance.model import Result
from cds.conformance.report import as_junit, as_text
from cds.conformance.running import run
from cds.conformance.target import Credentials

__all__ = ["Credentials", "Result", "as_junit", "as_text", "run"]
