"""Metrics of the reading room for /metrics, worked out from the store when they are asked for.

No patient and no person is in a label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from cds.operating.logs import logger, place_of
from cds.oversight.monitoring import Turnaround, agreements, drifts, turnarounds
from cds.store import Database
from cds.store.watching import judged_since, passages_since, scored_since

_DAY = timedelta(days=1)
_TURNAROUND_OVER = 7 * _DAY
_DRIFT_OVER, _LATEST = 90 * _DAY, 7 * _DAY
_log = logger(__name__)


class ReadingMetrics(Collector):
    """Turnaround of the last week, agreement of 90 days, drift of the last week against the 90 days before."""

    def __init__(self, database: Callable[[], Database]) -> None:
        self._database = database

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering asks nothing of the store."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; none while the store cannot be read."""
        now = datetime.now(UTC)
        try:
            with self._database().reading() as session:
                stages = turnarounds(passages_since(session, now - _TURNAROUND_OVER))
                said = agreements(judged_since(session, now - _DRIFT_OVER))
                moved = drifts(scored_since(session, now - _DRIFT_OVER), latest_from=now - _LATEST)
        except SQLAlchemyError as error:
            _log.warning("no reading metrics", **place_of(error))
            return
        yield from _of_turnaround(stages)
        agreement = GaugeMetricFamily(
            "cds_finding_agreement", "Share of verdicts that agree, 90 days", labels=["finding", "model"]
        )
        verdicts = GaugeMetricFamily("cds_finding_verdicts", "Findings judged, 90 days", labels=["finding", "model"])
        for row in said:
            if row.period == "all":
                agreement.add_metric([row.finding, row.model], row.agreement.value)
                verdicts.add_metric([row.finding, row.model], row.agreement.of)
        shift = GaugeMetricFamily(
            "cds_finding_score_shift",
            "Population stability index of the last 7 days' scores against the 90 days before",
            labels=["finding", "model"],
        )
        positive = GaugeMetricFamily(
            "cds_finding_positive_share", "Share of films above the cut-off, 7 days", labels=["finding", "model"]
        )
        for drift in moved:
            if drift.psi is not None:
                shift.add_metric([drift.finding, drift.model], drift.psi)
            if drift.positive_latest is not None:
                positive.add_metric([drift.finding, drift.model], drift.positive_latest.value)
        yield from (agreement, verdicts, shift, positive)


def _of_turnaround(stages: Iterable[Turnaround]) -> Iterator[Metric]:
    seconds = GaugeMetricFamily(
        "cds_turnaround_seconds", "From arrival to a stage, films of 7 days", labels=["stage", "quantile"]
    )
    films = GaugeMetricFamily("cds_turnaround_films", "Films of 7 days that reached a stage", labels=["stage"])
    for one in stages:
        for name, value in (("0.5", one.median), ("0.9", one.p90), ("1", one.longest)):
            seconds.add_metric([one.stage, name], value)
        films.add_metric([one.stage], one.films)
    yield from (seconds, films)
