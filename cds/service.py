"""The parts of one running service, built from its settings in the order of the data: in, store, work, answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from cds.arrival import FilmArrivals, ReportArrivals
from cds.assessing.assessment import Assessor
from cds.audit.trail import AUDIT_FILE, AuditTrail
from cds.dicom.commitment import Commitments
from cds.dicom.fetching import Fetching, Watch
from cds.dicom.nodes import Node, nodes_of
from cds.dicom.returning import Returning
from cds.fhir.smart import SmartLaunches
from cds.jobs.worker import Worker
from cds.models import Models
from cds.operating.logs import logger
from cds.operating.network import calling_tls
from cds.operating.retention import Retention
from cds.operating.vault import Vault, master_key
from cds.outputs.webhooks import Webhooks
from cds.settings import DATABASE_FILE, Settings
from cds.signin.codeflow import CodeFlow
from cds.signin.provider import SignIn
from cds.signin.sessions import BrowserSessions
from cds.site.codes import FindingCodes
from cds.site.configuration import Configs
from cds.site.gates import Gates
from cds.site.orders import OrderTable
from cds.store import BlobFolder, Database
from cds.store.keyring import Keyring
from cds.store.subscriptions import announce
from fusion import RuleSet, compile_rules

_log = logger(__name__)


class Service:
    """Everything a process of the service needs; each part is made when first used."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.configs = Configs(settings.config_dir)
        self.models = Models(settings, self.configs)

    @cached_property
    def data_dir(self) -> Path:
        """The data folder, made for its owner only when it is not there."""
        self.settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.settings.data_dir

    @cached_property
    def keyring(self) -> Keyring:
        """The keys of the data folder."""
        return Keyring(self.data_dir, master_key(self.settings))

    @cached_property
    def _vault(self) -> Vault:
        return Vault(self.data_dir, self.keyring)

    @cached_property
    def audit(self) -> AuditTrail:
        """Who touched whose data; `record` returns when an entry is on disk."""
        file = (self.data_dir / AUDIT_FILE).resolve()
        return AuditTrail(Database(f"sqlite:///{file}", self._vault.database_key(file)), self.keyring.key)

    @cached_property
    def database(self) -> Database:
        key = None if self.settings.database_url else self._vault.database_key(self.data_dir / DATABASE_FILE)
        return Database(self.settings.url, key)

    @cached_property
    def blobs(self) -> BlobFolder:
        return BlobFolder(self.data_dir / "blobs", self._vault.blob_cipher())

    @cached_property
    def film_arrivals(self) -> FilmArrivals:
        return FilmArrivals(self.database, self.blobs, self.configs.identity(), self.settings.zone)

    @cached_property
    def report_arrivals(self) -> ReportArrivals:
        return ReportArrivals(self.database, self.blobs, self.configs.identity(), self.orders)

    @cached_property
    def rules(self) -> RuleSet:
        return compile_rules(
            self.configs.texts("rules"), orderables=self.orders.orderables, findings=self.configs.findings()
        )

    @cached_property
    def orders(self) -> OrderTable:
        return OrderTable.from_csv(self.configs.packaged_text("orders.csv"), self.configs.site_text("orders.csv"))

    @cached_property
    def assessor(self) -> Assessor:
        return Assessor(
            self.database,
            self.models,
            self.rules,
            self.orders,
            self.configs.identity(),
            self.settings.base_url,
            self.gates,
        )

    @cached_property
    def gates(self) -> Gates:
        return Gates(self.settings.finding_gates)

    def close(self) -> None:
        """Close what holds the data folder; for whoever opens more than one in a process."""
        for made in ("database", "_vault"):
            if made in self.__dict__:
                self.__dict__[made].close()
        if "audit" in self.__dict__:
            self.audit.database.close()

    def warm_up(self) -> None:
        """Load what the first request would otherwise wait for; says in the log which models are refused."""
        _ = self.assessor, self.models.risks, self.models.extractor
        for row in self.models.status():
            if row["state"] == "refused":
                _log.error("model refused", model=row["id"], reason=row["reason"])
        for row in self.models.cut_offs():
            if row["state"] == "refused":
                _log.error("threshold refused", finding=row["finding"], model=row["model"], reason=row["reason"])

    @cached_property
    def sessions(self) -> BrowserSessions:
        """The browsers that were let in."""
        return BrowserSessions(self.database, timedelta(minutes=self.settings.session_idle_minutes))

    @cached_property
    def launches(self) -> SmartLaunches:
        return SmartLaunches(self.database, self.settings, self.sessions, CodeFlow(self.database))

    @cached_property
    def signin(self) -> SignIn:
        return SignIn(self.database, self.settings, self.sessions, CodeFlow(self.database))

    @cached_property
    def webhooks(self) -> Webhooks:
        return Webhooks(self.database, self.settings)

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """The archives and modalities of the site."""
        return nodes_of(self.configs.pacs(), self.settings.pacs_keys, calling_tls(self.settings))

    @cached_property
    def returning(self) -> Returning:
        return Returning(
            self.database,
            self.blobs,
            FindingCodes(self.configs.findings()),
            self.gates,
            self.nodes,
            self.settings.dicom_ae_title,
            timedelta(seconds=self.settings.dicom_quiet_s),
            self.audit,
        )

    @cached_property
    def fetching(self) -> Fetching:
        return Fetching(
            self.database,
            self.film_arrivals,
            self.configs.identity(),
            self.nodes,
            self.settings.dicom_ae_title,
            self.settings.zone,
        )

    @cached_property
    def commitments(self) -> Commitments:
        return Commitments(self.database, self.blobs, self.nodes, self.settings.dicom_ae_title)

    def worker(self) -> Worker:
        every = timedelta(seconds=self.settings.dicom_poll_s)
        return Worker(
            self.database,
            self.blobs,
            self.models,
            deliveries={"notify": self.webhooks.deliver, "send_object": self.returning.send},
            exchanges={
                "make_objects": self.returning.make,
                "withdraw_objects": self.returning.withdraw_all,
                "fetch_priors": self.fetching.fetch_priors,
            },
            watches=[Watch(self.fetching, node, every).step for node in self.nodes if node.watch],
            told=[announce, self.returning.analysed, self.fetching.arrived],
            daily=self._do_daily,
        )

    @cached_property
    def retention(self) -> Retention:
        """Removes what the settings do not keep."""
        days = dict(self.settings.retention_days)
        return Retention(self.database, self.blobs, self.audit, days, self.configs.identity())

    def _do_daily(self) -> None:
        """Remove what is too old, and write the head of the audit trail apart from it, into the log."""
        removed = self.retention.purge(at=datetime.now(UTC), by="worker", dry_run=False)
        _log.info("purged", count=removed.films + removed.reports + removed.cases + removed.cards)
        verification = self.audit.verify()
        if verification.problems:
            _log.error("audit trail is not whole", count=len(verification.problems))
        _log.info("audit trail", head=verification.head, count=verification.entries)

    def health(self) -> dict[str, Any]:
        """Return what is up and what is degraded, each model and each threshold of the site by name."""
        models, thresholds = self.models.status(), self.models.cut_offs()
        degraded = [row["id"] for row in models if row["state"] == "refused"]
        degraded += [f"threshold of {row['finding']}" for row in thresholds if row["state"] == "refused"]
        database = self._database_state()
        return {
            "status": "fail" if database != "current" else "degraded" if degraded else "pass",
            "database": database,
            "degraded": degraded,
            "models": models,
            "thresholds": thresholds,
        }

    def _database_state(self) -> str:
        try:
            return "current" if self.database.is_current() else "needs `cds migrate`"
        except SQLAlchemyError:
            return "cannot be opened"
