"""The vocabulary of the extractor, validated from documents that someone else has read.

Knows no file system: `cds` loads the YAML documents (packaged, overlaid by a site's folder) and
hands them in by name. A document may hold any of the topics; entries of one topic in several
documents add up, and two entries of one topic may not share an id.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from nlp.errors import VocabularyError
from nlp.lexicon import (
    BodyPartTerm,
    ChangeTerm,
    Composition,
    ContextModifier,
    CriticalTerm,
    DateOrder,
    Entry,
    FindingTerm,
    GuidelineInterval,
    IgnoredTerm,
    IntervalTerm,
    Language,
    LocationTerm,
    ModalityTerm,
    NormalRule,
    RecommendationTrigger,
    Region,
    SectionTitle,
    SeverityTerm,
    SupersededFinding,
    Support,
    Term,
    VerdictRule,
    WordList,
)

TOPICS: Mapping[str, type[Entry]] = MappingProxyType(
    {
        "findings": FindingTerm,
        "ignored": IgnoredTerm,
        "terms": Term,
        "compositions": Composition,
        "regions": Region,
        "modifiers": ContextModifier,
        "sections": SectionTitle,
        "severities": SeverityTerm,
        "changes": ChangeTerm,
        "locations": LocationTerm,
        "recommendation_triggers": RecommendationTrigger,
        "modalities": ModalityTerm,
        "body_parts": BodyPartTerm,
        "intervals": IntervalTerm,
        "date_orders": DateOrder,
        "guidelines": GuidelineInterval,
        "word_lists": WordList,
        "spellings": WordList,
        "critical": CriticalTerm,
        "superseded": SupersededFinding,
        "supports": Support,
        "verdicts": VerdictRule,
        "normal": NormalRule,
        "languages": Language,
    }
)


_SHORTEST_INFLECTED = 3
_WORDED = ("phrases", "titles", "without", "near", "unless")


class Vocabulary(BaseModel):
    """All entries by topic; immutable and safe to share between extractors."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    findings: tuple[FindingTerm, ...]
    ignored: tuple[IgnoredTerm, ...] = ()
    terms: tuple[Term, ...] = ()
    compositions: tuple[Composition, ...] = ()
    regions: tuple[Region, ...] = ()
    modifiers: tuple[ContextModifier, ...] = ()
    sections: tuple[SectionTitle, ...] = ()
    severities: tuple[SeverityTerm, ...] = ()
    changes: tuple[ChangeTerm, ...] = ()
    locations: tuple[LocationTerm, ...] = ()
    recommendation_triggers: tuple[RecommendationTrigger, ...] = ()
    modalities: tuple[ModalityTerm, ...] = ()
    body_parts: tuple[BodyPartTerm, ...] = ()
    intervals: tuple[IntervalTerm, ...] = ()
    date_orders: tuple[DateOrder, ...] = ()
    guidelines: tuple[GuidelineInterval, ...] = ()
    word_lists: tuple[WordList, ...] = ()
    spellings: tuple[WordList, ...] = ()
    critical: tuple[CriticalTerm, ...] = ()
    superseded: tuple[SupersededFinding, ...] = ()
    supports: tuple[Support, ...] = ()
    verdicts: tuple[VerdictRule, ...] = ()
    normal: tuple[NormalRule, ...] = ()
    languages: tuple[Language, ...] = ()

    @classmethod
    def from_documents(cls, documents: Mapping[str, object], *, known: Sequence[str] | None = None) -> Self:
        """Validate the parsed YAML documents, keyed by file name.

        `known` lists the finding keys that exist; without it any key is taken.
        Raises VocabularyError naming the file, the entry and the reason.
        """
        entries: dict[str, list[Entry]] = {topic: [] for topic in TOPICS}
        origin: dict[tuple[str, str], str] = {}
        for file, document in documents.items():
            if document is None:
                continue
            if not isinstance(document, Mapping):
                raise VocabularyError(file, "", "must be a mapping of topics to lists of entries")
            for topic, items in document.items():
                entries.setdefault(str(topic), []).extend(_read_topic(file, str(topic), items, origin))
        if not entries["findings"]:
            raise VocabularyError(", ".join(documents) or "no documents", "", "no topic `findings` in any document")
        orders = [entry for entry in entries["date_orders"] if entry.enabled]
        if len(orders) > 1:
            second = orders[1].id
            raise VocabularyError(origin["date_orders", second], f"date_orders.{second}", "another order is given")
        vocabulary = cls(
            **{topic: tuple(entry for entry in found if entry.enabled) for topic, found in entries.items()}
        )
        vocabulary._check_references(origin, known)
        return vocabulary

    def words(self, list_id: str) -> tuple[str, ...]:
        """The phrases of one word list, empty when no document has it."""
        return next((entry.phrases for entry in self.word_lists if entry.id == list_id), ())

    def finding_keys(self) -> tuple[str, ...]:
        """All finding keys that the words can lead to, sorted."""
        named = {entry.finding for entry in self.findings}
        named |= {finding for entry in self.regions for finding in entry.readings.values() if finding is not None}
        return tuple(sorted(named | {entry.finding for entry in self.compositions}))

    def word_forms(self) -> dict[str, str]:
        """Folded word -> the form used for matching: plurals and spelling variants of lexicon words."""
        forms: dict[str, str] = {}
        for phrase in self._all_phrases():
            for word in phrase.split():
                if len(word) >= _SHORTEST_INFLECTED and word.isalpha():
                    forms.update(dict.fromkeys(_plurals(word), word))
        for spelling in self.spellings:
            for variant in spelling.phrases:
                forms.update(dict.fromkeys((variant, *_plurals(variant)), spelling.id))
        return {word: _resolve(word, forms) for word in forms}

    def _all_phrases(self) -> Iterator[str]:
        for topic in TOPICS:
            if topic not in ("spellings", "languages"):
                for entry in getattr(self, topic):
                    for field in _WORDED:
                        yield from getattr(entry, field, ())

    def _check_references(self, origin: Mapping[tuple[str, str], str], known: Sequence[str] | None) -> None:
        terms = {term.id for term in self.terms}
        for composition in self.compositions:
            for name in (*composition.part, *composition.quality):
                if name not in terms:
                    file = origin["compositions", composition.id]
                    raise VocabularyError(file, f"compositions.{composition.id}", f"unknown term {name!r}")
        if known is None:
            return
        for topic in (
            "findings",
            "compositions",
            "regions",
            "critical",
            "superseded",
            "supports",
            "verdicts",
            "guidelines",
        ):
            for entry in getattr(self, topic):
                for key in _finding_keys(entry):
                    if key not in known:
                        file = origin[topic, entry.id]
                        raise VocabularyError(file, f"{topic}.{entry.id}", f"unknown finding {key!r}")


def _finding_keys(entry: Entry) -> Iterator[str]:
    fields = entry.model_dump(include={"finding"})
    yield from fields.values()
    for several in ("implied_by", "supported_by", "denied_by", "findings", "only"):
        yield from getattr(entry, several, ())
    for one, other in getattr(entry, "readings", {}).items():
        yield from (one, other) if other is not None else (one,)


def _plurals(word: str) -> Iterator[str]:
    yield word + "s"
    if word.endswith(("s", "x", "ch", "sh")):
        yield word + "es"
    if word.endswith("y"):
        yield word[:-1] + "ies"
    if word.endswith("is"):
        yield word[:-2] + "es"


def _resolve(word: str, forms: Mapping[str, str]) -> str:
    seen = {word}
    while (base := forms.get(word)) is not None and base not in seen:
        seen.add(base)
        word = base
    return word


def _read_topic(file: str, topic: str, items: object, origin: dict[tuple[str, str], str]) -> list[Entry]:
    if topic not in TOPICS:
        raise VocabularyError(file, topic, f"unknown topic; one of {', '.join(TOPICS)}")
    if not isinstance(items, Sequence) or isinstance(items, str):
        raise VocabularyError(file, topic, "must be a list of entries")
    read: list[Entry] = []
    for number, item in enumerate(items, start=1):
        entry = _read_entry(file, topic, number, item)
        first = origin.setdefault((topic, entry.id), file)
        if first != file or any(entry.id == other.id for other in read):
            raise VocabularyError(file, f"{topic}.{entry.id}", f"the id is already used in {first}")
        read.append(entry)
    return read


def _read_entry(file: str, topic: str, number: int, item: Any) -> Entry:
    name = item.get("id", number) if isinstance(item, Mapping) else number
    if isinstance(item, Mapping) and topic == "findings":
        item = {"finding": item.get("id"), **item}
    try:
        return TypeAdapter(TOPICS[topic]).validate_python(item)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        raise VocabularyError(file, f"{topic}.{name}", f"{where}: {reason}" if where else reason) from error
