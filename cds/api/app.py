"""Builds the application: limits, hooks, REST, pages, health and metrics, in one place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio.to_thread
from fastapi import Depends, FastAPI, Response
from fastapi.middleware.cors import CORSMiddleware

from cds import __version__
from cds.api.access import ClientAccess, signature_of, wants_page
from cds.api.audit import audit_router
from cds.api.description import describe
from cds.api.dicomweb import dicomweb_router
from cds.api.feedback import feedback_router
from cds.api.fhir import fhir_router
from cds.api.headers import SecureHeadersMiddleware
from cds.api.hooks import mount_hooks
from cds.api.identity import identity_router
from cds.api.metrics import counted_in, mount_metrics
from cds.api.problems import install_problem_handlers
from cds.api.rates import RateLimitMiddleware
from cds.api.reading import reading_router
from cds.api.repeating import repeatable_route
from cds.api.smart import SmartAccess, smart_router
from cds.api.subscriptions import subscriptions_router
from cds.api.v1 import v1_router
from cds.api.verdicts import verdicts_router
from cds.audit import AuditMiddleware
from cds.hooks.limits import BodyLimitMiddleware
from cds.operating.heap import settle
from cds.pages import mount_pages
from cds.service import Service


def create_app(service: Service) -> FastAPI:
    """Return the application of one service."""
    app = FastAPI(
        title="Roentgen CDS",
        version=__version__,
        description="Decision support from radiographs, reports and FHIR records. It suggests; it never orders.",
        lifespan=_lifespan(service),
    )
    install_problem_handlers(app)
    access = SmartAccess(service, ClientAccess(service.settings, service.sessions))
    repeatable = repeatable_route(service, access)
    mount_hooks(app, service)  # first: routes are tried in order, and an EHR waits for this one
    app.include_router(v1_router(service, repeatable), dependencies=[Depends(access)])
    app.include_router(verdicts_router(service, repeatable), dependencies=[Depends(access)])
    app.include_router(subscriptions_router(service, repeatable), dependencies=[Depends(access)])
    app.include_router(feedback_router(service, repeatable), dependencies=[Depends(access)])
    app.include_router(identity_router(service, repeatable), dependencies=[Depends(access)])
    app.include_router(reading_router(service), dependencies=[Depends(access)])
    app.include_router(dicomweb_router(service), dependencies=[Depends(access)])
    app.include_router(fhir_router(service, access))
    app.include_router(audit_router(service), dependencies=[Depends(access)])
    app.include_router(smart_router(service))
    mount_pages(app, service, access, signature_of, wants_page)
    _add_health(app, service)
    mount_metrics(app, service)
    describe(app)
    app.add_middleware(SecureHeadersMiddleware, settings=service.settings)
    app.add_middleware(AuditMiddleware, trail=service.audit)
    app.add_middleware(BodyLimitMiddleware, max_bytes=service.settings.max_body_mb * 1024 * 1024)
    app.add_middleware(
        RateLimitMiddleware,
        rate=service.settings.requests_per_second,
        burst=service.settings.requests_burst,
        folder=counted_in(),
    )
    if service.settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(service.settings.cors_origins),
            allow_methods=["GET", "POST", "OPTIONS"],
            allow_headers=["authorization", "content-type"],
        )
    return app


def _lifespan(service: Service) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def run(_: FastAPI) -> AsyncIterator[None]:
        await anyio.to_thread.run_sync(service.warm_up)
        settle()
        yield

    return run


def _add_health(app: FastAPI, service: Service) -> None:
    @app.get("/health/live", tags=["health"])
    def live() -> dict[str, str]:
        """Answer as long as the process runs."""
        return {"status": "pass"}

    @app.get("/health/ready", tags=["health"])
    def ready(response: Response) -> dict[str, object]:
        """Answer whether requests can be served, and which models are not."""
        health = service.health()
        if health["status"] == "fail":
            response.status_code = 503
        return health
