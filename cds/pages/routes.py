"""Addresses of the pages: the worklist at /, a case, a film, and the static files they use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates

from cds.audit import note_access
from cds.pages.case import CasePage, CasePages
from cds.pages.words import clock, due, enhancement_words, plain, quantity, score_words, since, value_words
from cds.pages.worklist import worklist
from cds.service import Service
from cds.store.ledger import subject_of
from vision.enhance import ENHANCEMENTS

_FOLDER = Path(__file__).parent
_NO_STORE = {"Cache-Control": "no-store"}


def mount_pages(app: FastAPI, service: Service, access: Callable[[Request], Awaitable[str]]) -> None:
    """Add the pages to an application; every page needs `access`, the static files need none."""
    app.mount("/static", StaticFiles(directory=_FOLDER / "static"), name="static")
    show = _renderer(service)
    cases = CasePages(service.blobs, service.configs.findings(), service.configs.identity())
    names = {key: entry.display for key, entry in service.configs.findings().items()}
    allowed = [Depends(access)]

    @app.get("/", dependencies=allowed, include_in_schema=False)
    def show_worklist(request: Request) -> Response:
        with service.database.reading() as session:
            rows = worklist(session, cases.owner, lambda key: names.get(key, plain(key)))
        return show(request, "worklist.html", rows=rows)

    @app.get("/cases/{case_id}", dependencies=allowed, include_in_schema=False)
    def show_case(request: Request, case_id: str) -> Response:
        with service.database.reading() as session:
            page = cases.of_case(session, case_id)
        return _case_page(show, request, page)

    @app.get("/films/{film_id}", dependencies=allowed, include_in_schema=False)
    def show_film(request: Request, film_id: str) -> Response:
        with service.database.reading() as session:
            page = cases.of_film(session, film_id)
        return _case_page(show, request, page)


def _case_page(show: Callable[..., Response], request: Request, page: CasePage | None) -> Response:
    if page is None:
        return show(request, "missing.html", status_code=404)
    owner = page.case.subject if page.case is not None else subject_of(page.film.row) if page.film is not None else None
    note_access(patient=owner)
    return show(request, "case.html", page=page, enhancements=ENHANCEMENTS)


def _renderer(service: Service) -> Callable[..., Response]:
    templates = Jinja2Templates(directory=_FOLDER / "templates")
    zone = service.settings.zone
    filters: dict[str, Callable[[Any], str]] = {
        "plain": plain,
        "quantity": quantity,
        "clock": lambda moment: clock(moment, zone),
        "value": value_words,
        "score": score_words,
        "enhancement": enhancement_words,
    }
    templates.env.filters |= filters
    templates.env.globals |= {"due": due, "since": since, "zone": service.settings.timezone}

    def show(request: Request, name: str, *, status_code: int = 200, **context: Any) -> Response:
        context["now"] = datetime.now(UTC)
        return templates.TemplateResponse(request, name, context, status_code=status_code, headers=_NO_STORE)

    return show
