"""The facts of one patient: typed, dated, in canonical units, each with the resource it came from.

Knows no FHIR and no rule. Observation keys carry their unit (`urea_mmol_l`), except for plain counts and rates.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from operator import attrgetter

from fusion.assessment import Dropped

_TIME = attrgetter("at")


@dataclass(frozen=True)
class Observation:
    """One measured or assessed value in the canonical unit of its key.

    bound  "<" or ">" when the laboratory gave only a limit; the value is then the limit
    """

    key: str
    value: float | bool | str
    at: datetime
    reference: str
    unit: str | None = None
    bound: str | None = None


@dataclass(frozen=True)
class Condition:
    """A problem; `keys` are the condition keys its codes stand for."""

    keys: frozenset[str]
    active: bool
    onset: date | None
    reference: str


@dataclass(frozen=True)
class Medication:
    keys: frozenset[str]
    active: bool
    start: date | None
    end: date | None
    reference: str


@dataclass(frozen=True)
class Allergy:
    """An allergy or intolerance; severity of the worst reaction: mild, moderate, severe or None."""

    keys: frozenset[str]
    severity: str | None
    reference: str


@dataclass(frozen=True)
class Imaging:
    """An examination ordered or done: coded so that `cds` can map it to an orderable.

    status  "ordered", "done" or "planned"
    codes   (system, code) of the examination
    """

    codes: frozenset[tuple[str, str]]
    modality: str | None
    text: str | None
    at: datetime | None
    status: str
    reference: str


@dataclass(frozen=True)
class Encounter:
    """kind: FHIR class code such as IMP, EMER, AMB; `icu` when class or location type says intensive care."""

    kind: str | None
    icu: bool
    start: datetime | None
    end: datetime | None
    reference: str


@dataclass(frozen=True)
class Smoking:
    """status: current, former, never or None; pack-years and quit date where recorded."""

    status: str | None = None
    pack_years: float | None = None
    quit_on: date | None = None
    reference: str | None = None


@dataclass(frozen=True)
class Patient:
    """What is known of one patient. Sex is administrative gender: male, female, other, unknown or None.

    kinds         FHIR resource types that came with the record or were searched for; what is not listed of another is
                  unknown
    contradicted  per observation key the newest moment at which the record contradicts itself
    """

    id: str
    identifiers: tuple[tuple[str, str], ...] = ()
    birth_date: date | None = None
    sex: str | None = None
    deceased: bool = False
    observations: tuple[Observation, ...] = ()
    conditions: tuple[Condition, ...] = ()
    medications: tuple[Medication, ...] = ()
    allergies: tuple[Allergy, ...] = ()
    encounters: tuple[Encounter, ...] = ()
    imaging: tuple[Imaging, ...] = ()
    smoking: Smoking = field(default_factory=Smoking)
    dropped: tuple[Dropped, ...] = ()
    kinds: frozenset[str] = frozenset()
    contradicted: Mapping[str, datetime] = field(default_factory=dict)

    @cached_property
    def _by_key(self) -> Mapping[str, Sequence[Observation]]:
        index: dict[str, list[Observation]] = {}
        for observation in self.observations:
            index.setdefault(observation.key, []).append(observation)
        return index

    @cached_property
    def _in_order(self) -> dict[str, Sequence[Observation]]:
        """The series that were asked for, sorted then."""
        return {}

    @cached_property
    def _condition_keys(self) -> Mapping[str, Condition]:
        return {key: condition for condition in self.conditions if condition.active for key in condition.keys}

    def age_at(self, at: datetime) -> int | None:
        """Return completed years, or None without a birth date."""
        if self.birth_date is None:
            return None
        born, day = self.birth_date, at.date()
        return day.year - born.year - ((day.month, day.day) < (born.month, born.day))

    @property
    def newest_at(self) -> datetime | None:
        """Time of the newest observation."""
        return max(map(_TIME, self.observations), default=None)

    def series(self, key: str) -> Sequence[Observation]:
        """Return the values of a key, oldest first."""
        if key not in self._in_order:
            self._in_order[key] = sorted(self._by_key.get(key, ()), key=_TIME)
        return self._in_order[key]

    def latest(self, key: str, *, at: datetime, within: timedelta | None = None) -> Observation | None:
        """Return the newest value of a key at a time, if it is not older than `within` nor was contradicted since."""
        for observation in reversed(self.series(key)):
            if observation.at <= at:
                doubt = self.contradicted.get(key)
                usable = doubt is None or not observation.at <= doubt <= at
                return observation if usable and (within is None or at - observation.at <= within) else None
        return None

    def condition(self, key: str) -> Condition | None:
        """Return an active condition with this key."""
        return self._condition_keys.get(key)

    def medication(self, key: str, *, on: date) -> Medication | None:
        """Return a medication in use on a day."""
        for medication in self.medications:
            if key in medication.keys and medication.active and (medication.end is None or medication.end >= on):
                return medication
        return None

    def allergy(self, key: str) -> Allergy | None:
        return next((allergy for allergy in self.allergies if key in allergy.keys), None)
