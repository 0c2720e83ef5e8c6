"""A project of de-identified data: its key, and its register of who is who, which only an audited act reads."""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy import select

from cds.deidentify.pseudonyms import Pseudonyms
from cds.errors import NotFoundError
from cds.store import Database
from cds.store.deidentified_tables import PseudonymRow
from cds.store.keyring import Keyring

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


class Project:
    """One project. The same patient has the same pseudonym in all of it, and another one in any other project."""

    def __init__(self, name: str, keyring: Keyring, database: Database) -> None:
        """Raises ValueError for a name that is not 1 to 40 small letters, digits and hyphens."""
        if not _NAME.fullmatch(name):
            raise ValueError("a project's name is 1 to 40 small letters, digits and hyphens")
        self.name = name
        self.pseudonyms = Pseudonyms(keyring.key(f"project-{name}"))
        self._database = database

    def register(self, identity: str, *, at: datetime) -> str:
        """Keep who a pseudonym is, before anything leaves under it; returns the pseudonym."""
        pseudonym = self.pseudonyms.patient(identity)
        with self._database.writing() as session:
            if session.get(PseudonymRow, (self.name, pseudonym)) is None:
                session.add(PseudonymRow(project=self.name, pseudonym=pseudonym, identity=identity, made_at=at))
        return pseudonym

    def identity(self, pseudonym: str) -> str:
        """Return who a pseudonym is: "issuer|number". Raises NotFoundError when nobody here is."""
        with self._database.reading() as session:
            found = session.scalar(
                select(PseudonymRow.identity).where(
                    PseudonymRow.project == self.name, PseudonymRow.pseudonym == pseudonym.strip().upper()
                )
            )
        if found is None:
            raise NotFoundError("no such pseudonym in this project")
        return str(found)
