"""`cds deidentify` and `cds reidentify`: films and reports for research or a remote reader, and the way back."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import pydicom
import typer

from cds.audit import Access
from cds.cli.audit_trail import account
from cds.cli.output import EXIT_SOME_REJECTED, complain, messages, print_json, progress_bar, screen, wrong_use
from cds.errors import NotAcceptedError, NotFoundError
from cds.service import Service
from cds.settings import load_settings

_ProjectName = Annotated[str, typer.Option("--project", help="Name of the project: small letters, digits, hyphens.")]
_TEXT = ".txt"


def add_to(app: typer.Typer) -> None:
    app.command("deidentify")(deidentify)
    app.command("reidentify")(reidentify)


def deidentify(
    files: Annotated[list[Path], typer.Argument(exists=True, help="DICOM films, and reports as .txt; or folders.")],
    project: _ProjectName,
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder to write to.")],
    characteristics: Annotated[bool, typer.Option(help="Keep sex, size, weight and age (90 at most).")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Write films and reports without the patient in them, by DICOM PS3.15 annex E; what cannot be cleaned is not.

    Reports of one call are cleaned of the names in its films, too, and their dates move with the first film's.
    """
    from cds.deidentify.burned_in import TextFinder

    settings = load_settings()
    service = Service(settings)
    service.database.migrate()
    act = _Export(service, project, out, TextFinder(settings.inference_threads), characteristics)
    rejected = 0
    with progress_bar("files") as progress:
        inputs = _in_turn(files)
        for number, path in enumerate(inputs):
            row = act.row(path)
            rejected += "rejected" in row
            if as_json:
                print_json(row)
            elif "rejected" in row:
                messages.print(f"{path.name}: {row['rejected']}", markup=False)
            progress(number + 1, len(inputs))
    if not as_json:
        screen.print(f"{len(inputs) - rejected} of {len(inputs)} files written to {out}", markup=False)
    if rejected:
        raise typer.Exit(EXIT_SOME_REJECTED)


def reidentify(
    pseudonym: Annotated[str, typer.Argument(help="As it stands in PatientID.")],
    project: _ProjectName,
) -> None:
    """Tell who a pseudonym is. Every call is in the audit trail before its answer."""
    service = Service(load_settings())
    found = _project(service, project)
    try:
        identity = found.identity(pseudonym)
    except NotFoundError as error:
        service.audit.record(Access(account(), "read", "cds reidentify", outcome="refused", thing=f"project/{project}"))
        complain(str(error))
        raise typer.Exit(1) from None
    access = Access(account(), "read", "cds reidentify", thing=f"project/{project}", patient=identity)
    service.audit.record(access)
    print_json({"project": project, "pseudonym": pseudonym, "identity": identity})


class _Export:
    """Films and reports of one call, on their way out."""

    def __init__(self, service: Service, name: str, out: Path, finder: Any, characteristics: bool) -> None:
        self._service = service
        self._project = _project(service, name)
        self._out = out
        self._finder = finder
        self._characteristics = characteristics
        self._known: set[str] = set()
        self._identity: str | None = None
        self._texts = 0
        out.mkdir(parents=True, exist_ok=True)

    def row(self, path: Path) -> dict[str, Any]:
        """Return what became of one file."""
        try:
            written = self._report(path) if path.suffix.lower() == _TEXT else self._film(path)
        except NotAcceptedError as error:
            return {"file": str(path), "rejected": error.reason}
        except (OSError, UnicodeDecodeError):
            return {"file": str(path), "rejected": "the file cannot be read"}
        return {"file": str(path), **written}

    def _film(self, path: Path) -> dict[str, Any]:
        from cds.deidentify import deidentified_film
        from cds.deidentify.dataset import identity_of, known_words

        data = path.read_bytes()
        clean = deidentified_film(
            data, self._project.pseudonyms, self._finder, keep_characteristics=self._characteristics
        )
        header = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        identity = identity_of(header)
        self._known |= known_words(header)
        self._identity = self._identity or identity
        pseudonym = self._project.register(identity, at=datetime.now(UTC))
        self._record(identity)
        target = self._out / f"{_uid_of(clean)}.dcm"
        target.write_bytes(clean)
        return {"out": target.name, "patient": pseudonym}

    def _report(self, path: Path) -> dict[str, Any]:
        from cds.deidentify import deidentified_report

        text = path.read_text(encoding="utf-8")
        identity = self._identity or f"file|{path.resolve()}"
        clean = deidentified_report(text, self._project.pseudonyms, identity, self._known)
        self._texts += 1
        self._record(identity)
        target = self._out / f"{self._project.pseudonyms.patient(identity)}-{self._texts}.txt"
        target.write_text(clean, encoding="utf-8")
        return {"out": target.name, "patient": self._project.pseudonyms.patient(identity)}

    def _record(self, identity: str) -> None:
        thing = f"project/{self._project.name}"
        self._service.audit.record(Access(account(), "read", "cds deidentify", thing=thing, patient=identity))


def _project(service: Service, name: str) -> Any:
    from cds.deidentify import Project

    try:
        return Project(name, service.keyring, service.database)
    except ValueError as error:
        raise wrong_use(f"--project: {error}") from None


def _in_turn(files: list[Path]) -> list[Path]:
    """Return the files, films before reports: a report is cleaned of the names in the films."""
    found = [path for file in files for path in (sorted(file.rglob("*")) if file.is_dir() else [file])]
    return sorted(filter(Path.is_file, found), key=lambda path: path.suffix.lower() == _TEXT)


def _uid_of(film: bytes) -> str:
    import io

    return str(pydicom.dcmread(io.BytesIO(film), stop_before_pixels=True).SOPInstanceUID)
