"""One run of the kit against one server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx

from cds.conformance import cards, discovery, feedback, fetching, requests, security
from cds.conformance.fetching import Probe
from cds.conformance.model import CHECKS, Check, Result
from cds.conformance.target import Credentials, Target

MODULES = (discovery, requests, cards, feedback, security, fetching)
"""Importing them registers their checks."""


def run(
    url: str,
    *,
    credentials: Credentials | None = None,
    examples: Sequence[dict[str, Any]] = (),
    fhir_port: int | None = None,
    timeout: float = 10.0,
    client: httpx.Client | None = None,
) -> list[Result]:
    """Return the results of all checks, by item.

    url          base of the server, without /cds-services
    credentials  of a client that the server knows; without them items 35 to 40 are skipped
    examples     requests that make the server's services speak
    fhir_port    port on loopback for a FHIR server of the kit; without it items 14 and 15 are skipped
    client       of httpx, to call an application in this process

    Raises httpx.HTTPError when the server cannot be reached at all.
    """
    own = client or httpx.Client(timeout=timeout, trust_env=False)
    probe = Probe(fhir_port) if fhir_port is not None else None
    try:
        target = Target(own, url, credentials, examples, probe)
        own.get(target.url + "/cds-services")
        results = [_result(check, target) for check in sorted(CHECKS, key=lambda c: c.item)]
    finally:
        if probe is not None:
            probe.close()
        if client is None:
            own.close()
    return results


def _result(check: Check, target: Target) -> Result:
    try:
        return check.result(target)
    except httpx.HTTPError as error:
        return Result(check.item, check.title, "failed", f"no answer ({type(error).__name__})")
