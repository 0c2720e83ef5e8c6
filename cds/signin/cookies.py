"""The cookies of browsers: out of reach of scripts, and bound to this host where the service is reached by TLS."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response


@dataclass(frozen=True)
class Cookie:
    """One cookie of this service.

    name    without the prefix that it bears under TLS (`__Host-`, RFC 6265bis)
    framed  whether a page in a frame of another site may hold it, apart from all others (CHIPS)
    """

    name: str
    framed: bool = False

    def of(self, request: Request, *, secure: bool) -> str | None:
        """Return its value in a request."""
        return request.cookies.get(self._name(secure))

    def set(self, response: Response, value: str, *, seconds: int, secure: bool) -> None:
        """Have the browser keep a value."""
        response.set_cookie(
            self._name(secure),
            value,
            max_age=seconds,
            path="/",
            httponly=True,
            secure=secure,
            samesite="none" if self.framed and secure else "lax",
        )
        if self.framed and secure:  # Starlette's own `partitioned` needs Python 3.14
            response.raw_headers[-1] = (response.raw_headers[-1][0], response.raw_headers[-1][1] + b"; Partitioned")

    def forget(self, response: Response, *, secure: bool) -> None:
        """Have the browser drop it."""
        self.set(response, "", seconds=0, secure=secure)

    def _name(self, secure: bool) -> str:
        return f"__Host-{self.name}" if secure else self.name


SIGNED_IN = Cookie("cds_session")
SIGNING_IN = Cookie("cds_signing_in")
LAUNCHED = Cookie("cds_smart_session", framed=True)
LAUNCHING = Cookie("cds_smart_launch", framed=True)
