"""One row per finding, as the film and the report see it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cds.site.configuration import FindingEntry
from fusion.assessment import Assessment, FindingView
from nlp import StructuredReport
from vision import ImagingResult

_AGREEMENT = {
    "agree": "film and report agree",
    "image_only": "only on the film",
    "report_only": "only in the report",
    "not_comparable": "not comparable",
}
_GENERAL = frozenset({"abnormal"})
_ASSERTION_RANK = {"present": 0, "possible": 1, "absent": 2, "hypothetical": 3, "historical": 4, "family": 5}


@dataclass(frozen=True)
class FindingRow:
    """One finding on a case page.

    share       what the bar shows: the probability, else the score; None when the film was not asked
    places      where its regions lie on the film, in words
    said_where  where the report places it
    combined    probability by film and report together, where the site has promoted a model of its own pairs
    """

    key: str
    display: str
    share: float | None
    is_probability: bool
    label: bool | None
    threshold: float | None
    has_heatmap: bool
    places: str
    said_where: str
    assertion: str | None
    agreement: str
    agreement_words: str
    combined: float | None = None
    combined_model: str | None = None

    @property
    def judgeable(self) -> bool:
        """Whether the film says something of it that a person can judge."""
        return self.share is not None

    @property
    def shown_first(self) -> bool:
        """Whether either side says it is there."""
        return self.label is True or self.assertion in ("present", "possible")


def finding_rows(
    result: ImagingResult | None,
    report: StructuredReport | None,
    assessment: Assessment | None,
    table: Mapping[str, FindingEntry],
) -> list[FindingRow]:
    """Return the findings of film and report: those that are there first, and of those what both sides see."""
    views = {view.key: view for view in assessment.findings} if assessment is not None else {}
    said = _assertions(report)
    scored = [finding.key for finding in result.findings] if result is not None else []
    keys = dict.fromkeys([*scored, *views, *said])
    rows = [_row(key, result, report, said.get(key), views.get(key), table) for key in keys]
    return sorted(rows, key=_rank)


def _rank(row: FindingRow) -> tuple[bool, bool, bool, float, str]:
    return (not row.shown_first, row.agreement != "agree", row.key in _GENERAL, -(row.share or 0), row.display)


def _assertions(report: StructuredReport | None) -> dict[str, str]:
    """Return what the report says of each finding; present wins over possible, and possible over absent."""
    said: dict[str, str] = {}
    for mention in report.findings if report is not None else ():
        known = said.get(mention.finding)
        if known is None or _ASSERTION_RANK[mention.assertion] < _ASSERTION_RANK[known]:
            said[mention.finding] = mention.assertion
    return said


def _row(
    key: str,
    result: ImagingResult | None,
    report: StructuredReport | None,
    assertion: str | None,
    view: FindingView | None,
    table: Mapping[str, FindingEntry],
) -> FindingRow:
    finding = result.finding(key) if result is not None else None
    probability = finding.probability if finding is not None else None
    agreement = view.agreement if view is not None else "not_comparable"
    return FindingRow(
        key=key,
        display=table[key].display if key in table else key.replace("_", " ").capitalize(),
        share=probability if probability is not None else finding.score if finding is not None else None,
        is_probability=probability is not None,
        label=finding.label if finding is not None else None,
        threshold=finding.threshold if finding is not None else None,
        has_heatmap=result is not None and any(heatmap.finding == key for heatmap in result.heatmaps),
        places=", ".join(_places(key, result)),
        assertion=view.report_assertion if view is not None and view.report_assertion else assertion,
        said_where=", ".join(_said_places(key, report)),
        agreement=agreement,
        agreement_words=_together(agreement, finding is not None, assertion),
        combined=view.combined_probability if view is not None else None,
        combined_model=view.combined_model if view is not None else None,
    )


def _together(agreement: str, on_film: bool, assertion: str | None) -> str:
    if agreement == "image_only" and assertion == "absent":
        return "the report denies it"
    if agreement == "not_comparable" and not on_film:
        return "no model looks for it"
    if agreement == "not_comparable" and assertion is None:
        return "report is silent"
    return _AGREEMENT[agreement]


def _said_places(key: str, report: StructuredReport | None) -> Iterable[str]:
    places = {
        " ".join(filter(None, [mention.laterality, mention.location])): None
        for mention in (report.findings if report is not None else ())
        if mention.finding == key and mention.assertion in ("present", "possible")
    }
    return [place for place in places if place]


def _places(key: str, result: ImagingResult | None) -> Iterable[str]:
    places: dict[str, None] = {}
    for region in result.regions if result is not None else ():
        if region.finding == key:
            zone = f"{region.zone} zone" if region.zone else None
            places[" ".join(filter(None, [region.side, zone]))] = None
    return [place for place in places if place]
