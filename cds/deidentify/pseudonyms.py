"""A project's keyed names, UIDs and shifts of dates: the same every time, and nothing without the project's key."""

from __future__ import annotations

import base64
import hashlib
import hmac
import uuid
from datetime import date, datetime, timedelta

SHORTEST_KEY = 32
_NAME_LENGTH = 12
_LONGEST_SHIFT_DAYS = 3650
_SHORTEST_SHIFT_DAYS = 366


class Pseudonyms:
    """What stands for what in one project.

    key  of the project, 32 bytes or more; another project with another key gives other pseudonyms
    """

    def __init__(self, key: bytes) -> None:
        if len(key) < SHORTEST_KEY:
            raise ValueError(f"a project's key has {SHORTEST_KEY} bytes or more")
        self._key = key

    def patient(self, identity: str) -> str:
        """Return the pseudonym of a patient: 12 letters and digits that cannot be read two ways."""
        return base64.b32encode(self._digest("patient", identity))[:_NAME_LENGTH].decode()

    def number(self, value: str) -> str:
        """Return what stands for an accession or order number."""
        return base64.b32encode(self._digest("number", value))[:_NAME_LENGTH].decode()

    def uid(self, value: str) -> str:
        """Return what stands for a UID: one by PS3.5 annex B.2, so that references still lead where they led."""
        return f"2.25.{uuid.UUID(bytes=self._digest('uid', value)[:16], version=4).int}"

    def days(self, identity: str) -> int:
        """Return by how many days the dates of a patient go back: one to ten years, the same for all of them."""
        span = _LONGEST_SHIFT_DAYS - _SHORTEST_SHIFT_DAYS
        return -(_SHORTEST_SHIFT_DAYS + int.from_bytes(self._digest("days", identity)[:4], "big") % span)

    def shifted_date(self, value: str, identity: str) -> str:
        """Return a DICOM DA (YYYYMMDD) moved; nothing when it is no date."""
        try:
            day = datetime.strptime(value[:8], "%Y%m%d").date()  # noqa: DTZ007 - a day has no zone
        except ValueError:
            return ""
        return self.moved(day, identity).strftime("%Y%m%d")

    def shifted_moment(self, value: str, identity: str) -> str:
        """Return a DICOM DT moved by whole days; nothing when it is not exact to the day."""
        day = self.shifted_date(value, identity)
        return day + value[8:] if day else ""

    def moved(self, day: date, identity: str) -> date:
        """Return a day moved; the first day there is when it would lie before all of them."""
        try:
            return day + timedelta(days=self.days(identity))
        except OverflowError:
            return date.min

    def _digest(self, kind: str, value: str) -> bytes:
        return hmac.new(self._key, f"{kind}\x00{value}".encode(), hashlib.sha256).digest()
