"""Requests counted and timed by route and status, for /metrics; never by the path itself, which may name a patient."""

from __future__ import annotations

import os
import time
from pathlib import Path

from fastapi import FastAPI, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cds.api.reading_metrics import ReadingMetrics
from cds.service import Service

_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.08, 0.1, 0.25, 0.5, 1, 2.5)


class RequestMetricsMiddleware:
    """Counts and times requests by the template of their route."""

    def __init__(self, app: ASGIApp, *, registry: CollectorRegistry) -> None:
        self._app = app
        self._requests = Counter("cds_requests", "Requests by route and status", ["route", "status"], registry=registry)
        self._seconds = Histogram(
            "cds_request_seconds", "Time to answer", ["route"], buckets=_SECONDS, registry=registry
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        status = 500

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self._requests.labels(route, str(status)).inc()
            self._seconds.labels(route).observe(time.perf_counter() - started)


def counted_in() -> Path | None:
    """Return the folder in which processes that share a port count together; None where there is one process."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else None


def mount_metrics(app: FastAPI, service: Service) -> None:
    """Add /metrics, and count what is asked from here on."""
    counted = CollectorRegistry()
    app.add_middleware(RequestMetricsMiddleware, registry=counted)
    told = counted
    if counted_in() is not None:
        told = CollectorRegistry()
        MultiProcessCollector(told)  # type: ignore[no-untyped-call]
    told.register(ReadingMetrics(lambda: service.database))

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(told), media_type="text/plain; version=0.0.4")
