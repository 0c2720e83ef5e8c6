"""A small OpenID provider on loopback: it checks what a real one checks, and can be told to sign and answer wrongly.

Authorization code with PKCE, confidential clients by HTTP Basic, RS256 and ES256, end of session. Its sign-in page is
one form.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import json
import secrets
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey

from tests.cds.hooks.ehr import rsa_key

CLIENT, SECRET = "roentgen", "a secret/of the tests"
Json = dict[str, Any]


class OpenIdProvider:
    """Lets `person` in; each code is good once, for who holds the verifier and the secret.

    claims, header  what ID tokens say beside or instead of what is right; None leaves a claim out
    algorithm       RS256, ES256, HS256 (with the public RSA key as secret) or none
    metadata        what discovery says beside or instead of what is right; None leaves it out
    asked           the last authorization request
    tls             what it speaks TLS by, as `localhost`
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.keys: Json = {"RS256": rsa_key(), "ES256": ECKey.generate_key("P-256", {"kid": "es"})}
        self.behave()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}/realms/hospital"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
            self.issuer = f"https://localhost:{self._server.server_address[1]}/realms/hospital"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def behave(self) -> None:
        """Do everything right from now on."""
        self.person: Json = {"sub": "u-4711", "name": "Ann Ray", "roles": ["radiologist"]}
        self.algorithm = "RS256"
        self.signing_key: Any = None
        self.claims: Json = {}
        self.header: Json = {}
        self.metadata: Json = {}
        self.answer: Json | None = None
        self.asked: dict[str, str] = {}
        self.codes: dict[str, dict[str, str]] = {}
        self.ended: list[dict[str, str]] = []

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def discovery(self) -> Json:
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "end_session_endpoint": f"{self.issuer}/logout",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            **self.metadata,
        }
        return {name: value for name, value in said.items() if value is not None}

    def authorized(self, address: str) -> str:
        """Return where a browser is sent back to that came by `address`, once the person has signed in."""
        self.asked = dict(parse_qsl(urlsplit(address).query))
        assert self.asked["response_type"] == "code"
        assert self.asked["code_challenge_method"] == "S256"
        assert self.asked["client_id"] == CLIENT
        code = secrets.token_urlsafe(16)
        self.codes[code] = dict(self.asked)
        back = {"code": code, "state": self.asked["state"], "iss": self.issuer}
        return f"{self.asked['redirect_uri']}?{urlencode(back)}"

    def id_token(self, asked: dict[str, str]) -> str:
        now = int(time.time())
        content = {
            "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 300, "nonce": asked["nonce"],
            **self.person, **self.claims,
        }  # fmt: skip
        content = {name: value for name, value in content.items() if value is not None}
        algorithm = self.algorithm
        head = {"alg": algorithm, "kid": "es" if algorithm == "ES256" else "rsa", "typ": "JWT", **self.header}
        if algorithm in ("none", "HS256"):
            signed = f"{_part(head)}.{_part(content)}"
            public = self.keys["RS256"].as_pem(private=False)
            return f"{signed}.{_text(hmac.digest(public, signed.encode(), 'sha256')) if algorithm == 'HS256' else ''}"
        key = self.signing_key or self.keys[algorithm]
        return jws.serialize_compact(head, json.dumps(content), key, algorithms=[algorithm])

    def redeemed(self, form: dict[str, str], authorization: str) -> tuple[int, Json]:
        """Return status and answer of the token endpoint."""
        asked = self.codes.pop(form.get("code", ""), None)
        scheme, _, given = authorization.partition(" ")
        client, _, secret = base64.b64decode(given).decode().partition(":")
        if scheme != "Basic" or (unquote_plus(client), unquote_plus(secret)) != (CLIENT, SECRET):
            return 401, {"error": "invalid_client"}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if asked is None or _text(digest) != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        token = {"access_token": "planted-access-token", "token_type": "Bearer", "id_token": self.id_token(asked)}
        return 200, self.answer if self.answer is not None else token

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = urlsplit(self.path)
                if asked.path.endswith("/.well-known/openid-configuration"):
                    self._json(200, provider.discovery())
                elif asked.path.endswith("/keys"):
                    public = [{**key.as_dict(private=False), "use": "sig"} for key in provider.keys.values()]
                    self._json(200, {"keys": public})
                elif asked.path.endswith("/authorize"):
                    self._page(
                        f'<form method="post" action="{html.escape(self.path)}"><button>Let me in</button></form>'
                    )
                elif asked.path.endswith("/logout"):
                    query = {name: values[0] for name, values in parse_qs(asked.query).items()}
                    provider.ended.append(query)
                    self._go(query["post_logout_redirect_uri"])
                else:
                    self._json(404, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0"))).decode()
                if urlsplit(self.path).path.endswith("/authorize"):
                    self._go(provider.authorized(self.path))
                else:
                    self._json(*provider.redeemed(dict(parse_qsl(body)), self.headers.get("Authorization", "")))

            def _json(self, status: int, content: Json) -> None:
                self._answer(status, json.dumps(content).encode(), "application/json")

            def _page(self, body: str) -> None:
                self._answer(
                    200, f"<!doctype html><title>Provider</title><h1>Provider</h1>{body}".encode(), "text/html"
                )

            def _go(self, where: str) -> None:
                self._answer(303, b"", "text/plain", where)

            def _answer(self, status: int, body: bytes, kind: str, where: str | None = None) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                if where is not None:
                    self.send_header("Location", where)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        return Handler


def _part(content: Json) -> str:
    return _text(json.dumps(content).encode())


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
