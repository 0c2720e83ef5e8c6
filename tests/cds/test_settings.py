"""Settings: the command line wins over the environment, that over the file; secrets are never shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cds.errors import ConfigurationError
from cds.settings import Settings, describe_settings, load_settings, unknown_variables

KEY = "planted-key-0123456789"
DOCUMENT = Path(__file__).parents[2] / "docs" / "operating.md"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in [name for name in os.environ if name.upper().startswith("CDS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "settings.yaml"
    monkeypatch.setenv("CDS_SETTINGS_FILE", str(place))
    return place


def test_defaults_are_safe() -> None:
    settings = load_settings()
    assert settings.host == "127.0.0.1"
    assert not settings.api_keys
    assert not settings.fhir_private_addresses
    assert settings.url.startswith("sqlite:////")


def test_the_call_wins_over_the_environment_and_that_over_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("port: 1001\ntimezone: Europe/Berlin\nmax_body_mb: 7\n", encoding="utf-8")
    monkeypatch.setenv("CDS_PORT", "1002")
    monkeypatch.setenv("cds_timezone", "Europe/Paris")
    settings = load_settings(port=1003)
    assert (settings.port, settings.timezone, settings.max_body_mb) == (1003, "Europe/Paris", 7)
    assert load_settings().port == 1002
    origins = {row["name"]: row["origin"] for row in describe_settings(load_settings())}
    assert [origins[name] for name in ("port", "max_body_mb", "host")] == ["environment", "file", "default"]


def test_an_empty_variable_is_as_if_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CDS_TLS_KEY", "CDS_TLS_CERTIFICATE", "CDS_DATABASE_URL", "CDS_TRUSTED_PROXY", "CDS_API_KEYS"):
        monkeypatch.setenv(name, "")
    settings = load_settings()
    assert (settings.tls_key, settings.tls_certificate, settings.trusted_proxy) == (None, None, None)
    assert {row["origin"] for row in describe_settings(settings)} == {"default"}


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("CDS_PORT", "0", "port"),
        ("CDS_PORT", "x", "port"),
        ("CDS_TIMEZONE", "Mars/Olympus", "timezone"),
        ("CDS_LOG_LEVEL", "loud", "log_level"),
        ("CDS_PREVALENCE", '{"lung_opacity": 1.5}', "prevalence.lung_opacity"),
        ("CDS_PREVALENCE", "{", "prevalence"),
        ("CDS_API_KEYS", '{"ward": ""}', "api_keys"),
        ("CDS_API_KEYS", '{"ward": "short-secret"}', "api_keys"),
        ("CDS_API_KEYS", f'{{"two words": "{KEY}"}}', "api_keys"),
        ("CDS_API_KEYS", f'{{"ward": "{KEY}', "api_keys"),
        ("CDS_TRUSTED_PROXY", "*", "trusted_proxy"),
        ("CDS_TRUSTED_PROXY", "proxy.example", "trusted_proxy"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, named: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=named) as caught:
        load_settings()
    assert "secret" not in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("prot: 80", "prot"),
        ("- 1", "names and values"),
        ("api_keys: {ward: [planted-key", "not YAML, line 1"),
        (b"host: \xff", "not UTF-8"),
    ],
)
def test_a_wrong_file_is_refused_without_quoting_it(file: Path, text: str | bytes, reason: str) -> None:
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigurationError, match=reason) as caught:
        load_settings()
    assert "planted" not in str(caught.value)


def test_a_file_that_is_named_must_be_there(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        load_settings()


def test_secrets_are_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_API_KEYS", json.dumps({"ward": KEY}))
    monkeypatch.setenv("CDS_DATABASE_URL", "postgresql://cds:planted@pw/x@db/cds?password=planted&sslmode=require")
    monkeypatch.setenv("CDS_JWT_ISSUERS", '{"https://ehr": "https://user:planted@ehr/jwks"}')
    settings = load_settings()
    shown = {row["name"]: row["value"] for row in describe_settings(settings)}
    assert "planted" not in str(shown) + repr(settings).replace(str(settings.database_url), "").replace(
        str(settings.jwt_issuers), ""
    )
    assert shown["api_keys"] == '{"ward": "********"}'
    assert shown["database_url"] == "postgresql://********@db/cds?password=********&sslmode=require"


def test_a_variable_that_is_no_setting_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDS_TSL_KEY", "x")
    monkeypatch.setenv("CDS_PORT", "80")
    assert unknown_variables() == ["CDS_TSL_KEY"]


@pytest.mark.parametrize(("host", "address"), [("127.0.0.1", "http://127.0.0.1:8000"), ("::1", "http://[::1]:8000")])
def test_links_use_the_listen_address_unless_a_public_one_is_set(host: str, address: str) -> None:
    assert load_settings(host=host).base_url == address
    assert load_settings(host=host, public_url="https://cds.example/").base_url == "https://cds.example"


def test_every_setting_says_what_it_does_and_gives_an_example() -> None:
    for name, field in Settings.model_fields.items():
        assert "Example: " in (field.description or ""), name


def test_the_operating_page_lists_every_setting_as_it_is() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| `CDS_")]
    assert rows == settings_rows()


def settings_rows() -> list[str]:
    """Return the rows of the table of settings, as docs/operating.md holds them."""
    rows = []
    for name, field in Settings.model_fields.items():
        what, _, example = (field.description or "").partition(" Example: ")
        default = field.get_default(call_default_factory=True)
        shown = f"`{default}`" if isinstance(default, (int, str)) or name == "data_dir" else "none"
        rows.append(f"| `CDS_{name.upper()}` | {shown} | {what} | `{example}` |")
    return rows
