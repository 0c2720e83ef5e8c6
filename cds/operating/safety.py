"""What is unsafe about an installation: keys, roles, encryption, files, clocks, policies. `cds doctor` prints it.

Each check yields how grave it is and what would be right; none of them changes anything.
"""

from __future__ import annotations

import ipaddress
import stat
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from cryptography import x509

from cds.operating.serving import is_loopback
from cds.operating.vault import master_key
from cds.service import Service
from cds.settings import Settings

Grave = Literal["ok", "warning", "error"]
Said = tuple[Grave, str]

_KINDS = ("films", "reports", "cases", "cards", "audit")
_GOOD_KEY = 24
_FEWEST_CHARACTERS = 10
_SKEW = timedelta(minutes=5)
_SOON = timedelta(days=30)
_WIDEST_PROXY = 256


def look(service: Service) -> Iterator[Said]:
    """Yield everything that is unsafe, and `ok` lines where the great questions are answered well."""
    settings = service.settings
    outside = not is_loopback(settings.host) or settings.trusted_proxy is not None
    yield from _encryption(settings, outside)
    yield from _files(settings)
    yield from _keys(settings, outside)
    yield from _tokens(settings)
    yield from _signin(settings, outside)
    yield from _edges(settings)
    yield from _policies(service)
    yield from _trail(service)


def _encryption(settings: Settings, outside: bool) -> Iterator[Said]:
    if master_key(settings) is None:
        grave: Grave = "error" if outside else "warning"
        yield grave, "the data are not encrypted: set CDS_ENCRYPTION_KEY_FILE and run `cds encrypt`"
    else:
        where = "database is another's to encrypt" if settings.database_url else "databases and films are encrypted"
        yield "ok", f"an encryption key is set; {where}"
    if settings.encryption_key is not None:
        yield "warning", "the encryption key is in the environment, which child processes see; a file is better"


def _files(settings: Settings) -> Iterator[Said]:
    for name, file in (
        ("encryption_key_file", settings.encryption_key_file),
        ("tls_key", settings.tls_key),
        ("signin_client_secret_file", settings.signin_client_secret_file),
    ):
        if file is not None and file.is_file() and stat.S_IMODE(file.stat().st_mode) & 0o077:
            yield "error", f"{name}: {file} can be read by others; chmod 600"
    if settings.encryption_key_file is not None and settings.encryption_key_file.resolve().is_relative_to(
        settings.data_dir.resolve()
    ):
        yield "error", "encryption_key_file lies in the data folder that it protects; keep it elsewhere"
    if settings.config_dir is not None:
        for file in sorted(settings.config_dir.rglob("*")):
            if stat.S_IMODE(file.stat().st_mode) & 0o022:
                yield "warning", f"{file} can be changed by others; rules decide what clinicians are told: chmod go-w"
                break


def _keys(settings: Settings, outside: bool) -> Iterator[Said]:
    keys = {name: key.get_secret_value() for name, key in settings.api_keys.items()}
    for name, key in keys.items():
        if len(key) < _GOOD_KEY or len(set(key)) < _FEWEST_CHARACTERS or name in key:
            yield "warning", f"api_keys: the key of {name} is weak; `openssl rand -base64 32` makes a good one"
    for key, count in Counter(keys.values()).items():
        if count > 1:
            names = ", ".join(name for name in keys if keys[name] == key)
            yield "error", f"api_keys: {names} have one key, so the audit trail cannot tell them apart"
    if keys and not settings.api_roles:
        yield ("error" if outside else "warning"), "api_roles is not set: every key may do everything"
    for name in sorted(set(settings.api_roles) - set(keys)):
        yield "warning", f"api_roles: {name} is no key of api_keys"
    if settings.api_roles:
        for name in sorted(set(keys) - set(settings.api_roles)):
            yield "warning", f"api_roles: {name} has no role and may do nothing"
    if not keys and not settings.oidc_issuers and not settings.signin_issuer:
        yield "warning", "REST and the pages are open: set CDS_API_KEYS, CDS_OIDC_ISSUERS or CDS_SIGNIN_ISSUER"


def _tokens(settings: Settings) -> Iterator[Said]:
    if not settings.jwt_issuers:
        yield "warning", "CDS Hooks are open to whoever reaches the port: set CDS_JWT_ISSUERS"
    for issuer, source in {**settings.jwt_issuers, **settings.oidc_issuers}.items():
        if source.startswith("http://"):
            yield "warning", f"the key set of {issuer} comes by plain http"
        elif "://" not in source and Path(source).is_file() and Path(source).stat().st_mode & 0o022:
            yield "error", f"the key set of {issuer} can be changed by others: chmod go-w {source}"


def _signin(settings: Settings, outside: bool) -> Iterator[Said]:
    if settings.signin_issuer is None:
        return
    if settings.public_url is None:
        yield "error", "signin_issuer: CDS_PUBLIC_URL is not set, so the provider cannot send people back"
    if outside and not settings.is_https:
        yield "error", "signin_issuer: CDS_PUBLIC_URL is not https, so whoever listens may take over who signed in"
    if settings.signin_client_secret_file is None:
        yield "warning", "signin_client_secret_file is not set: codes are redeemed by PKCE alone"
    if outside and settings.signin_issuer.startswith("http://"):
        yield "error", "signin_issuer: who people are comes by plain http"


def _edges(settings: Settings) -> Iterator[Said]:
    for origin in (*settings.cors_origins, *settings.frame_ancestors):
        if origin.startswith("http://") and "localhost" not in origin and "127.0.0.1" not in origin:
            yield "warning", f"{origin} is an origin without https: whoever is on its way may speak for it"
    for part in (settings.trusted_proxy or "").split(","):
        if part and ipaddress.ip_network(part.strip()).num_addresses > _WIDEST_PROXY:
            yield "warning", f"trusted_proxy {part.strip()}: every machine there is believed; name the proxies"
    if settings.tls_certificate is not None and settings.tls_certificate.is_file():
        left = _validity(settings.tls_certificate) - datetime.now(UTC)
        if left < timedelta():
            yield "error", "the TLS certificate has expired"
        elif left < _SOON:
            yield "warning", f"the TLS certificate expires in {left.days} days"


def _validity(file: Path) -> datetime:
    return x509.load_pem_x509_certificate(file.read_bytes()).not_valid_after_utc


def _policies(service: Service) -> Iterator[Said]:
    unlimited = [kind for kind in _KINDS if kind not in service.settings.retention_days]
    if unlimited:
        yield "warning", f"no retention policy: {', '.join(unlimited)} are kept for ever; set CDS_RETENTION_DAYS"
    if not service.configs.site_text("identity.yaml"):
        yield "warning", "the identity table is the packaged example; name the site's issuers in its identity.yaml"


def _trail(service: Service) -> Iterator[Said]:
    found = service.audit.verify()
    for seq, problem in found.problems:
        yield "error", f"audit trail, entry {seq}: {problem}"
    if not found.problems:
        yield "ok", f"the audit trail is whole: {found.entries} entries"
    newest = max((entry.at for entry in service.audit.entries(after=(found.last or 0) - 1)), default=None)
    if newest is not None and datetime.fromisoformat(newest) > datetime.now(UTC) + _SKEW:
        yield "error", "the clock is behind the last entry of the audit trail; was it set back? Check its time service"
    for seq in found.clock_back[-1:]:
        yield "warning", f"the clock was set back before entry {seq} of the audit trail"
