"""Errors of the cds package.

    CdsError
    ├── ConfigurationError      a setting or a file of configs/ is wrong; says which and what would be right
    ├── UnsafeToServeError      `cds serve` would listen beyond loopback without protection
    ├── NotAcceptedError        an input was refused before anything was stored
    │   ├── NotADicomFilmError  not a DICOM file, or one without the identifiers an arrival needs
    │   ├── ReportNotAcceptedError
    │   ├── MessageNotAcceptedError   an HL7 v2 message; the reason goes into its acknowledgement
    │   └── NotDeidentifiedError      a film that may still say whose it is
    ├── NotFoundError           no such film, report, patient or job
    ├── DeliveryError           a message did not arrive where it should; says whether trying again would help
    ├── NotYetError             a job is not ready to be done; says when to look again
    ├── AuthorizationError      a browser is not let in by an authorization server; says why, for people
    ├── SimulationError         an arrival log cannot be replayed; says which line is wrong
    ├── DemoError               the demo cannot start or cannot go on
    ├── BackupError             a file is not a backup, or a damaged one
    └── StoreError              the store cannot be used as it is; says what is wrong and the remedy
        ├── DamagedBlobError    a stored file is not what was stored
        ├── AuditError          the audit trail cannot be written
        ├── EncryptionKeyError  the encryption key is missing, or not the one of this data folder
        └── DatabaseVersionError  the database is not at the version of this program

Messages name the place and the remedy and never carry patient data.
"""

from __future__ import annotations

from datetime import datetime


class CdsError(Exception):
    """Base of all errors of this package."""


class ConfigurationError(CdsError):
    """A setting or configuration file is wrong."""


class UnsafeToServeError(CdsError):
    """The service would be reachable beyond loopback without authentication and TLS."""


class NotAcceptedError(CdsError):
    """An input was refused before it was stored; `code` is stable."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class NotADicomFilmError(NotAcceptedError):
    """Not a DICOM file, or one without the identifiers an arrival needs."""


class ReportNotAcceptedError(NotAcceptedError):
    """Not a report that can be stored: no text, no identifier, unknown status."""


class MessageNotAcceptedError(NotAcceptedError):
    """Not an HL7 v2 message that can be taken; names the field."""


class NotDeidentifiedError(NotAcceptedError):
    """A film cannot be cleaned of its patient, so it does not leave."""

    def __init__(self, reason: str) -> None:
        super().__init__("not_deidentified", reason)


class NotFoundError(CdsError):
    """The thing asked for is not in the store."""


class SimulationError(CdsError):
    """An arrival log cannot be replayed."""


class DeliveryError(CdsError):
    """A message did not arrive; the text is kept with the job for the operator.

    for_good  trying again would not help
    answered  the peer is there and refused this one; it may still take or give others
    """

    def __init__(self, reason: str, *, for_good: bool = False, answered: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good
        self.answered = answered


class NotYetError(CdsError):
    """A job waits for something; `until` is when to look again."""

    def __init__(self, until: datetime) -> None:
        super().__init__("not ready yet")
        self.until = until


class AuthorizationError(CdsError):
    """A browser is not let in by an authorization server; `code` is for the log."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class DemoError(CdsError):
    """The demo cannot start or cannot go on; says what would help."""


class StoreError(CdsError):
    """The store cannot be used as it is."""


class DamagedBlobError(StoreError):
    """A stored file does not have the content that its name stands for."""


class AuditError(StoreError):
    """The audit trail cannot be written, so nothing is answered."""


class EncryptionKeyError(StoreError):
    """The encryption key is missing, malformed, or not the one of this data folder."""


class DatabaseVersionError(StoreError):
    """The tables are older or newer than this program."""


class BackupError(CdsError):
    """A file is not a backup of this program, or a damaged one."""
