"""Addresses of the pages: worklist and queues, a case, a film, a report, and the static files they use."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.staticfiles import StaticFiles
from fastapi.templating import Jinja2Templates
from sqlalchemy.exc import OperationalError

from cds.audit import note_access
from cds.operating.logs import logger, place_of
from cds.oversight.triage import LEVELS
from cds.pages.case import CasePage, CasePages
from cds.pages.more import add_monitoring, add_opinions, add_tour
from cds.pages.signin import PageAccess, add_signin
from cds.pages.words import (
    clock,
    due,
    duration,
    enhancement_words,
    plain,
    quantity,
    score_words,
    signer,
    since,
    value_words,
)
from cds.pages.worklist import VIEWS, Row, Worklist
from cds.service import Service
from cds.store.ledger import subject_of
from cds.store.reading import note_opened
from vision.enhance import ENHANCEMENTS

_FOLDER = Path(__file__).parent
_NO_STORE = {"Cache-Control": "no-store"}
_PATIENCE_MS = 250
_Show = Callable[..., Response]
_log = logger(__name__)


def mount_pages(
    app: FastAPI,
    service: Service,
    access: Callable[[Request], Awaitable[str]],
    signature_of: Callable[[Request], str],
    wants_page: Callable[[Request], bool],
) -> None:
    """Add the pages to an application; every page needs `access`, the static files need none.

    signature_of  who a request that was let in is from, as it stands under what they say
    wants_page    whether a request is a person's, who is to be told what is wrong on a page
    """
    app.mount("/static", StaticFiles(directory=_FOLDER / "static"), name="static")
    show = _renderer(service)
    configs = service.configs
    cases = CasePages(service.blobs, configs.findings(), configs.identity(), service.gates)
    names = {key: entry.display for key, entry in configs.findings().items()}
    worklist = Worklist(
        configs.triage(),
        service.gates,
        cases.owner,
        cases.subject,
        lambda key: names.get(key, plain(key)),
        service.settings.zone,
    )
    person = PageAccess(service, access, wants_page)
    _add_worklist(app, service, worklist, show, [Depends(person)])
    _add_cases(app, service, cases, worklist, show, signature_of, [Depends(person)])
    add_monitoring(app, service, show, names, [Depends(person)])
    add_opinions(app, service, show, [Depends(person)])
    add_tour(app, service, show, names, [Depends(person)])
    add_signin(app, service, show, person)


def _add_worklist(app: FastAPI, service: Service, worklist: Worklist, show: _Show, allowed: list[Any]) -> None:
    def views() -> dict[str, list[Row]]:
        with service.database.reading() as session:
            return worklist.views(session, datetime.now(UTC))

    @app.get("/", dependencies=allowed, include_in_schema=False)
    def show_worklist(request: Request, view: str = "open") -> Response:
        if view not in VIEWS:
            return show(request, "missing.html", status_code=404)
        with service.database.reading() as session:
            found = worklist.views(session, datetime.now(UTC))
            left_out = worklist.left_out(session, found)
        response = show(request, "worklist.html", views=found, view=view, left_out=left_out)
        response.headers["ETag"] = _etag(response)
        if request.headers.get("if-none-match") == response.headers["ETag"]:
            return Response(status_code=304, headers=_NO_STORE)
        return response

    @app.get("/next", dependencies=allowed, include_in_schema=False)
    def show_next(after: str = "") -> Response:
        """Lead to the first open film that is not the one just left."""
        waiting = [row.address for row in views()["open"] if row.address != after]
        return RedirectResponse(waiting[0] if waiting else "/", status_code=303, headers=_NO_STORE)

    @app.get("/api/v1/worklist", dependencies=allowed, tags=["reading"])
    def list_worklist(view: str = Query("open", description=f"One of {', '.join(VIEWS)}.")) -> list[Row]:
        """Return the rows of one view of the worklist, the first to be read first."""
        if view not in VIEWS:
            raise HTTPException(422, f"the view is one of {', '.join(VIEWS)}")
        return views()[view]


def _add_cases(
    app: FastAPI,
    service: Service,
    cases: CasePages,
    worklist: Worklist,
    show: _Show,
    signature_of: Callable[[Request], str],
    allowed: list[Any],
) -> None:
    def shown(request: Request, page: CasePage | None) -> Response:
        if page is None:
            return show(request, "missing.html", status_code=404)
        row = page.film.row if page.film is not None else page.report.row if page.report is not None else None
        note_access(
            patient=page.case.subject if page.case is not None else subject_of(row) if row is not None else None
        )
        standing = None
        if page.film is not None:
            _note_opened(service, page.film.row.id, signature_of(request))
            with service.database.reading() as session:
                standing, _ = worklist.priority_of(session, page.film.row, datetime.now(UTC))
        return show(request, "case.html", page=page, standing=standing, levels=LEVELS, enhancements=ENHANCEMENTS)

    @app.get("/cases/{case_id}", dependencies=allowed, include_in_schema=False)
    def show_case(request: Request, case_id: str) -> Response:
        with service.database.reading() as session:
            page = cases.of_case(session, case_id)
        return shown(request, page)

    @app.get("/films/{film_id}", dependencies=allowed, include_in_schema=False)
    def show_film(request: Request, film_id: str) -> Response:
        with service.database.reading() as session:
            page = cases.of_film(session, film_id)
        return shown(request, page)

    @app.get("/reports/{report_id}", dependencies=allowed, include_in_schema=False)
    def show_report(request: Request, report_id: str) -> Response:
        with service.database.reading() as session:
            page = cases.of_report(session, report_id)
        return shown(request, page)


def _note_opened(service: Service, film_id: str, by: str) -> None:
    """Keep that someone looks at a film; a page never waits long for the store, nor fails for it."""
    try:
        with service.database.writing(patience_ms=_PATIENCE_MS) as session:
            note_opened(session, film_id, by=by, at=datetime.now(UTC))
    except OperationalError as error:
        _log.warning("opening not kept", **place_of(error))


def _etag(response: Response) -> str:
    return f'"{hashlib.sha256(response.body).hexdigest()[:32]}"'


def _renderer(service: Service) -> _Show:
    templates = Jinja2Templates(directory=_FOLDER / "templates")
    zone = service.settings.zone
    filters: dict[str, Callable[[Any], str]] = {
        "plain": plain,
        "duration": duration,
        "quantity": quantity,
        "clock": lambda moment: clock(moment, zone),
        "value": value_words,
        "score": score_words,
        "enhancement": enhancement_words,
        "signer": signer,
    }
    templates.env.filters |= filters
    templates.env.globals |= {"due": due, "since": since, "zone": service.settings.timezone}

    def show(request: Request, name: str, *, status_code: int = 200, **context: Any) -> Response:
        context["now"] = datetime.now(UTC)
        return templates.TemplateResponse(request, name, context, status_code=status_code, headers=_NO_STORE)

    return show
