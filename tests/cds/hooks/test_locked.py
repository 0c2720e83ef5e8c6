"""A store or an audit trail that another writer holds, with tokens, audit and encryption on: told, nothing lost."""

from __future__ import annotations

import contextlib
import secrets
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from cds.api import create_app
from cds.service import Service
from cds.store import Database
from cds.store.tables import FeedbackRow
from tests.cds.hooks.builders import risky_order_call
from tests.cds.hooks.conftest import MakeService
from tests.cds.hooks.ehr import Ehr

ADVISOR = "/cds-services/imaging-order-advisor"
FEEDBACK = f"{ADVISOR}/feedback"


@pytest.fixture
def service(make_service: MakeService, ehr: Ehr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Service:
    key = tmp_path / "data.key"
    key.write_text(secrets.token_hex(32))
    key.chmod(0o600)
    made = make_service(jwt_issuers={ehr.issuer: str(ehr.keys_file)}, encryption_key_file=key)
    writing = made.database.writing
    monkeypatch.setattr(made.database, "writing", lambda **_: writing(patience_ms=50))
    monkeypatch.setattr(made.audit, "_patience_ms", 50)
    return made


@pytest.fixture
def send(service: Service, ehr: Ehr) -> Callable[[str], Response]:
    """Send a signed call, or a feedback, and return the answer."""
    client = TestClient(create_app(service), raise_server_exceptions=False)
    feedback = {"card": str(uuid.uuid4()), "outcome": "overridden", "outcomeTimestamp": datetime.now(UTC).isoformat()}
    bodies: dict[str, Any] = {ADVISOR: risky_order_call(), FEEDBACK: {"feedback": [feedback]}}
    return lambda path: client.post(path, json=bodies[path], headers=ehr.signed(path))


@contextlib.contextmanager
def held(database: Database) -> Iterator[None]:
    """Another writer has the database."""
    taken, release = threading.Event(), threading.Event()

    def hold() -> None:
        with Database.writing(database):  # with the patience of a real one
            taken.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert taken.wait(30)
    try:
        yield
    finally:
        release.set()
        holder.join()


def is_told(answer: Response) -> bool:
    """Whether an answer says that it is for later, and nothing of what happened."""
    assert answer.json()["issue"][0]["code"] == "transient"
    assert "locked" not in answer.text
    return answer.status_code == 503 and int(answer.headers["retry-after"]) > 0


@pytest.mark.parametrize("path", [ADVISOR, FEEDBACK])
def test_a_store_that_is_locked_is_told_and_the_next_call_goes_on(
    service: Service, send: Callable[[str], Response], path: str
) -> None:
    with held(service.database):
        assert is_told(send(path))
    assert send(path).status_code == 200
    assert service.audit.verify().problems == ()
    assert [entry.outcome for entry in service.audit.entries()] == ["failed", "ok"]


def test_what_cannot_be_audited_is_not_answered_and_what_was_kept_is_kept_once(
    service: Service, send: Callable[[str], Response]
) -> None:
    assert send(ADVISOR).status_code == 200
    with held(service.audit.database):
        assert is_told(send(ADVISOR))
        assert is_told(send(FEEDBACK))
    assert send(FEEDBACK).status_code == 200
    with service.database.reading() as session:
        assert session.query(FeedbackRow).count() == 1
    assert [entry.outcome for entry in service.audit.entries()] == ["ok", "ok"]
    assert service.audit.verify().problems == ()
