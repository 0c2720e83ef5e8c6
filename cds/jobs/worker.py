"""The worker: one low-priority process that takes queued films and reports and stores what the models say of them.

Further loops in the same process exchange with archives and deliver what is queued for other systems, so that one that
does not answer holds up no film. What is delivered, and how, is handed in.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from cds.errors import CdsError, DeliveryError, NotYetError
from cds.jobs.pictures import shown_film
from cds.jobs.queue import (
    ANALYSIS,
    DELIVERY,
    EXCHANGE,
    FILMS,
    LEASE,
    Job,
    Lane,
    claim,
    fail,
    finish,
    give_up_spent,
    is_due,
    postpone,
    release_dead,
    renew,
    worker_name,
)
from cds.models import Models
from cds.operating.logs import logger, place_of
from cds.store import BlobFolder, Database
from cds.store.films import store_imaging_result
from cds.store.reports import store_report_result
from cds.store.tables import FilmRow, ReportRow
from nlp import ReportContext, StructuredReport
from vision import ImagingResult, UnreadableImageError, read_radiograph
from vision.read import ENOUGH
from vision.result import Rejection

_POLL_SECONDS = 0.2
_DAY_SECONDS = 86_400.0
_STORE_IN_TROUBLE_SECONDS = 2.0
_LAST_DELIVERY_SECONDS = 5.0
_log = logger(__name__)


Deliver = Callable[[Job], None]
"""Sends one job to its destination; raises DeliveryError where it did not arrive."""
Told = Callable[[Session, Job, datetime], None]
"""Called in the transaction that stores a result, to queue what is to be sent of it."""


class Worker:
    """Empties the queue until told to stop.

    deliveries  kind of job -> what delivers it
    exchanges   kind of job -> what fetches or makes what is exchanged with archives
    watches     looks elsewhere for work, each in a loop of its own
    told        who is told of each result
    daily       done at the start and once a day
    """

    def __init__(
        self,
        database: Database,
        blobs: BlobFolder,
        models: Models,
        *,
        deliveries: Mapping[str, Deliver] | None = None,
        exchanges: Mapping[str, Deliver] | None = None,
        watches: Sequence[Callable[[], bool]] = (),
        told: Sequence[Told] = (),
        daily: Callable[[], None] | None = None,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._models = models
        self._told = told
        self._daily = daily
        self._daily_at = 0.0
        self._work: dict[str, Callable[[Job], None]] = {
            "analyse_film": self._analyse_film,
            "extract_report": self._extract_report,
        }
        self._deliveries = dict(deliveries or {})
        self._exchanges = dict(exchanges or {})
        self._watches = watches
        self._name = worker_name()
        self.stop = threading.Event()

    def run(self, *, niceness: int = 0, parent: int | None = None) -> None:
        """Work until `stop` is set; first take back what a dead process left leased.

        niceness  priority to give up
        parent    process id of the service that started this worker; it ends when that process is gone

        Raises DatabaseVersionError when the tables are not at the version of this program.
        """
        if niceness:
            os.nice(niceness)
        self._database.require_current()
        self._blobs.drop_unfinished()
        beside = [
            threading.Thread(target=self._loop, args=(step, parent), name="beside", daemon=True)
            for step in (self.film_beside, self.deliver_one, self.exchange_one, self._do_daily, *self._watches)
        ]
        for thread in beside:
            thread.start()
        self._loop(self.run_one, parent, first=self._take_back)
        until = time.monotonic() + _LAST_DELIVERY_SECONDS
        for thread in beside:
            thread.join(max(until - time.monotonic(), 0))

    def _loop(self, step: Callable[[], bool], parent: int | None, *, first: Callable[[], bool] | None = None) -> None:
        now = first or step
        while not self.stop.is_set() and parent in (None, os.getppid()):
            try:
                if not now():
                    self.stop.wait(_POLL_SECONDS)
                now = step
            except SQLAlchemyError as error:
                _log.error("store in trouble", **place_of(error))
                self.stop.wait(_STORE_IN_TROUBLE_SECONDS)

    def _take_back(self) -> bool:
        """Queue again what a dead process left leased; returns whether there was any."""
        with self._database.writing() as session:
            released = release_dead(session, self._name, at=_now())
        _log.info("worker started", pid=os.getpid(), count=released)
        return released > 0

    def _do_daily(self) -> bool:
        if self._daily is not None and time.monotonic() >= self._daily_at:
            self._daily_at = time.monotonic() + _DAY_SECONDS
            try:
                self._daily()
            except (CdsError, OSError) as error:
                _log.error("daily work failed", **place_of(error))
        return False

    def run_one(self) -> bool:
        """Do one job on a film or report, if there is one; returns whether there was."""
        return self._one_of(ANALYSIS, self._work)

    def film_beside(self) -> bool:
        """Do one film beside `run_one`: it is read while the other is in the networks, and at most two are held."""
        return self._one_of(FILMS, self._work)

    def deliver_one(self) -> bool:
        """Deliver one message, if one is due; returns whether there was one."""
        return self._one_of(DELIVERY, self._deliveries)

    def exchange_one(self) -> bool:
        """Make the objects of a film, or fetch what belongs to it, if any is due; returns whether there was one."""
        return self._one_of(EXCHANGE, self._exchanges)

    def _one_of(self, lane: Lane, work: Mapping[str, Callable[[Job], None]]) -> bool:
        with self._database.reading() as session:
            if not is_due(session, lane, at=_now()):
                return False
        with self._database.writing() as session:
            for spent in give_up_spent(session, lane, at=_now()):
                _mark_failed(session, spent)
            job = claim(session, self._name, lane, at=_now())
        if job is None:
            return False
        started = time.perf_counter()
        try:
            with self._lease_kept(job):
                work[job.kind](job)
                if job.kind not in self._work:
                    self._finish(job)
        except NotYetError as error:
            with self._database.writing() as session:
                postpone(session, job, self._name, error.until)
        except Exception as error:  # noqa: BLE001 - whatever a model or a receiver does, the job must not be lost
            self._give_back(job, error)
        else:
            _log.info("job done", kind=job.kind, job=job.id, duration_ms=round(1000 * (time.perf_counter() - started)))
        return True

    def _finish(self, job: Job) -> None:
        with self._database.writing() as session:
            finish(session, job, self._name, at=_now())

    def _tell(self, session: Session, job: Job) -> None:
        for told in self._told:
            told(session, job, _now())

    def _analyse_film(self, job: Job) -> None:
        with self._database.reading() as session:
            film = session.get_one(FilmRow, job.subject_id)
        result = self._imaging_result(self._blobs.get(film.sha256))
        with self._database.writing() as session:
            if finish(session, job, self._name, at=_now()):
                store_imaging_result(session, film.id, result, at=_now())
                self._tell(session, job)
        with self._database.reading() as session:
            others_wait = is_due(session, FILMS, at=_now())
        if not others_wait:
            with contextlib.suppress(UnreadableImageError):
                shown_film(self._blobs, film.sha256)

    def _imaging_result(self, data: bytes) -> ImagingResult:
        at = _now()
        try:
            return self._models.analyzer.analyze(read_radiograph(data, least_side=ENOUGH), at=at)
        except UnreadableImageError as error:
            return ImagingResult(rejection=Rejection(code=error.code, reason=str(error)), analysed_at=at)

    def _extract_report(self, job: Job) -> None:
        with self._database.reading() as session:
            report = session.get_one(ReportRow, job.subject_id)
        text = self._blobs.get(report.sha256).decode("utf-8", "surrogatepass")
        context = ReportContext(
            age=_age(report), sex=report.sex, ordered_exam=report.exam, reported_on=report.issued_at.date()
        )
        result: StructuredReport = self._models.extractor.extract(text, context, at=_now())
        with self._database.writing() as session:
            if finish(session, job, self._name, at=_now()):
                store_report_result(session, report.id, result, at=_now())
                self._tell(session, job)

    def _give_back(self, job: Job, error: Exception) -> None:
        _log.error("job failed", kind=job.kind, job=job.id, attempt=job.attempt, **place_of(error))
        reason, for_good = type(error).__name__, False
        if isinstance(error, DeliveryError):
            reason, for_good = str(error), error.for_good
        with self._database.writing() as session:
            if fail(session, job, self._name, reason, at=_now(), for_good=for_good):
                _mark_failed(session, job)

    @contextlib.contextmanager
    def _lease_kept(self, job: Job) -> Iterator[None]:
        done = threading.Event()

        def keep() -> None:
            while not done.wait(LEASE.total_seconds() / 3):
                try:
                    with self._database.writing() as session:
                        renew(session, job, self._name, at=_now())
                except SQLAlchemyError as error:
                    _log.warning("lease not renewed", job=job.id, **place_of(error))

        keeper = threading.Thread(target=keep, name="lease", daemon=True)
        keeper.start()
        try:
            yield
        finally:
            done.set()
            keeper.join()


def _mark_failed(session: Session, job: Job) -> None:
    """Make it visible that no result will come."""
    _log.error("job given up", kind=job.kind, job=job.id, attempt=job.attempt)
    if job.kind == "analyse_film":
        session.get_one(FilmRow, job.subject_id).status = "failed"


def _age(report: ReportRow) -> int | None:
    """Return the patient's age in years when the report was issued; None where the dates do not allow one."""
    if report.birth_date is None or report.birth_date > report.issued_at.date():
        return None
    born, day = report.birth_date, report.issued_at.date()
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def _now() -> datetime:
    return datetime.now(UTC)
