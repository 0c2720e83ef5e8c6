"""Tells subscribers of results: thin messages without patient data, signed by Standard Webhooks, to allowed hosts only.

https://www.standardwebhooks.com: `webhook-id` stays over all attempts of a message, `webhook-timestamp` is of the
attempt, `webhook-signature` is HMAC-SHA256 over id, timestamp and body. What has to be known is read from the address
in the message, with the reader's own key.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import secrets
import ssl
import time
from typing import Any

import httpx
from pydantic_core import to_json

from cds import __version__
from cds.errors import DeliveryError
from cds.hooks.addresses import Pinned, pin
from cds.hooks.errors import AddressRefusedError
from cds.jobs.queue import Job
from cds.settings import Settings
from cds.store import Database
from cds.store.subscriptions import Event, event_by_id, subscription_by_id

SECRET_PREFIX = "whsec_"  # noqa: S105 - the convention's mark of a secret, no secret
_SECRET_BYTES = 32
_SECONDS = 10.0
_GONE = 410


class Webhooks:
    """Delivers events to subscriptions."""

    def __init__(self, database: Database, settings: Settings, *, transport: httpx.AsyncBaseTransport | None = None):
        self._database = database
        self._settings = settings
        self._transport = transport
        self._tls = ssl.create_default_context()

    async def pinned(self, url: str) -> Pinned:
        """Return the server of an address that may be told. Raises AddressRefusedError."""
        hosts, private = self._settings.webhook_hosts, self._settings.webhook_private_addresses
        return await pin(url, hosts=hosts, private=private)

    def deliver(self, job: Job) -> None:
        """Send one event to one subscription. Raises DeliveryError."""
        with self._database.reading() as session:
            event = event_by_id(session, job.subject_id)
            subscription = subscription_by_id(session, job.destination)
        if event is None or subscription is None:
            raise DeliveryError("the subscription was ended", for_good=True)
        body = to_json(self.message(event))
        asyncio.run(self._post(subscription.url, body, signed_headers(subscription.secret, event.id, body)))

    def message(self, event: Event) -> dict[str, Any]:
        """Return what is said of an event: its type, its time, and where to read the result."""
        kind, name = ("studies", "study_id") if event.type.startswith("film.") else ("reports", "report_id")
        address = f"{self._settings.base_url}/api/v1/{kind}/{event.item_id}"
        return {
            "type": event.type,
            "timestamp": event.at.isoformat(),
            "data": {name: event.item_id, "url": address},
        }

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> None:
        try:
            async with asyncio.timeout(_SECONDS), self._client() as client:
                pinned = await self.pinned(url)
                request = pinned.request(client, pinned.base, headers, method="POST", content=body)
                response = await client.send(request, stream=True)
                await response.aclose()
        except AddressRefusedError as error:
            raise DeliveryError(f"the address is refused: {error.code}") from None
        except (httpx.HTTPError, OSError) as error:
            raise DeliveryError(f"no answer ({type(error).__name__})") from None
        if not response.is_success:
            raise DeliveryError(f"answered {response.status_code}", for_good=response.status_code == _GONE)

    def _client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=self._transport, verify=self._tls, timeout=_SECONDS, follow_redirects=False, trust_env=False
        )


def new_secret() -> str:
    """Return a secret for one subscription."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def signed_headers(secret: str, message_id: str, body: bytes, *, at: float | None = None) -> dict[str, str]:
    """Return the headers of one attempt of a message.

    at  time of the attempt in seconds since 1970; default: now
    """
    moment = str(int(time.time() if at is None else at))
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signature = hmac.new(key, f"{message_id}.{moment}.".encode() + body, hashlib.sha256).digest()
    return {
        "Content-Type": "application/json",
        "User-Agent": f"roentgen-cds/{__version__}",
        "webhook-id": message_id,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }
