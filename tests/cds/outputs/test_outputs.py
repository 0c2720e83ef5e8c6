"""What goes back into a study: valid by an independent validator, labelled, coded, and stable."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.uid import UID

from cds.outputs import Made, make_objects, withdrawal_of
from cds.outputs.source import SCHEME, Source
from cds.site.codes import FindingCodes
from cds.site.configuration import Configs
from vision import ImagingResult, read_radiograph
from vision.result import Box, Finding, Heatmap, Mask, Measurement, ModelRef, Region

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")

MODEL = ModelRef(id="chest-adult", version="1.0", sha256="a" * 64)
LUNG = (((0.5, 0.2), (0.9, 0.2), (0.9, 0.8), (0.5, 0.8)),)
HEART = (((0.4, 0.5), (0.7, 0.5), (0.7, 0.8)),)
RESULT = ImagingResult(
    findings=(
        Finding(key="lung_mass", score=0.8, label=True, threshold=0.5, model=MODEL),
        Finding(key="pneumothorax", score=0.1, label=False, threshold=0.5, model=MODEL),
        Finding(key="tuberculosis", score=0.4, model=MODEL),
        Finding(key="aortic_tortuosity", score=0.9, probability=0.3, label=True, threshold=0.3, model=MODEL),
    ),
    regions=(
        Region(finding="lung_mass", box=Box(x0=0.1, y0=0.2, x1=0.4, y1=0.5), score=0.8),
        Region(finding="lung_mass", box=Box(x0=0.6, y0=0.2, x1=1, y1=1), score=0.7),
    ),
    heatmaps=(Heatmap(finding="lung_mass", height=4, width=4, values=tuple(i / 16 for i in range(16))),),
    masks=(
        Mask(structure="left_lung", polygons=LUNG, model=MODEL),
        Mask(structure="heart", polygons=HEART, model=MODEL),
    ),
    measurements=(Measurement(name="cardiothoracic_ratio", value=0.51, unit="1"),),
    models=(MODEL,),
    analysed_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
)
CODES = FindingCodes(Configs().findings())


def chest() -> bytes:
    return Path(str(get_testdata_file("RG1_J2KI.dcm", download=False))).read_bytes()


def source(result: ImagingResult = RESULT, *, film: bytes | None = None, revision: int = 1) -> Source:
    return Source.of(film or chest(), result, CODES, revision=revision)


@pytest.fixture(scope="module")
def objects() -> dict[str, Dataset]:
    return {made.kind: made.dataset for made in make_objects(source())}


@pytest.fixture(scope="module")
def errors_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Made], list[str]]:
    """Return what `dciodvfy` calls an error in an object."""
    validator = shutil.which("dciodvfy")
    if validator is None:
        pytest.skip("no dciodvfy on this machine; Debian: apt-get install dicom3tools")
    file = tmp_path_factory.mktemp("validated") / "made.dcm"

    def errors(made: Made) -> list[str]:
        file.write_bytes(made.written())
        done = subprocess.run([validator, "-new", str(file)], capture_output=True, text=True, check=False)
        said = (done.stdout + done.stderr).splitlines()
        assert said, "the validator names at least the kind of object"
        return [line for line in said if line.startswith(("Error", "    Error")) or "Error -" in line]

    return errors


def everything(film: Source) -> list[Made]:
    made = make_objects(film)
    corrected = Source.of(film.data, RESULT.model_copy(update={"regions": ()}), CODES, revision=2)
    return [
        *made,
        *make_objects(corrected, replaces=made[0].dataset)[:1],
        Made("withdrawal", withdrawal_of(corrected, [one.dataset for one in made])),
    ]


def test_every_object_is_valid(errors_of: Callable[[Made], list[str]]) -> None:
    made = everything(source())
    assert [one.kind for one in made] == [
        "report", "segmentation", "presentation", "capture", "report", "withdrawal",
    ]  # fmt: skip
    assert {f"{one.kind}: {error}" for one in made for error in errors_of(one)} == set()


def test_the_validator_does_find_errors(errors_of: Callable[[Made], list[str]]) -> None:
    made = make_objects(source())[0]
    del made.dataset.CompletionFlag
    assert errors_of(made)


@pytest.mark.shared_data
def test_objects_of_real_films_of_every_make_are_valid(
    shared_data: Path, errors_of: Callable[[Made], list[str]]
) -> None:
    checked = 0
    for file in sorted((shared_data / "dicom").iterdir()):
        film = source(film=file.read_bytes())
        if not film.header.SOPInstanceUID.is_valid:
            continue  # what refers to such a film repeats its mistake
        checked += 1
        assert {f"{file.name} {one.kind}: {e}" for one in everything(film) for e in errors_of(one)} == set()
    assert checked >= 5


def test_every_object_belongs_to_the_study_and_patient_of_the_film_and_says_what_it_is(
    objects: dict[str, Dataset],
) -> None:
    film = source().header
    for made in objects.values():
        assert (made.StudyInstanceUID, made.PatientID) == (film.StudyInstanceUID, film.PatientID)
        assert made.SeriesInstanceUID != film.SeriesInstanceUID
        assert "Computer output, not verified" in made.SeriesDescription
        assert any("chest-adult 1.0" in version for version in made.SoftwareVersions)
    assert objects["report"].VerificationFlag == "UNVERIFIED"
    assert objects["report"].PreliminaryFlag == "PRELIMINARY"


def test_uids_are_stable_and_follow_what_was_said() -> None:
    first, again = (make_objects(source()) for _ in range(2))
    assert [one.sop_instance_uid for one in first] == [one.sop_instance_uid for one in again]
    assert all(UID(one.sop_instance_uid).is_valid for one in first)
    later = RESULT.model_copy(update={"analysed_at": datetime(2027, 1, 1, tzinfo=UTC)})
    assert source(later).instance_uid("report") == source().instance_uid("report")
    other = ModelRef(id="chest-adult", version="1.1", sha256="b" * 64)
    assert source(RESULT.model_copy(update={"models": (other,)})).instance_uid("report") != first[0].sop_instance_uid
    assert source(RESULT.model_copy(update={"regions": ()})).series_uid("report") == first[0].dataset.SeriesInstanceUID


def concepts(item: Dataset) -> list[tuple[str, str]]:
    """Return every code of a content tree as (scheme, value)."""
    found = [
        (code.CodingSchemeDesignator, code.get("CodeValue") or code.get("LongCodeValue"))
        for name in ("ConceptNameCodeSequence", "ConceptCodeSequence")
        for code in item.get(name, ())
    ]
    for child in item.get("ContentSequence", ()):
        found += concepts(child)
    return found


def test_findings_have_standard_codes_where_they_are_verified_and_the_projects_own_where_not(
    objects: dict[str, Dataset],
) -> None:
    coded = concepts(objects["report"])
    assert ("SCT", "309529002") in coded, "lung mass"
    assert (SCHEME, "aortic_tortuosity") in coded
    (scheme,) = objects["report"].CodingSchemeIdentificationSequence
    assert (scheme.CodingSchemeDesignator, scheme.CodingSchemeUID) == (
        SCHEME, "2.25.24906617982019767274945495948105615169",
    )  # fmt: skip


def test_a_finding_below_its_operating_point_is_never_called_absent(objects: dict[str, Dataset]) -> None:
    coded = concepts(objects["report"])
    assert (SCHEME, "below") in coded
    assert not {("SCT", "272519000"), ("SCT", "2667000")} & set(coded)


def graphics(item: Dataset) -> list[list[float]]:
    found = [list(item.GraphicData)] if "GraphicData" in item else []
    for child in item.get("ContentSequence", ()):
        found += graphics(child)
    return found


def test_regions_are_where_the_result_says_in_pixels_of_the_film(objects: dict[str, Dataset]) -> None:
    film = source().header
    first, second = graphics(objects["report"])
    assert first[:2] == pytest.approx([0.1 * film.Columns, 0.2 * film.Rows], abs=0.01)
    assert first[-2:] == first[:2], "closed"
    assert max(second[::2]) == film.Columns
    shown = objects["presentation"].GraphicAnnotationSequence[0].GraphicObjectSequence
    assert len(shown) == 2
    assert max(shown[1].GraphicData[::2]) <= film.Columns


def test_an_inverted_film_is_shown_as_it_is_meant(objects: dict[str, Dataset]) -> None:
    assert source().header.PhotometricInterpretation == "MONOCHROME1"
    assert objects["presentation"].PresentationLUTShape == "INVERSE"


def test_masks_cover_what_their_outlines_enclose(objects: dict[str, Dataset]) -> None:
    masks = objects["segmentation"].pixel_array
    assert masks.shape[1:] == (source().rows, source().columns)
    assert masks[0].mean() == pytest.approx(0.4 * 0.6, abs=0.002)
    assert masks[1].mean() == pytest.approx(0.3 * 0.3 / 2, abs=0.002)
    assert [segment.SegmentLabel for segment in objects["segmentation"].SegmentSequence] == ["left lung", "heart"]


def test_the_capture_is_the_film_with_colour_where_the_evidence_is(objects: dict[str, Dataset]) -> None:
    picture = objects["capture"].pixel_array[56:].astype(int)
    film = read_radiograph(chest()).pixels
    colour = picture.max(axis=2) - picture.min(axis=2)
    half = len(picture) // 2
    assert colour[half:].mean() > 3 * colour[: half // 2].mean(), "the heatmap is strong below"
    top = cv2.resize(film, picture.shape[1::-1], interpolation=cv2.INTER_AREA)[: half // 2]
    assert np.corrcoef(top.ravel(), picture[: half // 2].mean(axis=2).ravel())[0, 1] > 0.9
    band = objects["capture"].pixel_array[:56]
    assert band.max() > 200, "words"


def test_where_there_is_nothing_to_say_nothing_is_made() -> None:
    nothing = RESULT.model_copy(update={"findings": (), "regions": (), "heatmaps": (), "masks": (), "measurements": ()})
    assert make_objects(source(nothing)) == []
    told = nothing.model_copy(update={"findings": RESULT.findings})
    assert [one.kind for one in make_objects(source(told))] == ["report"]


def test_a_correction_names_what_it_replaces() -> None:
    first = make_objects(source())[0].dataset
    corrected = make_objects(source(RESULT.model_copy(update={"regions": ()}), revision=2), replaces=first)[0].dataset
    replaced = corrected.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert replaced.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert (corrected.SeriesInstanceUID, corrected.InstanceNumber) == (first.SeriesInstanceUID, 2)


def test_a_withdrawal_names_every_object_it_takes_back() -> None:
    made = [one.dataset for one in make_objects(source())]
    note = withdrawal_of(source(revision=2), made)
    assert note.ConceptNameCodeSequence[0].CodeValue == "113037"
    named = {
        instance.ReferencedSOPInstanceUID
        for study in note.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    assert named == {one.SOPInstanceUID for one in made}
