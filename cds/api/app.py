"""Builds the application: limits, hooks, REST, pages, health and metrics, in one place."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio.to_thread
from fastapi import Depends, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from cds import __version__
from cds.api.access import ClientAccess, client_of
from cds.api.audit import audit_router
from cds.api.dicomweb import dicomweb_router
from cds.api.feedback import feedback_router
from cds.api.fhir import fhir_router
from cds.api.hooks import mount_hooks
from cds.api.identity import identity_router
from cds.api.problems import install_problem_handlers
from cds.api.rates import RateLimitMiddleware
from cds.api.reading import reading_router
from cds.api.reading_metrics import ReadingMetrics
from cds.api.repeating import repeatable_route
from cds.api.smart import SmartAccess, smart_router
from cds.api.subscriptions import subscriptions_router
from cds.api.v1 import v1_router
from cds.api.verdicts import verdicts_router
from cds.audit import AuditMiddleware
from cds.hooks.limits import BodyLimitMiddleware
from cds.pages import mount_pages
from cds.service import Service

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.08, 0.1, 0.25, 0.5, 1, 2.5)


def create_app(service: Service) -> FastAPI:
    """Return the application of one service."""
    app = FastAPI(
        title="Roentgen CDS",
        version=__version__,
        description="Decision support from radiographs, reports and FHIR records. It suggests; it never orders.",
        lifespan=_lifespan(service),
    )
    install_problem_handlers(app)
    access = SmartAccess(service, ClientAccess(service.settings))
    repeatable = repeatable_route(service, access)
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
    mount_hooks(app, service)
    mount_pages(app, service, access, client_of)
    _add_health(app, service)
    _add_metrics(app, service)
    app.middleware("http")(_secure_headers(service))
    app.add_middleware(AuditMiddleware, trail=service.audit)
    app.add_middleware(BodyLimitMiddleware, max_bytes=service.settings.max_body_mb * 1024 * 1024)
    app.add_middleware(
        RateLimitMiddleware, rate=service.settings.requests_per_second, burst=service.settings.requests_burst
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


def _add_metrics(app: FastAPI, service: Service) -> None:
    registry = CollectorRegistry()
    registry.register(ReadingMetrics(lambda: service.database))
    requests = Counter("cds_requests", "Requests by route and status", ["route", "status"], registry=registry)
    seconds = Histogram("cds_request_seconds", "Time to answer", ["route"], buckets=_SECONDS, registry=registry)

    @app.middleware("http")
    async def count(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        started = time.perf_counter()
        status = 500
        try:
            response = await proceed(request)
            status = response.status_code
        finally:
            route = getattr(request.scope.get("route"), "path", "unmatched")
            requests.labels(route, str(status)).inc()
            seconds.labels(route).observe(time.perf_counter() - started)
        return response

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type="text/plain; version=0.0.4")


def _secure_headers(service: Service) -> Callable[..., Awaitable[Response]]:
    ancestors = " ".join(service.settings.frame_ancestors) or "'none'"
    policy = (
        f"default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; object-src 'none'; "
        f"base-uri 'none'; form-action 'self'; frame-ancestors {ancestors}"
    )

    secure = service.settings.base_url.startswith("https://")

    async def add(request: Request, proceed: Callable[[Request], Awaitable[Response]]) -> Response:
        response = await proceed(request)
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["Permissions-Policy"] = "camera=(), microphone=(), geolocation=()"
        response.headers.setdefault("Cache-Control", "no-store")
        if secure:
            response.headers["Strict-Transport-Security"] = "max-age=31536000"
        if not request.url.path.startswith(("/docs", "/redoc")):
            response.headers["Content-Security-Policy"] = policy
        return response

    return add
