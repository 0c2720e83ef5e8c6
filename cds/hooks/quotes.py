"""The words of a report that a statement rests on, fetched from the store for the few statements that are shown."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from cds.assessing.assessment import AssessedPatient
from cds.errors import DamagedBlobError
from cds.store import BlobFolder
from cds.store.tables import ReportRow
from fusion.assessment import Evidence, FindingView, FollowUp, OrderCheck

_SENTENCE_END = re.compile(r"[.!?]\s|\n")
_LONGEST = 240
_REFERENCE = "report/"
_DIGEST = select(ReportRow.sha256).where(ReportRow.id == bindparam("report_id"))

_Item = TypeVar("_Item", FindingView, FollowUp, OrderCheck)


class ReportWords:
    """Puts the sentences of reports in place of their positions."""

    def __init__(self, blobs: BlobFolder) -> None:
        self._blobs = blobs

    def put_into(self, assessed: AssessedPatient, session: Session) -> AssessedPatient:
        """Return the same with report evidence in the report's own words, where the text is still in the store."""
        assessment = assessed.assessment
        shown = [view for view in assessment.findings if view.report_assertion in ("present", "possible")]
        items: list[FindingView | FollowUp | OrderCheck] = [*shown, *assessment.follow_ups, *assessment.order_checks]
        wanted = {e.reference for item in items for e in item.evidence if _has_place(e)}
        texts = self._texts(wanted, session)
        if not texts:
            return assessed
        changed = assessment.model_copy(
            update={
                "findings": tuple(_worded(view, texts) for view in assessment.findings),
                "follow_ups": tuple(_worded(follow_up, texts) for follow_up in assessment.follow_ups),
                "order_checks": tuple(_worded(check, texts) for check in assessment.order_checks),
            }
        )
        return replace(assessed, assessment=changed)

    def _texts(self, references: set[str], session: Session) -> dict[str, str]:
        texts = {}
        for reference in references:
            digest = session.scalar(_DIGEST, {"report_id": reference.removeprefix(_REFERENCE)})
            try:
                texts[reference] = self._blobs.get(digest).decode("utf-8", "replace") if digest else ""
            except (OSError, DamagedBlobError):
                continue
        return {reference: text for reference, text in texts.items() if text}


def sentence_at(text: str, start: int, end: int) -> str:
    """Return the sentence that holds a span; a long one is cut at words around the span, with marks where it is cut."""
    before = [match.end() for match in _SENTENCE_END.finditer(text, 0, start)]
    after = _SENTENCE_END.search(text, max(end - 1, start))
    first, last = before[-1] if before else 0, after.start() + 1 if after else len(text)
    if last - first <= _LONGEST:
        return text[first:last].strip()
    room = max((_LONGEST - (end - start)) // 2, 20)
    left, right = max(first, start - room), min(last, end + room)
    words_before = text[left:start] if left == first else "… " + text[left:start].partition(" ")[2]
    words_after = text[end:right] if right == last else text[end:right].rpartition(" ")[0] + " …"
    return f"{words_before}{text[start:end]}{words_after}".strip()


def _has_place(evidence: Evidence) -> bool:
    return evidence.kind == "report" and evidence.start is not None and evidence.reference.startswith(_REFERENCE)


def _worded(item: _Item, texts: Mapping[str, str]) -> _Item:
    if not any(_has_place(e) and e.reference in texts for e in item.evidence):
        return item
    evidence = tuple(
        e.model_copy(update={"detail": sentence_at(texts[e.reference], e.start or 0, e.end or 0)})
        if _has_place(e) and e.reference in texts
        else e
        for e in item.evidence
    )
    return item.model_copy(update={"evidence": evidence})
