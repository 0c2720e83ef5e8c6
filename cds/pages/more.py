"""Addresses beside the worklist: monitoring for the engineer, a question for a remote reader, and the tour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response

from cds.deidentify.burned_in import TextFinder, without_text
from cds.errors import NotFoundError
from cds.jobs.pictures import FIRST_SIDE
from cds.oversight.monitoring import agreements, drifts, turnarounds
from cds.pages.opinion import RemoteCase, remote_case
from cds.pages.tour import Tour
from cds.service import Service
from cds.store.films import film_by_id
from cds.store.opinions import opinion_by_id
from cds.store.tables import FilmRow
from cds.store.watching import judged_since, passages_since, scored_since
from vision import UnreadableImageError, read_radiograph, render_png
from vision.enhance import ENHANCEMENTS

_DAY = timedelta(days=1)
_OVER, _LATEST = 90 * _DAY, 7 * _DAY
_STAGES = {"result": "the film's result", "opened": "first opened", "verdict": "first verdict", "read": "done"}
_PRIVATE = {"Cache-Control": "private, max-age=3600"}
_PNG = "image/png"
_Show = Callable[..., Response]


def add_monitoring(app: FastAPI, service: Service, show: _Show, names: dict[str, str], allowed: list[Any]) -> None:
    """Add the page of agreement, drift and turnaround."""

    @app.get("/monitoring", dependencies=allowed, include_in_schema=False)
    def show_monitoring(request: Request) -> Response:
        now = datetime.now(UTC)
        with service.database.reading() as session:
            return show(
                request,
                "monitoring.html",
                turnaround=turnarounds(passages_since(session, now - _OVER)),
                agreement=agreements(judged_since(session, now - _OVER)),
                drift=drifts(scored_since(session, now - _OVER), latest_from=now - _LATEST),
                gates=service.settings.finding_gates,
                stages=_STAGES,
                names=names,
            )


def add_opinions(app: FastAPI, service: Service, show: _Show, allowed: list[Any]) -> None:
    """Add the page of a second opinion; it holds nothing of the film but its pixels, with the texts in them blanked."""

    @cache
    def finder() -> TextFinder:
        return TextFinder(service.settings.inference_threads)

    def opened(opinion_id: str) -> tuple[RemoteCase, FilmRow]:
        with service.database.reading() as session:
            opinion = opinion_by_id(session, opinion_id)
            film = film_by_id(session, opinion.film_id) if opinion is not None else None
        if opinion is None or film is None:
            raise NotFoundError("no such question")
        try:
            radiograph = read_radiograph(service.blobs.get(film.row.sha256))
        except UnreadableImageError:
            raise HTTPException(422, "the film cannot be shown") from None
        return remote_case(opinion, film, radiograph), film.row

    @app.get("/opinions/{opinion_id}", dependencies=allowed, include_in_schema=False)
    def show_opinion(request: Request, opinion_id: str) -> Response:
        try:
            case, _ = opened(opinion_id)
        except NotFoundError:
            return show(request, "missing.html", status_code=404)
        return show(request, "opinion.html", case=case, enhancements=ENHANCEMENTS)

    @app.get("/opinions/{opinion_id}/film.png", dependencies=allowed, include_in_schema=False)
    def opinion_picture(
        opinion_id: str, enhancement: Annotated[str | None, Query(pattern="^[a-z_]+$", max_length=32)] = None
    ) -> Response:
        case, film = opened(opinion_id)
        if case.burned_in == "yes":
            raise HTTPException(403, "text is burned into the picture")
        if enhancement is not None and enhancement not in ENHANCEMENTS:
            raise HTTPException(422, "unknown enhancement")

        def drawn(data: bytes) -> bytes:
            shown = without_text(read_radiograph(data), finder(), FIRST_SIDE)
            return render_png(shown, FIRST_SIDE, enhancement)

        kind = f"remote-{enhancement or 'film'}.png"
        return Response(service.blobs.derived(film.sha256, kind, drawn), media_type=_PNG, headers=_PRIVATE)


def add_tour(app: FastAPI, service: Service, show: _Show, names: dict[str, str], allowed: list[Any]) -> None:
    """Add the guided tour."""
    tour = Tour(lambda: service.models.analyzer)

    def cards() -> list[dict[str, Any]]:
        found = [service.models.card(str(row["id"])) for row in service.models.status() if row["state"] == "served"]
        return [card for card in found if card is not None and card.get("limits")]

    @app.get("/tour", dependencies=allowed, include_in_schema=False)
    def show_tour(request: Request) -> Response:
        return show(request, "tour.html", cases=tour.cases(datetime.now(UTC)), cards=cards(), names=names)

    @app.get("/tour/{case_id}.png", dependencies=allowed, include_in_schema=False)
    def tour_picture(case_id: str) -> Response:
        case = tour.case(case_id, datetime.now(UTC))
        if case is None or case.picture is None:
            raise NotFoundError("no such picture")
        return Response(case.picture, media_type=_PNG, headers=_PRIVATE)

    @app.get("/tour/{case_id}/{finding}.png", dependencies=allowed, include_in_schema=False)
    def tour_heatmap(case_id: str, finding: str) -> Response:
        case = tour.case(case_id, datetime.now(UTC))
        if case is None or finding not in case.overlay:
            raise NotFoundError("no such heatmap")
        return Response(case.overlay[finding], media_type=_PNG, headers=_PRIVATE)
