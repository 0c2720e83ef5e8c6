"""The analyzer: which model speaks of which film, what becomes a finding, and what is said when nothing does."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision import (
    Analyzer,
    ImagingResult,
    ModelVerificationError,
    Radiograph,
    Technique,
    analyze_files,
    read_radiograph,
)
from vision.analyze import MODELS, population_of
from vision.findings import shifted
from vision.subject import MODEL_OF

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class FakeEncoder:
    """Says the same of every film: evidence in the upper left of the film."""

    card: SimpleNamespace
    seen: list = field(default_factory=list)

    def encode(self, pixels, lungs=None):
        self.seen.append(pixels)
        logits = np.full((7, 7), -3, np.float32)
        logits[1, 1] = 3
        labels = [*self.card.served, "never_served"]
        scores = {label: self.card.says.get(label, 0.5) for label in labels}
        maps = dict.fromkeys(labels, logits)
        return SimpleNamespace(logits=scores, scores=scores, maps=maps, embedding=np.ones(4, np.float32))


def card(name: str, says: dict[str, float], **changes) -> SimpleNamespace:
    fields = {
        "id": name,
        "version": "1",
        "sha256": "0" * 64,
        "says": says,
        "served": list(says),
        "enabled": True,
        "thresholds": {label: {"value": 0.6} for label in says if label != "tuberculosis"},
        "prevalence": dict.fromkeys(says, 0.5),
        "calibration": dict.fromkeys(says, SimpleNamespace(slope=1.0, intercept=0.0)),
        "population": SimpleNamespace(name=name, age_from=AGES[name][0], age_to=AGES[name][1]),
    }
    return SimpleNamespace(**{**fields, **changes})


AGES = {"adult": (18, None), "paediatric": (1, 6)}


@pytest.fixture(scope="module")
def chest(packaged_film) -> Radiograph:
    """The packaged film of a woman of 64 years."""
    return read_radiograph(packaged_film("RG1_J2KI.dcm"))


@pytest.fixture
def encoders(monkeypatch):
    """Put fakes in the place of the packaged encoders; the gate stays the real one."""
    fakes = {
        "adult": FakeEncoder(card("adult", {"lung_opacity": 0.8, "pleural_effusion": 0.7, "tuberculosis": 0.9})),
        "paediatric": FakeEncoder(card("paediatric", {"paediatric_pneumonia": 0.2})),
    }
    monkeypatch.setattr("vision.places.read_card", lambda folder: fakes[folder.name].card)
    monkeypatch.setattr("vision.places.Encoder", SimpleNamespace(load=lambda folder, threads: fakes[folder.name]))
    return fakes


@pytest.fixture
def analyzer(encoders) -> Analyzer:
    return Analyzer(threads=1)


@pytest.fixture(scope="module")
def packaged() -> Analyzer:
    """The analyzer with the models of the package."""
    return Analyzer(threads=1)


def aged(film: Radiograph, years: float | None) -> Radiograph:
    return replace(film, age_years=years)


def headless(film: Radiograph) -> Radiograph:
    return replace(
        film,
        has_metadata=False,
        modality=None,
        body_part=None,
        view=None,
        age_years=None,
        sex=None,
        patient_orientation=(),
    )


class TestPopulation:
    @pytest.mark.parametrize(
        ("years", "population"), [(18.0, "adult"), (17.99, "paediatric"), (64, "adult"), (0.5, "paediatric")]
    )
    def test_the_age_of_the_header_decides(self, chest, years, population):
        assert population_of(aged(chest, years), Technique(age_years=50)) == (population, "header")

    def test_a_given_age_decides_where_the_header_has_none(self, chest):
        assert population_of(aged(chest, None), Technique(age_years=5)) == ("paediatric", "given")

    def test_an_adult_is_assumed_only_without_any_metadata(self, chest):
        assumed = Technique(assume_adult=True)
        assert population_of(headless(chest), assumed) == ("adult", "assumed")
        assert population_of(aged(chest, None), assumed) == ("unknown", "none")
        assert population_of(headless(chest), Technique()) == ("unknown", "none")

    def test_adults_get_the_adult_model_and_children_the_paediatric_one(self, analyzer, chest):
        assert next(f.key for f in analyzer.analyze(chest, at=AT).findings) == "lung_opacity"
        child = analyzer.analyze(aged(chest, 5), at=AT)
        assert [f.key for f in child.findings] == ["paediatric_pneumonia"]
        assert child.population == "paediatric"

    def test_of_unknown_age_nothing_is_said_and_the_reason_is(self, analyzer, encoders, chest):
        result = analyzer.analyze(aged(chest, None), at=AT)
        assert result.rejection is None
        assert result.findings == ()
        assert set(result.not_applicable) == {
            "lung_opacity",
            "pleural_effusion",
            "tuberculosis",
            "paediatric_pneumonia",
        }
        assert all("age" in reason for reason in result.not_applicable.values())
        assert not encoders["adult"].seen
        assert not encoders["paediatric"].seen

    def test_a_child_older_than_the_model_knows_is_not_assessed(self, analyzer, encoders, chest):
        result = analyzer.analyze(aged(chest, 12), at=AT)
        assert result.findings == ()
        assert "years" in result.not_applicable["paediatric_pneumonia"]
        assert not encoders["paediatric"].seen


class TestFindings:
    def test_only_what_the_card_serves_is_shown(self, analyzer, chest):
        assert [f.key for f in analyzer.analyze(chest, at=AT).findings] == [
            "lung_opacity",
            "pleural_effusion",
            "tuberculosis",
        ]

    def test_labels_come_from_the_cut_off_and_are_open_without_one(self, analyzer, chest):
        result = analyzer.analyze(chest, at=AT)
        assert [(f.label, f.threshold) for f in result.findings] == [(True, 0.6), (True, 0.6), (None, None)]
        child = analyzer.analyze(aged(chest, 4), at=AT)
        assert child.findings[0].label is False

    def test_a_score_is_a_probability_only_at_a_configured_prevalence(self, encoders, chest):
        result = Analyzer(threads=1, prevalence={"lung_opacity": 0.1}).analyze(chest, at=AT)
        assert result.finding("lung_opacity").score == 0.8
        assert result.finding("lung_opacity").probability == pytest.approx(4 / 9 / (4 / 9 + 1))
        assert result.finding("pleural_effusion").probability is None

    def test_findings_above_their_cut_off_are_shown_on_the_film(self, analyzer, chest):
        result = analyzer.analyze(chest, at=AT)
        assert [h.finding for h in result.heatmaps] == ["lung_opacity", "pleural_effusion"]
        assert {(r.finding, r.side, r.zone) for r in result.regions} == {
            ("lung_opacity", "right", "upper"),
            ("pleural_effusion", "right", "upper"),
        }

    def test_with_none_above_the_nearest_is_shown(self, analyzer, chest):
        assert [h.finding for h in analyzer.analyze(aged(chest, 4), at=AT).heatmaps] == ["paediatric_pneumonia"]

    @given(st.floats(0.02, 0.98), st.floats(0.02, 0.98), st.floats(0.02, 0.98))
    def test_the_prevalence_shift_is_monotone_and_undone_by_the_shift_back(self, score, developed, site):
        there = shifted(score, developed, site)
        assert (there > score) == (site > developed) or there == pytest.approx(score, abs=1e-5)
        assert shifted(there, site, developed) == pytest.approx(score, abs=1e-4)


class TestResult:
    def test_a_result_survives_json(self, analyzer, chest):
        result = analyzer.analyze(chest, at=AT)
        assert ImagingResult.model_validate_json(result.model_dump_json()) == result

    def test_a_result_names_its_models_its_film_and_its_time(self, analyzer, chest):
        result = analyzer.analyze(chest, at=AT)
        assert [m.id for m in result.models] == ["gate", "vision-anatomy", "adult"]
        assert result.image_sha256 == chest.sha256
        assert result.analysed_at == AT
        assert result.embedding.model.id == "adult"

    def test_a_refused_film_has_a_reason_and_no_number(self, analyzer, encoders, packaged_film):
        result = analyzer.analyze(read_radiograph(packaged_film("RG3_J2KI.dcm")), at=AT)
        assert result.rejection.code == "wrong_body_part"
        assert (result.findings, result.regions, result.heatmaps, result.measurements) == ((), (), (), ())
        assert result.embedding is None
        assert not encoders["adult"].seen

    def test_measures_of_quality_go_into_json(self, analyzer, chest):
        quality = analyzer.analyze(chest, at=AT).quality
        assert json.loads(json.dumps(quality)) == quality
        assert quality["chest"] > 0.5


class TestModelsThatFail:
    def test_a_model_that_fails_verification_is_refused_and_the_other_goes_on(self, encoders, chest, monkeypatch):
        def load(folder, threads):
            if folder.name == "adult":
                raise ModelVerificationError("the golden output differs")
            return encoders[folder.name]

        monkeypatch.setattr("vision.places.Encoder", SimpleNamespace(load=load))
        analyzer = Analyzer(threads=1)
        states = {row["id"]: (row["state"], row["reason"]) for row in analyzer.status()}
        assert states["adult"] == ("refused", "the golden output differs")
        assert states["paediatric"] == ("served", None)
        adult = analyzer.analyze(chest, at=AT)
        assert adult.findings == ()
        assert "golden output differs" in adult.not_applicable["lung_opacity"]
        assert analyzer.analyze(aged(chest, 3), at=AT).findings

    def test_whatever_a_damaged_folder_raises_its_model_alone_is_refused(self, encoders, chest, monkeypatch):
        def load(folder, threads):
            if folder.name == "adult":
                raise MemoryError("a table of a terabyte, of Secret Name")
            return encoders[folder.name]

        monkeypatch.setattr("vision.places.Encoder", SimpleNamespace(load=load))
        analyzer = Analyzer(threads=1)
        states = {row["id"]: (row["state"], row["reason"]) for row in analyzer.status()}
        assert states["adult"] == ("refused", "adult: cannot be loaded (MemoryError)")
        assert analyzer.analyze(aged(chest, 3), at=AT).findings

    def test_a_model_that_may_serve_nothing_is_off(self, encoders):
        encoders["paediatric"].card.served = []
        assert Analyzer(threads=1).status()[2]["state"] == "off"

    def test_without_the_gate_no_film_is_assessed_and_the_reason_is_said(self, encoders, chest, monkeypatch):
        def load(folder, threads):
            raise ModelVerificationError("the gate is broken")

        monkeypatch.setattr("vision.places.Gate", SimpleNamespace(load=load))
        analyzer = Analyzer(threads=1)
        result = analyzer.analyze(chest, at=AT)
        assert analyzer.status()[0]["state"] == "refused"
        assert result.findings == ()
        assert all("the gate is broken" in reason for reason in result.not_applicable.values())
        assert not encoders["adult"].seen

    def test_an_empty_folder_of_models_serves_nothing_and_does_not_fail(self, tmp_path, chest):
        analyzer = Analyzer(threads=1, models=tmp_path)
        assert {row["state"] for row in analyzer.status()} == {"refused"}
        assert analyzer.analyze(chest, at=AT).findings == ()


class TestFiles:
    def test_files_come_back_in_order_with_reasons_for_the_unreadable(self, analyzer, packaged_film, tmp_path):
        cut = tmp_path / "cut.dcm"
        cut.write_bytes(packaged_film("RG1_J2KI.dcm").read_bytes()[:100_000])
        paths = [packaged_film("RG1_J2KI.dcm"), cut, packaged_film("CT_small.dcm"), packaged_film("RG3_J2KI.dcm")]
        results = list(analyze_files(analyzer, [*paths, *paths], Technique()))
        assert [path for path, _ in results] == [*paths, *paths]
        codes = [result.rejection.code if result.rejection else None for _, result in results[:4]]
        assert codes == [None, "truncated", "wrong_modality", "wrong_body_part"]

    def test_a_reader_that_stops_early_leaves_nothing_running(self, analyzer, packaged_film):
        results = analyze_files(analyzer, [packaged_film("RG3_J2KI.dcm")] * 50, Technique())
        next(results)
        results.close()
        with pytest.raises(StopIteration):
            next(results)


@pytest.mark.skipif(not (MODELS / "adult" / "model.yaml").is_file(), reason="no adult model is packaged")
class TestPackagedModels:
    def test_packaged_models_are_served_but_those_that_ship_off(self, packaged):
        states = {row["id"]: row["state"] for row in packaged.status()}
        ship_off = {f"vision-{name}" for name in MODEL_OF.values()}
        assert {state for name, state in states.items() if name not in ship_off} == {"served"}
        assert {state for name, state in states.items() if name in ship_off} == {"off"}

    def test_the_film_with_lung_masses_is_abnormal_with_and_without_its_header(self, packaged, chest):
        for film in (chest, headless(chest)):
            result = packaged.analyze(film, Technique(assume_adult=True), at=AT)
            assert result.rejection is None
            assert any(finding.label for finding in result.findings)
            assert result.regions

    def test_the_total_of_shipped_weights_stays_within_its_limit(self):
        files = [path for path in Path(MODELS).rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) < 60 * 2**20
