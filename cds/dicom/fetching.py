"""Films that are fetched: new ones of an archive that is watched, and earlier ones of a patient whose film arrived.

Both enter by `cds.arrival.films`. Where the look through an archive was interrupted it goes on: a study is marked as
fetched only when its films are stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from cds.arrival import FilmArrivals
from cds.dicom.nodes import Node
from cds.dicom.peers import Peer, Study
from cds.errors import DeliveryError, NotADicomFilmError
from cds.jobs.queue import Job, enqueue
from cds.operating.logs import logger
from cds.site.configuration import IdentityTable
from cds.store import Database
from cds.store.films import PRIOR
from cds.store.pacs_tables import WatchedStudyRow
from cds.store.tables import FilmRow

_log = logger(__name__)


@dataclass(frozen=True)
class Fetching:
    """Watches archives and fetches priors.

    zone  of the dates in archives
    """

    database: Database
    films: FilmArrivals
    identity: IdentityTable
    nodes: Sequence[Node]
    our_title: str
    zone: ZoneInfo

    def look_through(self, node: Node) -> int:
        """Fetch what is new in one archive since it was last looked through; returns how many films.

        Each look lists all studies of the last `watch_days` before the newest study seen, so that one which is added
        later under an older date is found. A study that has become another patient's, or got another accession number
        or date, is fetched whole: its films are corrected under the UIDs they had. One that the archive refuses is
        asked for again at the next look. Raises DeliveryError when the archive cannot be reached.
        """
        peer = Peer(node, self.our_title)
        seen = self._seen(node)
        count = 0
        for study in {study.uid: study for study in peer.studies_since(self._since(node))}.values():
            instances, said = seen.get(study.uid, (None, study.said))
            if said == study.said and instances is not None and instances == study.instances:
                continue
            try:
                count += self._fetch(peer, study, corrected=said != study.said)
            except DeliveryError as error:
                if not error.answered:
                    raise
                _log.warning("study not fetched", host=node.id, reason=str(error))
        return count

    def fetch_again(self, node: Node, study_uid: str) -> int:
        """Fetch all films of a study, those that are here too; returns how many are new or corrected.

        Raises DeliveryError.
        """
        with self.database.reading() as session:
            sources = set(session.scalars(select(FilmRow.source).where(FilmRow.study_instance_uid == study_uid)))
        source = PRIOR if sources == {PRIOR} else "pacs"
        return self._receive(Peer(node, self.our_title), study_uid, frozenset(), source=source)

    def arrived(self, session: Session, job: Job, at: datetime) -> None:
        """Queue the search for earlier films, in the transaction that stores a film's result."""
        if job.kind != "analyse_film" or session.get_one(FilmRow, job.subject_id).source == PRIOR:
            return
        for node in self.nodes:
            if node.priors:
                enqueue(session, "fetch_priors", job.subject_id, destination=node.id, at=at)

    def fetch_priors(self, job: Job) -> None:
        """Fetch the latest earlier studies of a film's patient from one archive. Raises DeliveryError."""
        node = next((node for node in self.nodes if node.id == job.destination and node.priors), None)
        with self.database.reading() as session:
            film = session.get_one(FilmRow, job.subject_id)
        if node is None or not film.identifier_value:
            return
        peer, taken_on = Peer(node, self.our_title), film.taken_at or film.received_at
        day = taken_on.astimezone(self.zone).strftime("%Y%m%d")
        studies = [
            study
            for study in peer.studies_of(film.identifier_value, self._dicom_issuer(film))
            if study.date <= day and study.uid != film.study_instance_uid
        ]
        for study in studies[: node.priors]:
            if node.dicomweb is not None:
                self._receive(peer, study.uid, self._known(study.uid), source=PRIOR)
            elif not self._known(study.uid):
                peer.move(study.uid)

    def _fetch(self, peer: Peer, study: Study, *, corrected: bool) -> int:
        """Fetch what is new in a study, or all of one that was corrected, then mark it as fetched."""
        if corrected:
            count = self.fetch_again(peer.node, study.uid)
        else:
            count = self._receive(peer, study.uid, self._known(study.uid), source="pacs")
        with self.database.writing() as session:
            session.merge(
                WatchedStudyRow(
                    node=peer.node.id,
                    study_instance_uid=study.uid,
                    study_date=study.date,
                    instances=study.instances,
                    said=study.said,
                    fetched_at=datetime.now(UTC),
                )
            )
        return count

    def _receive(self, peer: Peer, study_uid: str, known: frozenset[str], *, source: str) -> int:
        """Store the films of a study that are not known; returns how many were not here like that."""
        count = 0
        for data in peer.films_in(study_uid, known):
            try:
                receipt = self.films.receive(
                    data, source=source, calling_ae=peer.node.ae_title, study=study_uid, at=datetime.now(UTC)
                )
                count += receipt.new
            except NotADicomFilmError as error:
                _log.warning("film refused", code=error.code)
        return count

    def _known(self, study_uid: str) -> frozenset[str]:
        with self.database.reading() as session:
            query = select(FilmRow.sop_instance_uid).where(FilmRow.study_instance_uid == study_uid)
            return frozenset(session.scalars(query))

    def _since(self, node: Node) -> str:
        """Return the date to look from."""
        with self.database.reading() as session:
            newest = session.scalar(select(func.max(WatchedStudyRow.study_date)).where(WatchedStudyRow.node == node.id))
        today = datetime.now(self.zone)
        try:
            last = min(datetime.strptime(newest or "", "%Y%m%d").replace(tzinfo=self.zone), today)
        except ValueError:
            last = today
        return (last - timedelta(days=node.watch_days)).strftime("%Y%m%d")

    def _seen(self, node: Node) -> dict[str, tuple[int | None, int]]:
        """Return how many instances each study had when it was fetched, and what the archive said of it."""
        rows = select(WatchedStudyRow).where(
            WatchedStudyRow.node == node.id, WatchedStudyRow.study_date >= self._since(node)
        )
        with self.database.reading() as session:
            return {row.study_instance_uid: (row.instances, row.said) for row in session.scalars(rows)}

    def _dicom_issuer(self, film: FilmRow) -> str | None:
        issuer = self.identity.for_system(film.identifier_system)
        return issuer.dicom_issuer if issuer is not None else None


class Watch:
    """Looks through one archive every so often, for the loop of a worker."""

    def __init__(self, fetching: Fetching, node: Node, every: timedelta) -> None:
        self._fetching, self._node, self._every = fetching, node, every
        self._next = datetime.now(UTC)

    def step(self) -> bool:
        """Look, if it is time; returns whether anything came."""
        if datetime.now(UTC) < self._next:
            return False
        self._next = datetime.now(UTC) + self._every
        try:
            count = self._fetching.look_through(self._node)
        except DeliveryError as error:
            _log.warning("archive not looked through", host=self._node.id, reason=str(error))
            return False
        if count:
            _log.info("films fetched", host=self._node.id, count=count)
        return count > 0
