"""Errors of the hooks, each with the HTTP status it becomes.

    CdsError
    ├── HookError
    │   ├── InvalidRequestError       400, the envelope is not as CDS Hooks has it
    │   ├── UnknownServiceError       404
    │   ├── UnprocessableRecordError  422, the envelope is right but the record cannot be used: two patients
    │   └── MissingDataError          412, required data were neither sent nor obtainable
    ├── TokenError                    401, bare: the reason goes to the log only
    └── AddressRefusedError           an address that must not be called; ends as a reason in the answer

Messages name path and reason, never a value of the request.
"""

from __future__ import annotations

from collections.abc import Sequence

from cds.errors import CdsError
from cds.fhir import Issue


class HookError(CdsError):
    """Base of the errors of the hooks."""

    status = 500

    def __init__(self, *issues: Issue) -> None:
        super().__init__("; ".join(issue.reason for issue in issues))
        self.issues: Sequence[Issue] = issues


class InvalidRequestError(HookError):
    """The request is not as CDS Hooks has it."""

    status = 400


class UnknownServiceError(HookError):
    """No service has this id."""

    status = 404


class UnprocessableRecordError(HookError):
    """The record of the request cannot be used as a whole."""

    status = 422


class MissingDataError(HookError):
    """Required data were neither sent nor obtainable."""

    status = 412


class TokenError(CdsError):
    """The caller is not who they must be; `code` is for the log."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class AddressRefusedError(CdsError):
    """An address must not be called; `code` is stable and carries nothing of the address."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code
