"""Reading: what the standard says a viewer shows is what comes out; what cannot be shown is refused with a reason."""

from __future__ import annotations

import logging
import struct
import warnings
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from vision import Radiograph, UnreadableImageError, read_radiograph
from vision.read import CODES

LOSSLESS = [
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEG2000Lossless,
]


def refused(data: bytes | Path) -> UnreadableImageError:
    with pytest.raises(UnreadableImageError) as caught:
        read_radiograph(data)
    assert caught.value.code in CODES
    return caught.value


def pixels(dataset: Dataset, file_bytes) -> np.ndarray:
    return read_radiograph(file_bytes(dataset)).pixels


def meta_length(data: bytes) -> int:
    """Return how long preamble, prefix and file meta of a DICOM file are."""
    return 144 + struct.unpack("<I", data[140:144])[0]


@pytest.fixture
def plain(film, chest_like) -> Dataset:
    return film(chest_like())


@pytest.fixture
def plain_bytes(plain, file_bytes) -> bytes:
    return file_bytes(plain)


class TestTransferSyntaxes:
    @pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda uid: uid.name)
    def test_lossless_syntaxes_give_the_same_pixels(self, film, chest_like, file_bytes, syntax):
        expected = pixels(film(chest_like()), file_bytes)
        given = read_radiograph(file_bytes(film(chest_like()), syntax)).pixels
        assert np.array_equal(given, expected)

    def test_jpeg_baseline_gives_nearly_the_same_pixels(self, film, chest_like, file_bytes):
        values = chest_like(bits=8).astype(np.uint8)
        expected = pixels(film(values, bits=8), file_bytes)
        given = read_radiograph(file_bytes(film(values, bits=8), JPEGBaseline8Bit)).pixels
        assert np.abs(given - expected).max() < 0.1

    def test_big_endian_is_read(self, packaged_film):
        big = read_radiograph(packaged_film("MR_small_bigendian.dcm"))
        little = read_radiograph(packaged_film("MR_small.dcm"))
        assert np.array_equal(big.pixels, little.pixels)

    def test_a_real_film_is_the_same_compressed_and_not(self, packaged_film):
        plain = read_radiograph(packaged_film("RG1_UNCR.dcm")).pixels
        lossless = read_radiograph(packaged_film("RG1_J2KR.dcm")).pixels
        lossy = read_radiograph(packaged_film("RG1_J2KI.dcm")).pixels
        assert np.array_equal(lossless, plain)
        assert np.abs(lossy - plain).mean() < 0.01

    def test_jpeg_lossless_is_read(self, packaged_film):
        film = read_radiograph(packaged_film("JPGLosslessP14SV1_1s_1f_8b.dcm"))
        assert (film.rows, film.columns, film.bits) == (768, 1024, 8)

    def test_the_test_pattern_has_its_shades_through_a_modality_lut_and_through_a_voi_lut(self, packaged_film):
        by_modality, by_voi = (read_radiograph(packaged_film(n)).pixels for n in ("mlut_18.dcm", "vlut_04.dcm"))
        assert np.abs(by_modality - by_voi).mean() < 0.02

    @pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian], ids=lambda uid: uid.name)
    def test_a_file_without_preamble_and_meta_is_read(self, plain, file_bytes, syntax):
        data = file_bytes(plain, syntax)
        assert np.array_equal(read_radiograph(data[meta_length(data) :]).pixels, read_radiograph(data).pixels)


class TestGreyscale:
    @pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
    def test_monochrome1_is_monochrome2_inverted(self, film, chest_like, file_bytes, bits):
        values = chest_like(bits=bits)
        bright = pixels(film(values, bits=bits), file_bytes)
        dark = pixels(film(values, bits=bits, PhotometricInterpretation="MONOCHROME1"), file_bytes)
        assert np.allclose(dark, 1 - bright, atol=1e-6)

    def test_pixels_are_float32_within_0_and_1(self, plain_bytes):
        given = read_radiograph(plain_bytes).pixels
        assert given.dtype == np.float32
        assert given.min() >= 0
        assert given.max() <= 1

    def test_without_a_window_the_range_of_the_values_is_shown(self, film, file_bytes):
        values = np.array([[100, 200], [300, 500]], np.uint16)
        assert np.allclose(pixels(film(values), file_bytes), [[0, 0.25], [0.5, 1]])

    def test_a_linear_window_is_applied_as_the_standard_says(self, film, file_bytes):
        values = np.array([[0, 1000], [2048, 4095]], np.uint16)
        given = pixels(film(values, WindowCenter=2048, WindowWidth=1000), file_bytes)
        assert np.allclose(given, [[0, 0], [(2048 - 2047.5) / 999 + 0.5, 1]], atol=1e-6)

    def test_a_sigmoid_window_is_applied(self, film, file_bytes):
        values = np.array([[1000, 2000]], np.uint16)
        given = pixels(film(values, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="SIGMOID"), file_bytes)
        assert np.allclose(given, [[1 / (1 + np.exp(4)), 0.5]], atol=1e-4)

    def test_the_first_of_several_windows_is_used(self, film, file_bytes):
        values = np.array([[0, 1000, 2000]], np.uint16)
        several = film(values, WindowCenter=[1000, 50], WindowWidth=[2001, 10])
        assert np.allclose(pixels(several, file_bytes), [[0.00025, 0.50025, 1]], atol=1e-3)

    def test_rescale_moves_values_before_the_window(self, film, file_bytes):
        values = np.array([[0, 500, 1000]], np.uint16)
        given = pixels(
            film(values, RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=0.5, WindowWidth=2001), file_bytes
        )
        assert np.allclose(given, [[0, 0.5, 1]], atol=1e-3)

    def test_a_window_that_shows_nothing_is_not_used(self, film, file_bytes):
        values = np.array([[100, 200, 300]], np.uint16)
        for center, width in ((60000, 1), (200, 0), (200, -5)):
            given = pixels(film(values, WindowCenter=center, WindowWidth=width), file_bytes)
            assert np.allclose(given, [[0, 0.5, 1]])

    def test_a_voi_lut_goes_before_a_window(self, film, file_bytes):
        lut = Dataset()
        lut.LUTDescriptor = [3, 10, 8]
        lut.add_new("LUTData", "US", [0, 51, 255])
        given = pixels(
            film(np.array([[5, 10, 11, 12, 99]], np.uint16), VOILUTSequence=[lut], WindowCenter=50, WindowWidth=10),
            file_bytes,
        )
        assert np.allclose(given, [[0, 0, 0.2, 1, 1]])

    def test_a_voi_lut_of_8_bits_with_many_entries_does_not_wrap_around(self, film, file_bytes):
        lut = Dataset()
        lut.LUTDescriptor = [1024, 0, 8]
        lut.add_new("LUTData", "US", [i // 4 for i in range(1024)])
        given = pixels(film(np.array([[0, 300, 1023]], np.uint16), VOILUTSequence=[lut]), file_bytes)
        assert np.allclose(given, [[0, 75 / 255, 1]])

    def test_a_modality_lut_is_applied(self, film, file_bytes):
        lut = Dataset()
        lut.LUTDescriptor = [4, 0, 16]
        lut.ModalityLUTType = "OD"
        lut.add_new("LUTData", "US", [4000, 3000, 1000, 0])
        given = pixels(film(np.array([[0, 1, 2, 3]], np.uint16), ModalityLUTSequence=[lut]), file_bytes)
        assert np.allclose(given, [[1, 0.75, 0.25, 0]])

    def test_signed_values_are_read(self, film, file_bytes):
        values = np.array([[-1000, 0], [500, 1000]], np.int16)
        assert np.allclose(pixels(film(values, bits=12), file_bytes), [[0, 0.5], [0.75, 1]])

    def test_bits_above_the_stored_ones_are_no_pixels(self, film, file_bytes):
        values = np.array([[0, 2048, 4095]], np.uint16)
        overlaid = values | np.array([[0xF000, 0, 0x8000]], np.uint16)
        assert np.array_equal(pixels(film(overlaid), file_bytes), pixels(film(values), file_bytes))

    @pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
    def test_padding_is_black_and_does_not_count(self, film, file_bytes, photometric):
        values = np.array([[4000, 100, 200, 300]], np.uint16)
        padded = film(values, PixelPaddingValue=4000, PhotometricInterpretation=photometric)
        given = pixels(padded, file_bytes)
        assert given[0, 0] == 0
        assert sorted(given[0, 1:]) == [0, 0.5, 1]

    def test_a_rescale_to_infinity_is_refused(self, film, file_bytes, chest_like):
        assert refused(file_bytes(film(chest_like(), RescaleSlope="1e308", RescaleIntercept="1e308"))).code in (
            "bad_header",
        )


class TestHeader:
    def read(self, file_bytes, dataset: Dataset) -> Radiograph:
        return read_radiograph(file_bytes(dataset))

    @pytest.mark.parametrize(
        ("text", "years"),
        [("045Y", 45), ("018M", 1.5), ("026W", 0.498), ("010D", 0.027), ("62", 62), ("000Y", None), ("", None)],
    )
    def test_age_by_the_age_string(self, film, chest_like, file_bytes, text, years):
        data = file_bytes(film(chest_like(), PatientAge="099Y")).replace(b"099Y", text.ljust(4).encode())
        age = read_radiograph(data).age_years
        assert age == (None if years is None else pytest.approx(years, abs=0.01))

    def test_age_by_birth_and_study_date(self, film, chest_like, file_bytes):
        dated = film(chest_like(), PatientBirthDate="19400305", StudyDate="20040826")
        assert self.read(file_bytes, dated).age_years == pytest.approx(64.5, abs=0.1)

    def test_a_birth_after_the_study_gives_no_age(self, film, chest_like, file_bytes):
        assert (
            self.read(file_bytes, film(chest_like(), PatientBirthDate="20200101", StudyDate="20190101")).age_years
            is None
        )

    @pytest.mark.parametrize(
        ("text", "view"),
        [("PA", "PA"), ("AP", "AP"), ("LL", "lateral"), ("LATERAL", "lateral"), ("LLD", "decubitus"), ("XYZ", None)],
    )
    def test_view_by_view_position(self, film, chest_like, file_bytes, text, view):
        assert self.read(file_bytes, film(chest_like(), ViewPosition=text)).view == view

    def test_view_by_view_code_where_no_position_is_given(self, film, chest_like, file_bytes):
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "399348003", "SCT", "antero-posterior"
        assert self.read(file_bytes, film(chest_like(), ViewPosition="", ViewCodeSequence=[code])).view == "AP"

    def test_spacing_of_zero_is_no_spacing(self, film, chest_like, file_bytes):
        assert self.read(file_bytes, film(chest_like(), PixelSpacing=[0, 0])).pixel_spacing_mm is None
        film_spacing = film(chest_like(), ImagerPixelSpacing=[0.15, 0.2])
        assert self.read(file_bytes, film_spacing).pixel_spacing_mm == (0.15, 0.2)

    def test_nothing_that_names_a_person_is_kept(self, plain_bytes):
        assert "secret" not in repr(read_radiograph(plain_bytes)).lower()

    def test_the_real_film_says_what_it_says(self, packaged_film):
        film = read_radiograph(packaged_film("RG1_J2KI.dcm"))
        assert (film.modality, film.body_part, film.view, film.sex) == ("CR", "CHEST", "PA", "female")
        assert film.patient_orientation == ("L", "F")
        assert film.age_years == pytest.approx(64.5, abs=0.1)


class TestPictures:
    @pytest.mark.parametrize(("dtype", "kind"), [(np.uint8, ".png"), (np.uint16, ".png"), (np.uint8, ".jpg")])
    def test_pictures_are_read_at_their_depth(self, chest_like, picture_bytes, dtype, kind):
        values = chest_like(bits=8 * np.dtype(dtype).itemsize).astype(dtype)
        film = read_radiograph(picture_bytes(values, kind))
        assert film.bits == 8 * np.dtype(dtype).itemsize
        assert not film.has_metadata
        assert np.abs(film.pixels - values / np.iinfo(dtype).max).max() < (0.1 if kind == ".jpg" else 1e-6)

    def test_grey_stored_as_colour_is_not_coloured(self, chest_like, picture_bytes):
        grey = chest_like(bits=8).astype(np.uint8)
        assert read_radiograph(picture_bytes(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))).colour == 0

    def test_true_colour_is_remembered(self, picture_bytes):
        random = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
        assert read_radiograph(picture_bytes(random)).colour > 0.5

    def test_a_picture_with_transparency_is_read(self, picture_bytes):
        assert read_radiograph(picture_bytes(np.full((64, 64, 4), 90, np.uint8))).pixels.shape == (64, 64)

    def test_a_file_and_its_bytes_give_the_same_film(self, tmp_path, plain_bytes):
        path = tmp_path / "film.any"
        path.write_bytes(plain_bytes)
        by_path, by_bytes = read_radiograph(path), read_radiograph(plain_bytes)
        assert by_path.sha256 == by_bytes.sha256
        assert np.array_equal(by_path.pixels, by_bytes.pixels)


class TestRefusals:
    @pytest.mark.parametrize("data", [b"hello, world", b"\x00" * 4096, b"%PDF-1.7 ...", b"GIF89a" + b"\x01" * 50])
    def test_other_files(self, data):
        assert refused(data).code == "not_an_image"

    def test_nothing(self):
        assert refused(b"").code == "empty"

    def test_a_missing_file(self, tmp_path):
        assert refused(tmp_path / "absent.dcm").code == "not_readable"

    def test_dicom_without_a_picture(self, packaged_film):
        assert refused(packaged_film("rtplan.dcm")).code == "no_pixels"

    def test_colour_and_multi_frame_dicom(self, packaged_film):
        assert refused(packaged_film("SC_rgb_rle.dcm")).code == "colour"
        assert refused(packaged_film("emri_small_RLE.dcm")).code == "multi_frame"

    @pytest.mark.parametrize("name", ["RG1_J2KI.dcm", "RG1_UNCR.dcm", "RG3_J2KR.dcm", "JPGLosslessP14SV1_1s_1f_8b.dcm"])
    @pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
    def test_a_truncated_film_is_refused_as_truncated(self, packaged_film, name, share):
        data = packaged_film(name).read_bytes()
        assert refused(data[: int(share * len(data))]).code == "truncated"

    @pytest.mark.parametrize("syntax", [*LOSSLESS, JPEGBaseline8Bit], ids=lambda uid: uid.name)
    def test_a_film_truncated_in_any_syntax_is_refused(self, film, chest_like, file_bytes, syntax):
        values = chest_like(bits=8).astype(np.uint8)
        data = file_bytes(film(values, bits=8), syntax)
        assert refused(data[: len(data) * 3 // 4]).code in ("truncated", "damaged")

    @pytest.mark.parametrize("kind", [".png", ".jpg"])
    @pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
    def test_truncated_pictures(self, chest_like, picture_bytes, kind, share):
        data = picture_bytes(chest_like(bits=8).astype(np.uint8), kind)
        assert refused(data[: int(share * len(data))]).code in ("truncated", "damaged")

    def test_a_png_with_a_wrong_checksum(self, chest_like, picture_bytes):
        data = bytearray(picture_bytes(chest_like(bits=8).astype(np.uint8)))
        data[len(data) // 2] ^= 0xFF
        assert refused(bytes(data)).code == "truncated"

    def test_unheard_of_depths(self, film, file_bytes):
        deep = film(np.zeros((8, 8), np.uint16))
        deep.BitsAllocated, deep.BitsStored, deep.PixelData = 32, 32, bytes(256)
        assert refused(file_bytes(deep)).code == "unsupported_pixels"

    def test_reasons_carry_no_header_value(self, plain, file_bytes):
        plain.PixelData = plain.PixelData[:100]
        assert "secret" not in str(refused(file_bytes(plain))).lower()

    def test_nothing_leaks_into_warnings_or_logs(self, plain_bytes, caplog):
        odd = plain_bytes.replace(b"CHEST ", b"chest\xff")
        assert odd != plain_bytes
        with warnings.catch_warnings(), caplog.at_level(logging.DEBUG):
            warnings.simplefilter("error")
            read_radiograph(odd)
        assert not caplog.records

    def test_nothing_leaks_from_a_decoder_that_fails(self, packaged_film, caplog):
        data = bytearray(packaged_film("RG1_J2KI.dcm").read_bytes())
        coding = data.index(b"\xff\x52")
        data[coding + 2 : coding + 12] = bytes(10)
        with caplog.at_level(logging.DEBUG):
            assert refused(bytes(data)).code == "damaged"
        assert not caplog.records


class TestBombs:
    def test_a_png_that_promises_too_much_is_not_opened(self, picture_bytes):
        data = bytearray(picture_bytes(np.zeros((8, 8), np.uint8)))
        data[16:24] = struct.pack(">II", 60_000, 60_000)
        data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
        assert refused(bytes(data)).code == "too_large"

    def test_a_jpeg_that_promises_too_much_is_not_opened(self, picture_bytes):
        data = bytearray(picture_bytes(np.zeros((8, 8), np.uint8), ".jpg"))
        frame = data.index(b"\xff\xc0")
        data[frame + 5 : frame + 9] = struct.pack(">HH", 65_000, 65_000)
        assert refused(bytes(data)).code == "too_large"

    def test_dicom_that_promises_too_much_is_not_opened(self, plain, file_bytes):
        plain.Rows = plain.Columns = 60_000
        assert refused(file_bytes(plain)).code == "too_large"

    def test_a_codestream_larger_than_its_header_is_not_opened(self, film, chest_like, file_bytes):
        liar = film(chest_like(96))
        data = file_bytes(liar, JPEG2000Lossless)
        start = data.index(b"\xff\x4f\xff\x51")
        grown = data[: start + 8] + struct.pack(">II", 60_000, 60_000) + data[start + 16 :]
        assert refused(grown).code == "damaged"

    def test_a_deflated_dataset_that_inflates_without_end_is_not_inflated(self, plain, file_bytes, monkeypatch):
        monkeypatch.setattr("vision.read_dicom.MAX_BYTES", 10_000)
        meta = file_bytes(plain, DeflatedExplicitVRLittleEndian)
        meta = meta[: meta_length(meta)]
        bomb = zlib.compressobj(wbits=-15)
        assert refused(meta + bomb.compress(bytes(1_000_000)) + bomb.flush()).code == "too_large"

    def test_rle_that_runs_beyond_its_frame_is_not_decoded(self, film, chest_like, file_bytes):
        data = file_bytes(film(chest_like(bits=8).astype(np.uint8), bits=8), RLELossless)
        start = data.index(struct.pack("<II", 1, 64))
        longer = data[: start + 64] + b"\x81\x00" * ((len(data) - start - 72) // 2) + data[-8:]
        assert refused(longer[: len(data)]).code in ("damaged", "truncated")
