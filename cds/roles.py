"""What each role may do, in one table, and what each route needs, in another. Knows no web framework and no settings.

A route that is not listed needs `read` for GET and `operate` for anything that changes.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal

Role = Literal["clinician", "radiologist", "remote_reader", "engineer", "auditor"]
Permission = Literal["read", "submit", "assess", "judge", "opine", "operate", "audit"]

ROLES: dict[Role, frozenset[Permission]] = {
    "clinician": frozenset({"read", "submit", "assess"}),
    "radiologist": frozenset({"read", "submit", "assess", "judge", "opine"}),
    "remote_reader": frozenset({"opine"}),
    "engineer": frozenset({"submit", "assess", "operate"}),
    "auditor": frozenset({"audit"}),
}
EVERY_ROLE: frozenset[Role] = frozenset(ROLES)

_ANYONE_WITH_A_ROLE = None
_ROUTES: tuple[tuple[str, str, Permission | None], ...] = (
    (r".*", r"/api/v1/audit/.*", "audit"),
    (r".*", r"/api/v1/(subscriptions|events)(/.*)?", "operate"),
    (r"GET", r"/api/v1/(models|scores)", _ANYONE_WITH_A_ROLE),
    (r"GET", r"/(monitoring|tour(/.*)?)", _ANYONE_WITH_A_ROLE),
    (r"POST", r"/signout", _ANYONE_WITH_A_ROLE),
    (r"GET", r"/opinions/.*", "opine"),
    (r"POST", r"/api/v1/opinions/.*", "opine"),
    (r"POST", r"/api/v1/(studies|reports)", "submit"),
    (r"POST", r"/dicom-web/.*", "submit"),
    (r"POST", r"/api/v1/(studies/\{[a-z_]+\}|reports/\{[a-z_]+\})/.+", "judge"),
    (r"POST", r"/api/v1/(risk|reports:extract|scores/.+)", "assess"),
    (r"POST", r"/fhir/.*/_search", "read"),
    (r"GET", r".*", "read"),
    (r".*", r".*", "operate"),
)


def needed(method: str, template: str) -> Permission | None:
    """Return what a route needs; None where any role will do.

    template  the route as it is declared, such as "/api/v1/studies/{study_id}"
    """
    return next(
        permission
        for methods, paths, permission in _ROUTES
        if re.fullmatch(methods, "GET" if method == "HEAD" else method) and re.fullmatch(paths, template)
    )


def permits(roles: Collection[Role], permission: Permission | None, *, clinicians_judge: bool = False) -> bool:
    """Whether one of the roles may do it.

    clinicians_judge  whether a site lets clinicians give verdicts too
    """
    if permission is None:
        return bool(roles)
    if permission == "judge" and clinicians_judge and "clinician" in roles:
        return True
    return any(permission in ROLES[role] for role in roles)


def roles_with(permission: Permission) -> list[str]:
    """Return the roles that may do it, for a message."""
    return [role for role, permissions in ROLES.items() if permission in permissions]
