"""One call of one service, from its body to its cards: the order of the data, in one place."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import anyio
import anyio.to_thread
from sqlalchemy.exc import OperationalError

from cds.assessing.assessment import AssessedPatient, Assessor
from cds.audit import note_access
from cds.fhir import Issue, RequestFrame
from cds.hooks.cards import Advice, CardMaker
from cds.hooks.choosing import Chosen, advice_of, choose
from cds.hooks.envelope import HookCall, read_call
from cds.hooks.errors import MissingDataError, UnknownServiceError, UnprocessableRecordError
from cds.hooks.extension import extension_of
from cds.hooks.fetching import FhirFetcher
from cds.hooks.prefetch import Record, gather, role_codes
from cds.hooks.quotes import ReportWords
from cds.hooks.services import HookService, RoleSettings, discovery
from cds.operating.logs import logger, place_of
from cds.site.codes import FindingCodes
from cds.site.orders import OrderTable
from cds.site.silencing import SilencedRules
from cds.store import BlobFolder, Database
from cds.store.cards import ShownCard, add_cards, overridden_since, shown_keys
from fusion import FusionError, NoPatientError

_SAME_DAY = timedelta(hours=24)
_PATIENCE_MS = 200
_AT_ONCE = 4
"""Answers that a process works on at the same time: more of them would only make each other wait."""
_log = logger(__name__)


class Answering:
    """Answers calls of the services in force.

    quiet_hours  how long a card is not repeated after an override
    launches     whether the EHR of a FHIR server can launch the case page by SMART
    silenced     rules that the site has silenced
    """

    def __init__(
        self,
        services: Mapping[str, HookService],
        assessor: Assessor,
        fetcher: FhirFetcher,
        database: Database,
        blobs: BlobFolder,
        orders: OrderTable,
        codes: FindingCodes,
        *,
        base_url: str,
        quiet_hours: int,
        launches: Callable[[str | None], bool] = lambda _: False,
        silenced: SilencedRules | None = None,
    ) -> None:
        self._services = services
        self._assessor = assessor
        self._fetcher = fetcher
        self._database = database
        self._words = ReportWords(blobs)
        self._orders = orders
        self._codes = codes
        self._base_url = base_url
        self._quiet = timedelta(hours=quiet_hours)
        self._launches = launches
        self._silenced = silenced
        self._at_once = anyio.CapacityLimiter(_AT_ONCE)

    def discovery(self) -> dict[str, Any]:
        """Return the services in force."""
        return discovery(self._services.values())

    def service(self, service_id: str) -> HookService:
        """Return a service; raises UnknownServiceError."""
        service = self._services.get(service_id)
        if service is None:
            raise UnknownServiceError(Issue("not-found", "no service has this id; see /cds-services"))
        return service

    async def answer(self, service_id: str, body: bytes, *, at: datetime) -> dict[str, Any]:
        """Return the response to a call: its cards, and in `extension` what the answer rests on and does without.

        Raises HookError.
        """
        service = self.service(service_id)
        call = read_call(body, service.hooks)
        note_access(user=call.context.user_id)
        record = await gather(call, service, self._fetcher)
        return await anyio.to_thread.run_sync(self._answer, service, call, record, at, limiter=self._at_once)

    def _answer(self, service: HookService, call: HookCall, record: Record, at: datetime) -> dict[str, Any]:
        role = service.settings.role_of(call.context.user_type, role_codes(record, call.context.user_id))
        try:
            assessed = self._assessor.assess_now(
                record.resources,
                server=call.server,
                patient_id=call.context.patient_id,
                drafts=call.context.drafts,
                selections=call.context.selected,
                at=at,
                service=service.id,
                searched=record.searched,
            )
        except NoPatientError as error:
            raise MissingDataError(Issue("not-found", str(error), "prefetch.patient")) from None
        except FusionError as error:
            raise UnprocessableRecordError(Issue("processing", str(error), "prefetch")) from None
        chosen, cards = self._cards(service, call, assessed, role, at)
        return {
            "cards": [] if service.settings.silent else cards,
            "extension": extension_of(record, assessed, chosen),
        }

    def _cards(
        self, service: HookService, call: HookCall, assessed: AssessedPatient, role: RoleSettings | None, at: datetime
    ) -> tuple[Chosen, list[dict[str, Any]]]:
        """Return the cards that are to be shown, kept in the store before they leave."""
        context = call.context
        with self._database.reading() as session:
            worded = self._words.put_into(assessed, session)
            advice = advice_of(service, call.request.hook, worded, self._orders, self._codes)
            if not advice:
                return Chosen((), 0, 0), []
            overridden = overridden_since(session, assessed.subject, at - self._quiet)
            said_once = any(not item.again for item in advice)
            shown = (
                shown_keys(session, assessed.subject, encounter=context.encounter_id, since=at - _SAME_DAY)
                if said_once
                else ()
            )
        chosen = choose(advice, service, overridden=overridden, shown=shown, role=role, silenced=self._silenced)
        launches = self._launches(call.server)
        maker = CardMaker(self._orders, self._codes, _frame(call, at), self._base_url, assessed.case_url, launches)
        cards = [maker.card(item) for item in chosen.advice]
        name = role.id if role is not None else call.context.user_type
        shown_card = _shown(service, call, assessed, name)
        hushed = [shown_card(item, {"uuid": str(uuid.uuid4())}, silent=True) for item in chosen.silenced]
        self._keep([*map(shown_card, chosen.advice, cards), *hushed], at)
        return chosen, cards

    def _keep(self, cards: Iterable[ShownCard], at: datetime) -> None:
        kept = list(cards)
        if not kept:
            return
        try:
            with self._database.writing(patience_ms=_PATIENCE_MS) as session:
                add_cards(session, kept, at=at)
        except OperationalError as error:
            _log.warning("cards not kept", count=len(kept), **place_of(error))


def _frame(call: HookCall, at: datetime) -> RequestFrame:
    return RequestFrame(
        patient_id=call.context.patient_id,
        intent="order" if call.request.hook.startswith("order-") else "proposal",
        at=at,
        encounter_id=call.context.encounter_id,
        requester=call.context.user_id,
    )


def _shown(service: HookService, call: HookCall, assessed: AssessedPatient, role: str) -> Any:
    def keep(advice: Advice, card: Mapping[str, Any], *, silent: bool = service.settings.silent) -> ShownCard:
        return ShownCard(
            uuid=card["uuid"],
            service=service.id,
            hook=call.request.hook,
            hook_instance=str(call.request.hook_instance),
            subject=assessed.subject,
            encounter=call.context.encounter_id,
            key=advice.key,
            rule_id=advice.rule_id,
            rule_version=advice.rule_version,
            models=dict(advice.models),
            indicator=advice.indicator,
            silent=silent,
            role=role,
        )

    return keep
