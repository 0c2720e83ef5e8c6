"""`cds encrypt` and `cds rotate-key`: the keys that the data folder is encrypted under."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cds.audit import Access
from cds.cli.audit_trail import account
from cds.cli.output import messages, print_json, wrong_use
from cds.operating.vault import encrypt_folder, master_key, rotate_data_keys, rotate_master
from cds.service import Service
from cds.settings import Settings, load_settings
from cds.store.encryption import read_key_file

_AsJson = Annotated[bool, typer.Option("--json", help="One JSON object.")]


def add_to(app: typer.Typer) -> None:
    app.command("encrypt")(encrypt)
    app.command("rotate-key")(rotate_key)


def encrypt(as_json: _AsJson = False) -> None:
    """Encrypt the data folder in place under the key of the settings; the service must be stopped.

    Cut off at any point, it is run again and finishes.
    """
    settings, master = _settings_and_key()
    files = encrypt_folder(settings.data_dir, master)
    _note(settings, "cds encrypt")
    _tell({"encrypted": files}, f"encrypted {files} files of {settings.data_dir}", as_json)


def rotate_key(
    new_key_file: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="File of the operator's new key; a service may run."),
    ] = None,
    data: Annotated[
        bool, typer.Option("--data", help="Encrypt databases and films anew; the service must be stopped.")
    ] = False,
    as_json: _AsJson = False,
) -> None:
    """Change the operator's key, or with --data the keys of the data themselves.

    Cut off at any point, --data is run again and finishes.
    """
    if data == (new_key_file is not None):
        raise wrong_use("give either --new-key-file or --data")
    settings, master = _settings_and_key()
    if new_key_file is not None:
        rotate_master(settings.data_dir, master, read_key_file(new_key_file))
        words = f"the data folder opens with {new_key_file} from now on; point CDS_ENCRYPTION_KEY_FILE there"
        _tell({"key_file": str(new_key_file)}, words, as_json)
        settings = settings.model_copy(update={"encryption_key_file": new_key_file})
    else:
        files = rotate_data_keys(settings.data_dir, master)
        _tell({"encrypted": files}, f"encrypted {files} files anew", as_json)
    _note(settings, "cds rotate-key")


def _settings_and_key() -> tuple[Settings, bytes]:
    settings = load_settings()
    master = master_key(settings)
    if master is None:
        raise wrong_use("no key: set CDS_ENCRYPTION_KEY_FILE (`openssl rand -hex 32` makes one)")
    if not settings.data_dir.is_dir():
        raise wrong_use(f"data_dir {settings.data_dir}: not there")
    return settings, master


def _note(settings: Settings, verb: str) -> None:
    """Put the act into the trail, which its keys must open first."""
    service = Service(settings)
    service.audit.record(Access(account(), "execute", verb))
    service.close()


def _tell(record: dict[str, object], words: str, as_json: bool) -> None:
    print_json(record) if as_json else messages.print(words, markup=False)
