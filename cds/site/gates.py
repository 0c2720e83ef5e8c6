"""What a site lets out of the model's word on a finding: automatic, after review, or never.

One decision for pages, cards, FHIR and DICOM. Pure: results and verdicts in, results out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cds.settings import EVERY_OTHER, Gate
from cds.store.verdicts import SaidVerdict
from vision import ImagingResult
from vision.result import Finding, Region

_CONFIRMED = frozenset({"agree", "corrected"})
_SWITCHED_OFF = "the site has switched it off"
_NOT_REVIEWED = "waits for a person's review, as the site asks"
_REFUSED = "a person did not confirm it"


class Gates:
    """The gate of each finding, as the setting `finding_gates` has it.

    table  finding -> gate; `*` stands for every finding that is not named; without it they are automatic
    """

    def __init__(self, table: Mapping[str, Gate]) -> None:
        self._table = dict(table)

    def of(self, finding: str) -> Gate:
        """Return the gate of a finding."""
        return self._table.get(finding, self._table.get(EVERY_OTHER, "automatic"))

    def shown(self, result: ImagingResult) -> ImagingResult:
        """Return what readers may see of a result: everything but what is off, which is named not applicable."""
        return _without(result, lambda finding: _SWITCHED_OFF if self.of(finding.key) == "off" else None)

    def released(self, result: ImagingResult, verdicts: Mapping[str, SaidVerdict]) -> ImagingResult:
        """Return what may leave the reading room of a result; what may not is named not applicable, with the reason.

        verdicts  the last word on each finding. What a person disagreed with or could not tell leaves through no
                  gate; a corrected finding leaves with the region that the person drew.
        """

        def reason(finding: Finding) -> str | None:
            said, gate = verdicts.get(finding.key), self.of(finding.key)
            if gate == "off":
                return _SWITCHED_OFF
            if said is not None and said.verdict not in _CONFIRMED:
                return _REFUSED
            return _NOT_REVIEWED if gate == "review_first" and said is None else None

        return _corrected(_without(result, reason), verdicts)


def _without(result: ImagingResult, reason: Callable[[Finding], str | None]) -> ImagingResult:
    """Return a result without the findings that there is a reason against, nor their regions and heatmaps."""
    held = {finding.key: why for finding in result.findings if (why := reason(finding)) is not None}
    if not held:
        return result
    return result.model_copy(
        update={
            "findings": tuple(finding for finding in result.findings if finding.key not in held),
            "regions": tuple(region for region in result.regions if region.finding not in held),
            "heatmaps": tuple(heatmap for heatmap in result.heatmaps if heatmap.finding not in held),
            "not_applicable": {**result.not_applicable, **held},
        }
    )


def _corrected(result: ImagingResult, verdicts: Mapping[str, SaidVerdict]) -> ImagingResult:
    """Return a result with the regions and without the heatmaps of what a person placed elsewhere."""
    placed = {key: said.regions for key, said in verdicts.items() if said.verdict == "corrected" and said.regions}
    scores = {finding.key: finding.score for finding in result.findings if finding.key in placed}
    if not scores:
        return result
    drawn = [Region(finding=key, box=box, score=score) for key, score in scores.items() for box in placed[key]]
    kept = [region for region in result.regions if region.finding not in scores]
    return result.model_copy(
        update={
            "regions": (*kept, *drawn),
            "heatmaps": tuple(heatmap for heatmap in result.heatmaps if heatmap.finding not in scores),
        }
    )
