"""CDS Hooks over HTTP: discovery, the services, feedback. Thin: reads the body, asks `cds.hooks`, answers JSON.

Every error is an OperationOutcome with path and reason, except a bad token, which gets a bare 401.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request, Response
from pydantic_core import to_json
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from cds.api.problems import RETRY_AFTER
from cds.assessing.assessment import utc_now
from cds.audit import note_access
from cds.fhir import Issue, operation_outcome
from cds.hooks.answering import Answering
from cds.hooks.backend import BackendTokens, client_key
from cds.hooks.errors import HookError, TokenError
from cds.hooks.extension import lean
from cds.hooks.feedback import read_feedback
from cds.hooks.fetching import FhirFetcher
from cds.hooks.services import configured_services
from cds.hooks.tokens import TokenVerifier
from cds.operating.logs import logger, place_of
from cds.service import Service
from cds.site.codes import FindingCodes
from cds.site.silencing import silenced_rules
from cds.store.cards import add_feedback

_log = logger(__name__)
_Work = Callable[[], Awaitable[Any]]


def mount_hooks(app: FastAPI, service: Service) -> None:
    """Add /cds-services to an application."""
    hooks = _Hooks(service)

    @app.get("/cds-services", tags=["CDS Hooks"], response_class=Response)
    async def discover(request: Request) -> Response:
        """List the services: hook, description, id, prefetch templates."""
        return await hooks.run(request, hooks.discover)

    @app.post("/cds-services/{service_id}", tags=["CDS Hooks"], response_class=Response)
    async def call(service_id: str, request: Request) -> Response:
        """Call a service for one hook; the body is a CDS Hooks request."""
        return await hooks.run(request, lambda: hooks.call(service_id, request))

    @app.post("/cds-services/{service_id}/feedback", tags=["CDS Hooks"], response_class=Response)
    async def feedback(service_id: str, request: Request) -> Response:
        """Tell what became of cards; the same feedback may come again."""
        return await hooks.run(request, lambda: hooks.feedback(service_id, request))

    @app.get("/.well-known/jwks.json", tags=["CDS Hooks"])
    def our_keys() -> dict[str, Any]:
        """Return our public keys, as FHIR servers register them for SMART Backend Services."""
        return hooks.client_key.public_set() if hooks.client_key else {"keys": []}


class _Hooks:
    """The parts that the routes share, made when first used."""

    def __init__(self, service: Service) -> None:
        self._service = service
        settings = service.settings
        self._services = configured_services(service.configs.services())
        self._tokens = TokenVerifier(settings.jwt_issuers, settings.base_url, lambda: service.database)
        self.client_key = client_key(settings)

    @cached_property
    def _answering(self) -> Answering:
        service, settings = self._service, self._service.settings
        fetcher = FhirFetcher(
            settings.fhir_hosts,
            private=settings.fhir_private_addresses,
            budget_ms=settings.fhir_budget_ms,
            backend=BackendTokens(settings.fhir_clients, self.client_key) if self.client_key else None,
        )
        return Answering(
            self._services,
            service.assessor,
            fetcher,
            service.database,
            service.blobs,
            service.orders,
            FindingCodes(service.configs.findings()),
            base_url=settings.base_url,
            quiet_hours=settings.override_quiet_hours,
            launches=service.launches.knows,
            silenced=silenced_rules(service.configs),
        )

    async def run(self, request: Request, work: _Work) -> Response:
        """Answer what `work` returns for an authenticated caller, and each error in its form."""
        try:
            issuer = await self._tokens.issuer_of(request.headers.get("authorization"), request.url.path)
            note_access(client=issuer, action="execute")
            return _json(await work(), 200)
        except TokenError as error:
            _log.warning("token refused", code=error.code)
            return Response(status_code=401, headers={"WWW-Authenticate": "Bearer"})
        except HookError as error:
            return _json(operation_outcome(error.issues), error.status)
        except (OperationalError, PoolTimeout) as error:
            _log.error("store in trouble", **place_of(error))
            answer = _json(operation_outcome([Issue("transient", "the store is busy; try again")]), 503)
            answer.headers.update(RETRY_AFTER)
            return answer
        except Exception as error:  # noqa: BLE001
            _log.error("unexpected error", **place_of(error))
            return _json(operation_outcome([Issue("exception", "an unexpected error")]), 500)

    async def discover(self) -> dict[str, Any]:
        return self._answering.discovery()

    async def call(self, service_id: str, request: Request) -> dict[str, Any]:
        answer = await self._answering.answer(service_id, await request.body(), at=utc_now())
        _log.info("hook answered", service=service_id, cards=len(answer["cards"]))
        return answer

    async def feedback(self, service_id: str, request: Request) -> dict[str, Any]:
        service = self._answering.service(service_id)
        items = read_feedback(await request.body())
        new = await anyio.to_thread.run_sync(self._keep, service.id, items)
        _log.info("feedback kept", service=service.id, count=new)
        return {}

    def _keep(self, service_id: str, items: list[Any]) -> int:
        with self._service.database.writing() as session:
            return add_feedback(session, service_id, items, at=utc_now())


def _json(content: Any, status: int) -> Response:
    return Response(to_json(lean(content)), status_code=status, media_type="application/json")
