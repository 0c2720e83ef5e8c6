"""A hospital's words: what is accepted, and what a mistake is told as."""

from __future__ import annotations

from typing import Any

import pytest

from nlp import Extractor, Vocabulary, VocabularyError
from nlp.embedding import ORDER
from nlp.lexicon import expand


def test_packaged_lexicon_knows_at_least_sixty_findings(vocabulary: Vocabulary) -> None:
    assert len(vocabulary.finding_keys()) >= 60


def test_every_finding_of_the_embedding_exists(finding_keys: list[str]) -> None:
    assert set(ORDER) <= set(finding_keys)


def test_a_site_adds_a_synonym_without_code(documents: dict[str, Any]) -> None:
    site = {"findings": [{"id": "site_effusion", "finding": "pleural_effusion", "phrases": ["hydrothorax"]}]}
    extractor = Extractor(Vocabulary.from_documents({**documents, "site.yaml": site}))
    assert extractor.extract("Small hydrothorax.").labels["pleural_effusion"] == 1


def test_a_site_adds_a_section_title_without_code(documents: dict[str, Any]) -> None:
    site = {"sections": [{"id": "site_history", "phrases": ["anamnesis"]}]}
    extractor = Extractor(Vocabulary.from_documents({**documents, "site.yaml": site}))
    result = extractor.extract("ANAMNESIS: cough\nFINDINGS: Lungs are clear.")
    assert result.sections[0].name == "site_history"


def test_a_site_takes_an_entry_out(documents: dict[str, Any]) -> None:
    words = {**documents["findings_devices.yaml"]}
    words["findings"] = [{**entry, "enabled": False} if entry["id"] == "picc" else entry for entry in words["findings"]]
    extractor = Extractor(Vocabulary.from_documents({**documents, "findings_devices.yaml": words}))
    assert "picc" not in {mention.finding for mention in extractor.extract("PICC in place.").findings}


def test_a_site_says_how_bare_words_read_in_a_region(documents: dict[str, Any]) -> None:
    site = {
        "regions": [{"id": "knee", "phrases": ["knee radiograph"], "readings": {"pleural_effusion": "joint_effusion"}}]
    }
    extractor = Extractor(Vocabulary.from_documents({**documents, "site.yaml": site}))
    (mention,) = extractor.extract("EXAM: knee radiographs\nFINDINGS: Small effusion.").findings
    assert mention.finding == "joint_effusion"


def test_a_site_says_what_a_region_does_not_know_and_what_it_alone_knows(documents: dict[str, Any]) -> None:
    site = {
        "regions": [
            {
                "id": "site_foot",
                "titles": ["foot"],
                "without": ["lung"],
                "readings": {"lung_cavity": None},
                "only": ["osteomyelitis"],
            }
        ]
    }
    extractor = Extractor(Vocabulary.from_documents({"site.yaml": site, **documents}))
    assert {one.finding for one in extractor.extract("EXAM: left foot\nCavity. Osteomyelitis.").findings} == {
        "osteomyelitis"
    }
    assert {one.finding for one in extractor.extract("Cavity in the lung. Osteomyelitis.").findings} == {"lung_cavity"}


def test_a_site_binds_a_phrase_to_the_end_of_the_sentence(documents: dict[str, Any]) -> None:
    site = {"modifiers": [{"id": "site_nada", "assertion": "absent", "direction": "backward", "phrases": ["nada $"]}]}
    extractor = Extractor(Vocabulary.from_documents({**documents, "site.yaml": site}))
    assert extractor.extract("Pneumothorax nada").labels["pneumothorax"] == 0
    assert extractor.extract("Pneumothorax nada small").labels["pneumothorax"] == 1


@pytest.mark.parametrize(
    ("document", "entry", "reason"),
    [
        ({"findngs": []}, "findngs", "unknown topic"),
        ({"findings": "effusion"}, "findings", "list of entries"),
        ({"findings": [{"id": "x", "phrases": []}]}, "findings.x", "phrases"),
        ({"findings": [{"id": "x", "phrases": ["a (b"]}]}, "findings.x", "unbalanced"),
        ({"findings": [{"id": "x", "phrases": ["a"], "color": "red"}]}, "findings.x", "color"),
        ({"findings": [{"id": "x", "finding": "no_such", "phrases": ["a"]}]}, "findings.x", "unknown finding"),
        ({"modifiers": [{"id": "x", "direction": "sideways", "phrases": ["a"]}]}, "modifiers.x", "direction"),
        (
            {"compositions": [{"id": "x", "finding": "cardiomegaly", "part": ["hart"], "quality": ["enlarged"]}]},
            "compositions.x",
            "unknown term",
        ),
        (
            {"regions": [{"id": "x", "phrases": ["a"], "readings": {"lung_mass": "no_such"}}]},
            "regions.x",
            "unknown finding",
        ),
        (
            {"regions": [{"id": "x", "titles": ["a"], "readings": {"lung_mass": None}, "only": ["no_such"]}]},
            "regions.x",
            "unknown finding",
        ),
        (
            {"guidelines": [{"id": "x", "modalities": ["CT"], "days_min": 1, "days_max": 2, "source": "s"}]},
            "guidelines.x",
            "neither findings nor scores",
        ),
        ({"findings": [{"id": "pneumothorax", "phrases": ["a"]}]}, "findings.pneumothorax", "already used"),
        (["effusion"], "", "mapping"),
    ],
)
def test_a_mistake_names_file_entry_and_reason(
    documents: dict[str, Any], finding_keys: list[str], document: object, entry: str, reason: str
) -> None:
    with pytest.raises(VocabularyError) as caught:
        Vocabulary.from_documents({**documents, "site.yaml": document}, known=finding_keys)
    assert (caught.value.file, caught.value.entry) == ("site.yaml", entry)
    assert reason in caught.value.reason


def test_without_findings_there_is_no_vocabulary() -> None:
    with pytest.raises(VocabularyError):
        Vocabulary.from_documents({"empty.yaml": None})


def test_patterns_expand_and_nest() -> None:
    assert expand("(left|right) lung") == ["left lung", "right lung"]
    assert set(expand("(a (b|c)|d) e")) == {"a b e", "a c e", "d e"}


def test_a_pattern_that_explodes_is_refused() -> None:
    with pytest.raises(ValueError, match="more than"):
        expand("(a|b)" * 30)
