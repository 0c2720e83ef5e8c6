"""Settings of the service: one YAML file and the environment (prefix `CDS_`), the environment winning.

Knows no database and no model; only names, defaults and where each value came from.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

import yaml
from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError
from pydantic_settings.sources import EnvSettingsSource

from cds.errors import ConfigurationError
from cds.roles import Role

PREFIX = "CDS_"
DATABASE_FILE = "roentgen.sqlite3"
SETTINGS_FILE_VARIABLE = "CDS_SETTINGS_FILE"
_OTHER_VARIABLES = frozenset({SETTINGS_FILE_VARIABLE, "CDS_SHARED_DATA"})
EVERY_OTHER = "*"
Gate = Literal["automatic", "review_first", "off"]
_SHORTEST_KEY = 16
_MASK = "********"
_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?")
_PROVIDER = re.compile(r"(https://[^/?#\s@]+|http://(127\.0\.0\.1|localhost)(:[0-9]{1,5})?)(/[^?#\s]*)?")
_IN_URL = re.compile(r"(?<=://)\S*(?=@)|(?<=password=)[^&\s]*", re.IGNORECASE)


class Settings(BaseSettings):
    """Everything an operator can set. Every field: `CDS_<NAME>` in the environment or `<name>` in the file."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True)

    data_dir: Path = Field(
        default=Path("cds-data"),
        description="Folder of the database and the films. Example: /var/lib/roentgen",
    )
    config_dir: Path | None = Field(
        default=None,
        description="A site's own configs/, laid over the packaged one entry by entry. Example: /etc/roentgen",
    )
    host: str = Field(default="127.0.0.1", description="Address to listen on. Example: 0.0.0.0")
    port: int = Field(default=8000, ge=1, le=65535, description="Port to listen on. Example: 8443")
    database_url: str | None = Field(
        default=None,
        description="SQLAlchemy URL; default: SQLite in the data folder. Example: postgresql+psycopg://cds@db/cds",
    )
    public_url: str | None = Field(
        default=None,
        description="Address that clients use, for links and JWT audiences. Example: https://cds.hospital.example",
    )
    encryption_key_file: Path | None = Field(
        default=None,
        description="File of the key that the data are encrypted under: 64 hexadecimal digits. "
        "Example: /etc/roentgen/data.key",
    )
    encryption_key: SecretStr | None = Field(
        default=None, description="The same key itself, from a secret store. Example: (64 hexadecimal digits)"
    )
    timezone: str = Field(default="UTC", description="Zone of dates without one. Example: Europe/Berlin")
    tls_certificate: Path | None = Field(
        default=None, description="PEM certificate chain. Example: /etc/roentgen/tls.pem"
    )
    tls_key: Path | None = Field(default=None, description="PEM private key. Example: /etc/roentgen/tls.key")
    trusted_proxy: str | None = Field(
        default=None,
        description="Address or network of the reverse proxies that end TLS, comma between. Example: 10.0.0.4",
    )
    api_keys: dict[str, SecretStr] = Field(
        default_factory=dict,
        description='Name -> key (16 characters or more) of clients of /api/v1 and the pages. Example: {"ward": "..."}',
    )
    api_roles: dict[str, tuple[Role, ...]] = Field(
        default_factory=dict,
        description="Name of a key -> its roles: clinician, radiologist, remote_reader, engineer, auditor; "
        'none named: every key has all. Example: {"ward": ["clinician"]}',
    )
    clinicians_judge: bool = Field(
        default=False, description="Whether clinicians may give verdicts on findings. Example: true"
    )
    oidc_issuers: dict[str, str] = Field(
        default_factory=dict,
        description="Issuer -> address or file of its key set, for people and clients of /api/v1 and the pages. "
        'Example: {"https://id": "https://id/jwks"}',
    )
    oidc_audience: str | None = Field(
        default=None, description="Audience of their tokens; default: CDS_PUBLIC_URL. Example: roentgen"
    )
    oidc_roles_claim: str = Field(
        default="roles",
        description="Claim of tokens, ID tokens too, with the roles; dots lead inwards. Example: realm_access.roles",
    )
    oidc_roles: dict[str, Role] = Field(
        default_factory=dict,
        description='Value of that claim -> role; default: the names of the roles. Example: {"grp-rad": "radiologist"}',
    )
    signin_issuer: str | None = Field(
        default=None,
        description="OpenID provider at which people sign in to the pages. Example: https://id.hospital.example",
    )
    signin_client_id: str | None = Field(default=None, description="Our client id there. Example: roentgen")
    signin_client_secret_file: Path | None = Field(
        default=None,
        description="File of our secret there; without it, a public client. Example: /etc/roentgen/id.secret",
    )
    signin_scopes: tuple[str, ...] = Field(
        default=("profile",), description='Scopes that are asked for, beside openid. Example: ["profile", "groups"]'
    )
    session_hours: float = Field(
        default=10, gt=0, le=24, description="Hours after which a person signs in anew. Example: 8"
    )
    session_idle_minutes: float = Field(
        default=30, gt=0, le=480, description="Minutes without use after which a browser is out. Example: 15"
    )
    jwt_issuers: dict[str, str] = Field(
        default_factory=dict,
        description='Issuer -> address or file of its key set, for CDS Hooks clients. Example: {"https://ehr": "https://ehr/jwks"}',
    )
    fhir_hosts: tuple[str, ...] = Field(
        default=(),
        description='Hosts from which missing prefetch may be fetched. Example: ["fhir.hospital.example"]',
    )
    fhir_private_addresses: bool = Field(
        default=False, description="Whether those hosts may resolve to private addresses. Example: true"
    )
    webhook_hosts: tuple[str, ...] = Field(
        default=(), description='Hosts that may be told of results. Example: ["pathway.hospital.example"]'
    )
    webhook_private_addresses: bool = Field(
        default=False, description="Whether those hosts may resolve to private addresses. Example: true"
    )
    fhir_clients: dict[str, str] = Field(
        default_factory=dict,
        description="FHIR base from which prefetch is fetched with a token of our own -> our client id there. "
        'Example: {"https://ehr/fhir": "roentgen-backend"}',
    )
    fhir_client_key: Path | None = Field(
        default=None, description="Private JWK (EC P-384 or RSA) that signs for it. Example: /etc/roentgen/client.jwk"
    )
    smart_clients: dict[str, str] = Field(
        default_factory=dict,
        description="FHIR base of an EHR that may launch the case page -> our client id there. "
        'Example: {"https://ehr/fhir": "roentgen"}',
    )
    cors_origins: tuple[str, ...] = Field(
        default=(), description='Origins of browser clients. Example: ["https://ehr"]'
    )
    frame_ancestors: tuple[str, ...] = Field(
        default=(), description='Origins that may frame the pages. Example: ["https://ehr"]'
    )
    prevalence: dict[str, Annotated[float, Field(gt=0, lt=1)]] = Field(
        default_factory=dict,
        description='Finding -> share of films here; turns scores into probabilities. Example: {"lung_opacity": 0.1}',
    )
    dicom_port: int | None = Field(
        default=None, ge=1, le=65535, description="Port for films by C-STORE; default: none is opened. Example: 11112"
    )
    dicom_host: str = Field(default="127.0.0.1", description="Address of that port. Example: 0.0.0.0")
    dicom_ae_title: str = Field(
        default="ROENTGEN", pattern=r"^[!-\[\]-~]{1,16}$", description="AE title of this service. Example: CDS_1"
    )
    dicom_calling_aes: tuple[Annotated[str, Field(pattern=r"^[!-\[\]-~]{1,16}$")], ...] = Field(
        default=(), description='AE titles that may call; none named: any. Example: ["PACS", "XRAY1"]'
    )
    dicom_addresses: tuple[str, ...] = Field(
        default=(), description='Addresses and networks that may connect; none named: any. Example: ["10.0.3.0/24"]'
    )
    dicom_tls: bool = Field(
        default=False, description="Whether that port speaks TLS, with tls_certificate and tls_key. Example: true"
    )
    dicom_tls_ca: Path | None = Field(
        default=None,
        description="PEM of who signs the certificates of callers and of nodes with `tls`. Example: /etc/cds/ca.pem",
    )
    dicom_max_associations: int = Field(default=10, ge=1, le=200, description="Associations at once. Example: 20")
    dicom_timeout_s: float = Field(
        default=30, ge=0.5, le=600, description="Longest silence, handshake and PDU, in seconds. Example: 60"
    )
    dicom_max_pdu_kb: int = Field(default=128, ge=16, le=1024, description="Longest PDU to receive. Example: 256")
    hl7_port: int | None = Field(
        default=None, ge=1, le=65535, description="Port for HL7 v2 by MLLP; default: none is opened. Example: 2575"
    )
    hl7_host: str = Field(default="127.0.0.1", description="Address of that port. Example: 0.0.0.0")
    hl7_addresses: tuple[str, ...] = Field(
        default=(), description='Addresses and networks that may connect; none named: any. Example: ["10.0.3.7"]'
    )
    hl7_processing_ids: tuple[Literal["P", "T", "D"], ...] = Field(
        default=("P",), description='MSH-11 of messages that are taken. Example: ["P", "T"]'
    )
    hl7_tls: bool = Field(
        default=False, description="Whether that port speaks TLS, with tls_certificate and tls_key. Example: true"
    )
    hl7_tls_ca: Path | None = Field(
        default=None,
        description="PEM of who signs the certificates that senders must show. Example: /etc/roentgen/ca.pem",
    )
    hl7_max_connections: int = Field(default=20, ge=1, le=200, description="Connections at once. Example: 5")
    hl7_max_message_kb: int = Field(default=4096, ge=16, le=65536, description="Longest message. Example: 1024")
    hl7_idle_s: float = Field(
        default=3600, ge=0.5, le=86400, description="Silence after which a connection ends, in seconds. Example: 600"
    )
    dicom_quiet_s: float = Field(
        default=20,
        ge=0,
        le=600,
        description="Seconds without a new film after which a study is complete, where no archive says. Example: 60",
    )
    dicom_poll_s: float = Field(
        default=30, ge=1, le=3600, description="Seconds between looks through a watched archive. Example: 10"
    )
    pacs_keys: dict[str, SecretStr] = Field(
        default_factory=dict,
        description='Node of pacs.yaml -> `user:password` or token of its DICOMweb. Example: {"main-pacs": "..."}',
    )
    finding_gates: dict[str, Gate] = Field(
        default_factory=dict,
        description="Finding -> automatic, review_first (a person agrees before it leaves) or off; `*`: all others. "
        'Example: {"tuberculosis": "review_first"}',
    )
    inference_threads: int = Field(default=2, ge=1, le=256, description="Threads per film. Example: 4")
    worker_niceness: int = Field(default=10, ge=0, le=19, description="Priority given up by the worker. Example: 5")
    max_body_mb: int = Field(default=64, ge=1, le=2048, description="Largest request body. Example: 128")
    api_processes: int = Field(default=2, ge=1, le=64, description="Processes that answer requests. Example: 4")
    requests_per_second: float = Field(
        default=100, gt=0, le=100_000, description="Requests of one client a second, over all processes. Example: 20"
    )
    requests_burst: float = Field(
        default=400, ge=1, le=100_000, description="Requests of one client at once, after a rest. Example: 100"
    )
    tls_minimum: Literal["1.2", "1.3"] = Field(
        default="1.2", description="Oldest version of TLS that is spoken. Example: 1.3"
    )
    fhir_budget_ms: int = Field(
        default=350, ge=50, le=5000, description="Time for fetching missing prefetch. Example: 300"
    )
    override_quiet_hours: int = Field(
        default=24, ge=0, le=8760, description="Hours a card stays quiet after an override. Example: 72"
    )
    retention_days: dict[Literal["films", "reports", "cases", "cards", "audit"], Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        description="Kind -> days it is kept; films, reports, cases, cards, audit. Not named: for ever. "
        'Example: {"films": 3650, "cards": 730}',
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least grave lines that are logged. Example: warning"
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError) as error:
            raise ValueError(f"unknown time zone {value!r}; use an IANA name such as Europe/Berlin") from error
        return value

    @field_validator("cors_origins", "frame_ancestors")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError("name each origin in full, such as https://ehr.example; there is no wildcard")
        return value

    @field_validator("trusted_proxy")
    @classmethod
    def _declared_proxy(cls, value: str | None) -> str | None:
        for part in (value or "127.0.0.1").split(","):
            try:
                ipaddress.ip_network(part.strip())
            except ValueError:
                raise ValueError("name the address or network of each proxy, such as 10.0.0.4 or 10.0.0.0/24") from None
        return value

    @field_validator("dicom_addresses", "hl7_addresses")
    @classmethod
    def _known_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            try:
                ipaddress.ip_network(part)
            except ValueError:
                raise ValueError("name addresses or networks, such as 10.0.3.7 or 10.0.3.0/24") from None
        return value

    @field_validator("api_keys")
    @classmethod
    def _strong_keys(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for name, key in value.items():
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,32}", name):
                raise ValueError("a client's name is 1 to 32 letters, digits, dots, hyphens or underscores")
            if len(key.get_secret_value()) < _SHORTEST_KEY:
                raise ValueError(f"the key of {name} is shorter than {_SHORTEST_KEY} characters")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what is passed in; `load_settings` says in one line which source wins."""
        return (init_settings,)

    @model_validator(mode="after")
    def _whole_signin(self) -> Settings:
        if (self.signin_issuer is None) != (self.signin_client_id is None):
            raise ValueError("signin_issuer and signin_client_id go together")
        if self.signin_issuer is not None and not _PROVIDER.fullmatch(self.signin_issuer):
            raise ValueError("signin_issuer is an address of https, or of http on this machine, without query")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)

    @property
    def url(self) -> str:
        """The database in use."""
        return self.database_url or f"sqlite:///{(self.data_dir / DATABASE_FILE).resolve()}"

    @property
    def is_https(self) -> bool:
        """Whether clients reach the service by TLS."""
        return self.base_url.startswith("https://")

    @property
    def base_url(self) -> str:
        """Where clients reach the service."""
        if self.public_url:
            return self.public_url.rstrip("/")
        scheme = "https" if self.tls_certificate else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}://{host}:{self.port}"


def load_settings(file: Path | None = None, **overrides: Any) -> Settings:
    """Return the settings in force.

    file       YAML file; default: the one named by `CDS_SETTINGS_FILE`, if any
    overrides  values given on the command line; they win over file and environment

    Raises ConfigurationError naming the setting and what was wrong.
    """
    from_file = _read_file(file or _named_file())
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**{**from_file, **EnvSettingsSource(Settings)(), **given})
    except SettingsError as error:
        raise ConfigurationError(f"settings: {error}; tables and lists are JSON in the environment") from None
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False))
        raise ConfigurationError(f"settings: {problems}") from None


def describe_settings(settings: Settings, file: Path | None = None) -> list[dict[str, str]]:
    """Return a row per setting: name, value (secrets masked), where it came from, description."""
    from_file = _read_file(file or _named_file())
    rows = []
    for name, field in Settings.model_fields.items():
        in_environment = any(key.upper() == f"{PREFIX}{name.upper()}" and value for key, value in os.environ.items())
        origin = "environment" if in_environment else "file" if name in from_file else "default"
        rows.append(
            {
                "name": name,
                "value": _shown(getattr(settings, name)),
                "origin": origin,
                "description": field.description or "",
            }
        )
    return rows


def unknown_variables() -> list[str]:
    """Return the variables of the environment that look like settings and are none, such as a misspelt name."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields} | _OTHER_VARIABLES
    return sorted(name for name in os.environ if name.upper().startswith(PREFIX) and name.upper() not in known)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps({key: _shown(item) for key, item in value.items()})
    if isinstance(value, (tuple, list)):
        return json.dumps([_shown(item) for item in value])
    return _MASK if isinstance(value, SecretStr) else _IN_URL.sub(_MASK, str(value))


def _named_file() -> Path | None:
    named = os.environ.get(SETTINGS_FILE_VARIABLE)
    return Path(named) if named else None


def _read_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"settings file {file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"settings file {file}: not UTF-8") from None
    except yaml.YAMLError as error:
        raise ConfigurationError(f"settings file {file}: not YAML{_line_of(error)}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigurationError(f"settings file {file}: expected names and values at the top level")
    return document


def _line_of(error: yaml.YAMLError) -> str:
    """Return where the error is, without the text there, which may be a key."""
    mark = getattr(error, "problem_mark", None)
    return f", line {mark.line + 1}" if mark is not None else ""
