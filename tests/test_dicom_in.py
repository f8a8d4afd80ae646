"""DICOM in: every lossless way of storing a film gives the same pixels, and spacing says how it came to be known."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset, dcmread, dcmwrite
from pydicom.pixels.utils import set_pixel_data
from pydicom.uid import (
    MPEG2MPML,
    UID,
    ComputedRadiographyImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    RLELossless,
    generate_uid,
)

from lumbar.anatomy import Posture, Side
from lumbar.dicom import pixel_spacing, read_dicom
from lumbar.dicom.presentation import shown_grey
from lumbar.radiograph import UnreadableFilm

HEIGHT, WIDTH = 48, 40
RAMP = np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
TWELVE_BITS = np.round(RAMP * 4095).astype(np.uint16)


def a_film(stored: NDArray[Any] = TWELVE_BITS, bits: int = 12, /, **tags: Any) -> Dataset:
    """A CR film of these stored values; `tags` add to it, and those that are None are left out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=["a film"])
    dataset.Modality = "CR"
    dataset.PatientName = "Secret^Person"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    set_pixel_data(dataset, stored, "MONOCHROME2" if stored.ndim == 2 else "RGB", bits, generate_instance_uid=False)
    if stored.ndim == 2 and bits == 12:
        dataset.WindowCenter, dataset.WindowWidth = 2048, 4096  # LINEAR: 0 to 4095
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    return dataset


def written(path: Path, dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> Path:
    if syntax.is_compressed and syntax != DeflatedExplicitVRLittleEndian:
        dataset.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


def read(tmp_path: Path, dataset: Dataset, syntax: UID = ExplicitVRLittleEndian) -> NDArray[np.float32]:
    return read_dicom(written(tmp_path / "film", dataset, syntax)).pixels


def refusal_of(path: Path, capfd: pytest.CaptureFixture[str] | None = None) -> UnreadableFilm:
    with pytest.raises(UnreadableFilm) as refusal:
        read_dicom(path)
    if capfd is not None:
        assert capfd.readouterr() == ("", "")
    assert "\n" not in str(refusal.value) and "Secret" not in str(refusal.value)
    return refusal.value


# How it is stored


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
    ],
    ids=lambda uid: uid.keyword,
)
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_every_transfer_syntax_gives_the_same_pixels(tmp_path: Path, syntax: UID, bits: int) -> None:
    stored = np.round(RAMP * (2**bits - 1)).astype(np.uint16)
    film = a_film(stored, bits, WindowCenter=2 ** (bits - 1), WindowWidth=2**bits)
    np.testing.assert_allclose(read(tmp_path, film, syntax), stored / (2**bits - 1), atol=1e-6)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEGLSLossless], ids=lambda uid: uid.keyword)
def test_signed_pixels_are_read(tmp_path: Path, syntax: UID) -> None:
    signed = (TWELVE_BITS.astype(np.int16) - 2048).astype(np.int16)
    film = a_film(signed, 12, WindowCenter=0)
    np.testing.assert_allclose(read(tmp_path, film, syntax), TWELVE_BITS / 4095, atol=1e-6)


def test_8_bit_pixels_are_read(tmp_path: Path) -> None:
    stored = np.round(RAMP * 255).astype(np.uint8)
    film = a_film(stored, 8, WindowCenter=128, WindowWidth=256)
    np.testing.assert_allclose(read(tmp_path, film), stored / 255, atol=1e-6)


def test_bits_above_the_stored_ones_are_ignored(tmp_path: Path) -> None:
    film = a_film(TWELVE_BITS)
    film.PixelData = (TWELVE_BITS | 0xA000).astype("<u2").tobytes()  # an old overlay in the high bits
    np.testing.assert_allclose(read(tmp_path, film), TWELVE_BITS / 4095, atol=1e-6)


@pytest.mark.parametrize("is_explicit", [True, False])
def test_a_file_without_preamble_or_meta_is_read(tmp_path: Path, is_explicit: bool) -> None:
    film = a_film()
    film.file_meta = FileMetaDataset()
    film.save_as(tmp_path / "film", implicit_vr=not is_explicit, little_endian=True, enforce_file_format=False)
    assert (tmp_path / "film").read_bytes()[128:132] != b"DICM"
    np.testing.assert_allclose(read_dicom(tmp_path / "film").pixels, TWELVE_BITS / 4095, atol=1e-6)


def test_what_nearly_all_films_have_in_common_may_be_missing(tmp_path: Path) -> None:
    film = a_film(PhotometricInterpretation=None, SamplesPerPixel=None, PixelRepresentation=None)
    np.testing.assert_allclose(read(tmp_path, film), TWELVE_BITS / 4095, atol=1e-6)


def test_a_file_with_odd_tags_is_read_in_silence(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    recwarn: pytest.WarningsRecorder,
) -> None:
    path = written(tmp_path / "film", a_film(StudyInstanceUID="1.2.33", NumberOfFrames=17, KVP="80.5"))
    odd = path.read_bytes().replace(b"IS\x02\x0017", b"IS\x02\x00ab").replace(b"80.5", b"80,5")
    path.write_bytes(odd.replace(ComputedRadiographyImageStorage.encode(), b"CR film, not a UID".ljust(25)))
    odd_dataset = dcmread(path)
    assert (odd_dataset.NumberOfFrames, odd_dataset.KVP) == ("ab", "80,5")
    assert recwarn.list and caplog.records  # so pydicom would have spoken of them
    recwarn.clear()
    caplog.clear()
    np.testing.assert_allclose(read_dicom(path).pixels, TWELVE_BITS / 4095, atol=1e-6)
    assert capfd.readouterr() == ("", "") and not recwarn.list and not caplog.records


# How it is shown


def test_monochrome1_comes_out_with_bone_bright(tmp_path: Path) -> None:
    film = a_film(PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(read(tmp_path, film), 1 - TWELVE_BITS / 4095, atol=1e-6)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_an_inverse_presentation_is_inverted_once(tmp_path: Path, photometric: str) -> None:
    film = a_film(PhotometricInterpretation=photometric, PresentationLUTShape="INVERSE")
    np.testing.assert_allclose(read(tmp_path, film), 1 - TWELVE_BITS / 4095, atol=1e-6)


def test_an_identity_presentation_changes_nothing(tmp_path: Path) -> None:
    np.testing.assert_allclose(read(tmp_path, a_film(PresentationLUTShape="IDENTITY")), TWELVE_BITS / 4095, atol=1e-6)


def expected_window(values: NDArray[Any], centre: float, width: float, function: str) -> NDArray[np.float64]:
    """DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3, pixel by pixel as they stand there, with y from 0 to 1."""
    shown = []
    for x in values.ravel().tolist():
        if function == "SIGMOID":
            shown.append(1 / (1 + np.exp(-4 * (x - centre) / width)))
            continue
        c, w = (centre - 0.5, width - 1) if function == "LINEAR" else (centre, width)
        shown.append(0.0 if x <= c - w / 2 else 1.0 if x > c + w / 2 else (x - c) / w + 0.5)
    return np.array(shown).reshape(values.shape)


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_the_window_function_is_the_standards(tmp_path: Path, function: str) -> None:
    film = a_film(WindowCenter=1500, WindowWidth=1001, VOILUTFunction=function)
    expected = expected_window(TWELVE_BITS, 1500, 1001, function)
    np.testing.assert_allclose(read(tmp_path, film), expected, atol=1e-6)


def test_the_first_of_several_windows_is_taken(tmp_path: Path) -> None:
    film = a_film(WindowCenter=[1500, 3000], WindowWidth=[1001, 50])
    np.testing.assert_allclose(read(tmp_path, film), expected_window(TWELVE_BITS, 1500, 1001, "LINEAR"), atol=1e-6)


def test_rescaling_comes_before_the_window(tmp_path: Path) -> None:
    film = a_film(RescaleSlope=2, RescaleIntercept=-1000, WindowCenter=2000, WindowWidth=3001)
    expected = expected_window(TWELVE_BITS * 2.0 - 1000, 2000, 3001, "LINEAR")
    np.testing.assert_allclose(read(tmp_path, film), expected, atol=1e-6)


def test_a_negative_slope_inverts(tmp_path: Path) -> None:
    film = a_film(RescaleSlope=-1, RescaleIntercept=4095)
    np.testing.assert_allclose(read(tmp_path, film), 1 - TWELVE_BITS / 4095, atol=1e-6)


def a_table(entries: NDArray[Any], first: int = 0, bits: int = 16) -> Dataset:
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first, bits]
    item["LUTDescriptor"].VR = "US" if first >= 0 else "SS"
    item.LUTData = entries.astype("<u2").tobytes()
    item["LUTData"].VR = "OW"
    return item


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_a_voi_table_maps_stored_values_to_its_entries(tmp_path: Path, bits: int) -> None:
    # With 8 bits the table has more entries than an entry can count.
    entries = np.round(np.linspace(0, 1, 4096) ** 2 * (2**bits - 1))
    film = a_film(VOILUTSequence=[a_table(entries, bits=bits)])
    np.testing.assert_allclose(read(tmp_path, film), entries[TWELVE_BITS] / (2**bits - 1), atol=1e-6)


def test_a_voi_table_of_bytes_is_read(tmp_path: Path) -> None:
    table = a_table(255 - np.arange(256), bits=8)
    table.LUTData = (255 - np.arange(256)).astype(np.uint8).tobytes()
    stored = np.round(RAMP * 255).astype(np.uint8)
    np.testing.assert_allclose(read(tmp_path, a_film(stored, 8, VOILUTSequence=[table])), 1 - stored / 255, atol=1e-6)


def test_a_voi_table_of_numbers_is_read(tmp_path: Path) -> None:
    table = a_table(np.arange(4096))
    table["LUTData"].VR = "US"
    table.LUTData = (4095 - np.arange(4096)).tolist()
    np.testing.assert_allclose(read(tmp_path, a_film(VOILUTSequence=[table])), 1 - TWELVE_BITS / 4095, atol=1e-6)


def test_a_big_endian_voi_table_is_read(tmp_path: Path) -> None:
    table = a_table(np.arange(4096))
    table.LUTData = (4095 - np.arange(4096)).astype(">u2").tobytes()
    pixels = read(tmp_path, a_film(VOILUTSequence=[table]), ExplicitVRBigEndian)
    np.testing.assert_allclose(pixels, 1 - TWELVE_BITS / 4095, atol=1e-6)


@pytest.mark.parametrize("table", [Dataset(), a_table(np.array([]))], ids=["nothing", "no entries"])
def test_a_voi_table_that_makes_no_sense_is_ignored(tmp_path: Path, table: Dataset) -> None:
    pixels = read(tmp_path, a_film(VOILUTSequence=[table]))
    np.testing.assert_allclose(pixels, TWELVE_BITS / 4095, atol=1e-6)


def test_values_outside_a_voi_table_take_its_ends(tmp_path: Path) -> None:
    entries = np.arange(1001) * 3
    film = a_film(VOILUTSequence=[a_table(entries, first=500)])
    expected = np.clip((TWELVE_BITS.astype(float) - 500) / 1000, 0, 1)
    np.testing.assert_allclose(read(tmp_path, film), expected, atol=1e-6)


def test_a_modality_table_comes_before_the_window(tmp_path: Path) -> None:
    entries = 4095 - np.arange(4096)
    film = a_film(ModalityLUTSequence=[a_table(entries, bits=12)])
    np.testing.assert_allclose(read(tmp_path, film), 1 - TWELVE_BITS / 4095, atol=1e-6)


def test_without_a_window_the_robust_range_is_shown(tmp_path: Path) -> None:
    stored = (1000 + RAMP * 1000).astype(np.uint16)
    stored[0, :4] = 0
    stored[-1, -4:] = 65535  # a lead letter must not darken the spine
    pixels = read(tmp_path, a_film(stored, 16))
    np.testing.assert_allclose(pixels[5:-5], RAMP[5:-5], atol=0.02)
    assert pixels[0, 0] == 0 and pixels[-1, -1] == 1


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_padding_is_black_and_takes_no_part_in_the_range(tmp_path: Path, photometric: str) -> None:
    stored = (1000 + RAMP * 1000).astype(np.int16)
    stored[:, :15] = -2000
    film = a_film(stored, 16, PhotometricInterpretation=photometric, PixelPaddingValue=-2000)
    pixels = read(tmp_path, film)
    assert np.all(pixels[:, :15] == 0)
    np.testing.assert_allclose(pixels[:, 15:], RAMP[:, 15:] if photometric[-1] == "2" else 1 - RAMP[:, 15:], atol=0.02)


def test_a_range_of_padding_is_excluded(tmp_path: Path) -> None:
    stored = (1000 + RAMP * 1000).astype(np.uint16)
    stored[:, :15] = np.arange(15)
    pixels = read(tmp_path, a_film(stored, 16, PixelPaddingValue=0, PixelPaddingRangeLimit=20))
    assert np.all(pixels[:, :15] == 0) and pixels[1, 20] < 0.1


@pytest.mark.parametrize(
    "window",
    [
        {"WindowWidth": 0},
        {"WindowWidth": None},
        {"WindowCenter": None, "WindowWidth": 100},
        {"WindowCenter": 60_000, "WindowWidth": 10},
        {"VOILUTFunction": "CUBIC"},
    ],
    ids=["no width", "width missing", "centre missing", "beyond all values", "unknown function"],
)
def test_a_window_that_makes_no_sense_is_ignored(tmp_path: Path, window: dict[str, Any]) -> None:
    np.testing.assert_allclose(read(tmp_path, a_film(**window)), RAMP, atol=0.01)


def test_a_constant_film_is_black() -> None:
    constant = np.full((HEIGHT, WIDTH), 700, dtype=np.uint16)
    assert shown_grey(constant, a_film(constant, 16)).max() == 0


# Secondary capture


RGB = np.round(np.stack([RAMP, RAMP[::-1], RAMP[:, ::-1]], axis=-1) * 255).astype(np.uint8)
LUMA = RGB @ np.array([0.299, 0.587, 0.114]) / 255


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless], ids=lambda uid: uid.keyword)
def test_colours_become_luma(tmp_path: Path, syntax: UID) -> None:
    film = a_film(RGB, 8, Modality="OT")
    np.testing.assert_allclose(read(tmp_path, film, syntax), LUMA, atol=1e-5)


def test_ybr_colours_become_luma(tmp_path: Path) -> None:
    ybr = np.dstack([np.round(RAMP * 255), np.full_like(RAMP, 90), np.full_like(RAMP, 140)]).astype(np.uint8)
    film = a_film(ybr, 8, Modality="OT", PhotometricInterpretation="YBR_FULL")
    np.testing.assert_allclose(read(tmp_path, film)[10:-10], RAMP[10:-10], atol=0.01)


def test_colours_by_plane_become_luma(tmp_path: Path) -> None:
    film = a_film(RGB, 8, Modality="OT", PlanarConfiguration=1)
    film.PixelData = np.moveaxis(RGB, 2, 0).tobytes()
    np.testing.assert_allclose(read(tmp_path, film), LUMA, atol=1e-5)


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    film = a_film(np.round(RAMP * 255).astype(np.uint8), 8, Modality="OT", PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        setattr(film, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 16])
        setattr(film, f"{colour}PaletteColorLookupTableData", (np.arange(256)[::-1] * 257).astype("<u2").tobytes())
    np.testing.assert_allclose(read(tmp_path, film), 1 - np.round(RAMP * 255) / 255, atol=1e-5)


# What the file knows of the patient's position


@pytest.mark.parametrize(
    ("orientation", "anterior"),
    [(["A", "F"], Side.RIGHT), (["P", "F"], Side.LEFT), (["AL", "F"], Side.RIGHT), (["L", "F"], None), ("", None)],
)
def test_rows_that_run_to_the_front_have_anterior_on_the_right(
    tmp_path: Path, orientation: Any, anterior: Side | None
) -> None:
    assert read_dicom(written(tmp_path / "film", a_film(PatientOrientation=orientation))).anterior is anterior


def test_a_film_that_does_not_say_has_no_anterior_side(tmp_path: Path) -> None:
    film = read_dicom(written(tmp_path / "film", a_film(ViewPosition="LL")))
    assert (film.anterior, film.posture, film.spacing) == (None, None, None)


def a_view(meaning: str, modifier: str | None = None) -> list[Dataset]:
    view = Dataset()
    view.CodeMeaning = meaning
    if modifier:
        view.ViewModifierCodeSequence = a_view(modifier)
    return [view]


@pytest.mark.parametrize(
    ("tags", "posture"),
    [
        ({"SeriesDescription": "L-SPINE LAT FLEXION"}, Posture.FLEXION),
        ({"SeriesDescription": "lspine_lat_Flex_1"}, Posture.FLEXION),
        ({"ProtocolName": "LWS seitl. ext"}, Posture.EXTENSION),
        ({"AcquisitionDeviceProcessingDescription": "Lumbar, Neutral"}, Posture.NEUTRAL),
        ({"ImageComments": "extension"}, Posture.EXTENSION),
        ({"ViewCodeSequence": a_view("lateral projection in flexion")}, Posture.FLEXION),
        ({"ViewCodeSequence": a_view("lateral", "extension")}, Posture.EXTENSION),
        ({"SeriesDescription": "flexion/extension", "ImageComments": "flexion"}, Posture.FLEXION),
        ({"SeriesDescription": "flexion/extension"}, None),
        ({"SeriesDescription": "flexion", "ImageComments": "extension"}, None),
        ({"SeriesDescription": "flexible, external, text, reflex"}, None),
        ({"StudyDescription": "flexion", "PatientPosition": "FLEXION"}, None),
    ],
)
def test_posture_is_known_where_one_is_plainly_said(
    tmp_path: Path, tags: dict[str, Any], posture: Posture | None
) -> None:
    assert read_dicom(written(tmp_path / "film", a_film(**tags))).posture is posture


# Spacing: one test for each rule of `pixel_spacing`


def spacing_of(**tags: Any) -> tuple[float, float, str, str] | None:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    spacing = pixel_spacing(dataset)
    if spacing is None:
        return None
    return round(spacing.row_mm, 6), round(spacing.column_mm, 6), spacing.plane, spacing.source


def test_imager_spacing_alone_holds_at_the_detector_rows_first() -> None:
    assert spacing_of(ImagerPixelSpacing=[0.2, 0.1]) == (0.2, 0.1, "detector", "ImagerPixelSpacing")


def test_imager_spacing_is_divided_by_the_stated_magnification() -> None:
    row, column, plane, source = spacing_of(
        ImagerPixelSpacing=[0.24, 0.12],
        EstimatedRadiographicMagnificationFactor=1.2,
        DistanceSourceToDetector=1500,
        DistanceSourceToPatient=1000,
    ) or (0, 0, "", "")
    assert (row, column, plane) == (0.2, 0.1, "patient")
    assert source == "ImagerPixelSpacing / EstimatedRadiographicMagnificationFactor (1.2)"


@pytest.mark.parametrize("placeholder", [{}, {"EstimatedRadiographicMagnificationFactor": 1}])
def test_imager_spacing_is_divided_by_the_ratio_of_distances_otherwise(placeholder: dict[str, float]) -> None:
    found = spacing_of(
        ImagerPixelSpacing=[0.15, 0.15], DistanceSourceToDetector=1500, DistanceSourceToPatient=1000, **placeholder
    )
    source = "ImagerPixelSpacing / (DistanceSourceToDetector / DistanceSourceToPatient) (1.5)"
    assert found == (0.1, 0.1, "patient", source)


@pytest.mark.parametrize(
    "distances",
    [
        {"DistanceSourceToDetector": 1000},
        {"DistanceSourceToDetector": 1000, "DistanceSourceToPatient": 0},
        {"DistanceSourceToDetector": 1000, "DistanceSourceToPatient": 1000},
        {"DistanceSourceToDetector": 1000, "DistanceSourceToPatient": 1200},
        {"DistanceSourceToDetector": 1000, "DistanceSourceToPatient": 100},
    ],
)
def test_impossible_distances_correct_nothing(distances: dict[str, float]) -> None:
    assert spacing_of(ImagerPixelSpacing=[0.2, 0.2], **distances) == (0.2, 0.2, "detector", "ImagerPixelSpacing")


def test_pixel_spacing_equal_to_the_imagers_is_uncorrected() -> None:
    both = {"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.2, 0.2]}
    assert spacing_of(**both, PixelSpacingCalibrationType="GEOMETRY") == (0.2, 0.2, "detector", "ImagerPixelSpacing")
    found = spacing_of(**both, EstimatedRadiographicMagnificationFactor=1.25)
    assert found is not None and found[:3] == (0.16, 0.16, "patient")


@pytest.mark.parametrize("calibration", ["FIDUCIAL", "GEOMETRY"])
@pytest.mark.parametrize("imager", [{}, {"ImagerPixelSpacing": [0.2, 0.2]}])
def test_calibrated_pixel_spacing_holds_in_the_patient(calibration: str, imager: dict[str, Any]) -> None:
    found = spacing_of(PixelSpacing=[0.16, 0.15], PixelSpacingCalibrationType=calibration, **imager)
    assert found == (0.16, 0.15, "patient", f"PixelSpacing (calibrated, {calibration})")


def test_pixel_spacing_that_differs_without_a_stated_calibration_is_unknown() -> None:
    found = spacing_of(PixelSpacing=[0.16, 0.16], ImagerPixelSpacing=[0.2, 0.2])
    assert found == (0.16, 0.16, "unknown", "PixelSpacing (its calibration is not stated)")


def test_pixel_spacing_alone_is_unknown() -> None:
    found = spacing_of(PixelSpacing=[0.16, 0.15], EstimatedRadiographicMagnificationFactor=1.2)
    assert found == (0.16, 0.15, "unknown", "PixelSpacing (whether it is magnified is not stated)")


def test_a_digitised_films_spacing_holds_at_the_detector() -> None:
    found = spacing_of(NominalScannedPixelSpacing=[0.17, 0.18])
    assert found == (0.17, 0.18, "detector", "NominalScannedPixelSpacing")


def test_no_spacing_tag_is_no_spacing() -> None:
    assert spacing_of() is None


@pytest.mark.parametrize("keyword", ["ImagerPixelSpacing", "PixelSpacing", "NominalScannedPixelSpacing"])
@pytest.mark.parametrize("value", ["0\\0", "-0.1\\0.1", "abc\\def", "0.1", "", "0.1\\0.1\\0.1", "inf\\inf", "500\\500"])
def test_malformed_spacing_is_no_spacing(tmp_path: Path, keyword: str, value: str) -> None:
    path = written(tmp_path / "film", a_film(**{keyword: [7.125, 7.125]}))
    stored = b"DS\x0c\x007.125\\7.125 "
    assert stored in path.read_bytes()
    malformed = value.encode() + b" " * (len(value) % 2)
    path.write_bytes(path.read_bytes().replace(stored, b"DS" + struct.pack("<H", len(malformed)) + malformed))
    assert read_dicom(path).spacing is None


def test_malformed_imager_spacing_leaves_pixel_spacing_alone() -> None:
    found = spacing_of(ImagerPixelSpacing=[0, 0], PixelSpacing=[0.16, 0.16])
    assert found is not None and found[2] == "unknown"


def test_spacing_reaches_the_film(tmp_path: Path) -> None:
    spacing = read_dicom(written(tmp_path / "film", a_film(ImagerPixelSpacing=[0.2, 0.1]))).spacing
    assert spacing is not None and (spacing.row_mm, spacing.column_mm) == (0.2, 0.1)


# What is no film


@pytest.mark.parametrize("modality", ["CT", "MR", "US", "SR", "PR", "SEG", "DOC", "MG", "NM"])
def test_other_modalities_are_refused_by_name(tmp_path: Path, modality: str) -> None:
    refusal = refusal_of(written(tmp_path / "film", a_film(Modality=modality)))
    assert f"modality is {modality}" in refusal.problem and "CR, DX or RG" in refusal.remedy


@pytest.mark.parametrize("modality", ["CR", "DX", "RG", "RF", "OT", "XC", ""])
def test_films_and_secondary_captures_are_read(tmp_path: Path, modality: str) -> None:
    np.testing.assert_allclose(read(tmp_path, a_film(Modality=modality)), TWELVE_BITS / 4095, atol=1e-6)


def test_several_frames_are_refused(tmp_path: Path) -> None:
    film = a_film(NumberOfFrames=3)
    film.PixelData *= 3
    refusal = refusal_of(written(tmp_path / "film", film))
    assert "holds 3 frames" in refusal.problem


def test_one_frame_that_is_counted_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, a_film(NumberOfFrames=1)).shape == (HEIGHT, WIDTH)


@pytest.mark.parametrize("missing", [{"PixelData": None}, {"Rows": None, "Columns": None, "PixelData": None}])
def test_an_object_without_pixels_is_refused(tmp_path: Path, missing: dict[str, None]) -> None:
    assert "holds no pixels" in refusal_of(written(tmp_path / "film", a_film(**missing))).problem


def test_a_dicomdir_is_refused(tmp_path: Path) -> None:
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = MediaStorageDirectoryStorage, "1.2.3"
    assert "DICOMDIR" in refusal_of(written(tmp_path / "DICOMDIR", dataset)).problem


def test_more_than_100_million_pixels_are_refused_before_decoding(tmp_path: Path) -> None:
    # The pixels are missing: decoding them would be refused as damage.
    assert (
        "more than 100 million" in refusal_of(written(tmp_path / "film", a_film(Rows=20_000, Columns=20_000))).problem
    )


def test_a_film_below_32_pixels_is_refused(tmp_path: Path) -> None:
    assert "at least 32 x 32" in refusal_of(written(tmp_path / "film", a_film(TWELVE_BITS[:20]))).problem


def test_a_deflated_file_that_grows_beyond_any_film_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "film", a_film(), DeflatedExplicitVRLittleEndian)
    start = 144 + dcmread(path).file_meta.FileMetaInformationGroupLength
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    a_million_zeros = deflater.compress(bytes(1_000_000)) + deflater.flush(zlib.Z_FULL_FLUSH)
    path.write_bytes(path.read_bytes()[:start] + a_million_zeros * 401)
    assert path.stat().st_size < 1_000_000
    assert "more than 100 million" in refusal_of(path).problem


def test_a_compression_without_decoder_is_named(tmp_path: Path) -> None:
    film = dcmread(written(tmp_path / "film", a_film(), RLELossless))
    film.file_meta.TransferSyntaxUID = MPEG2MPML
    film.save_as(tmp_path / "film")
    refusal = refusal_of(tmp_path / "film")
    assert "compressed as MPEG2" in refusal.problem and "uncompressed" in refusal.remedy


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless],
    ids=lambda uid: uid.keyword,
)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_a_truncated_file_is_refused(
    tmp_path: Path, syntax: UID, kept: float, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 4096, (64, 64)).astype(np.uint16)
    whole = written(tmp_path / "film", a_film(noise), syntax).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: int(len(whole) * kept)])
    refusal_of(tmp_path / "cut", capfd)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.mkdir(), "folder"),
        (lambda path: path.touch(), "empty"),
        (lambda path: path.write_text("a report, not a film. " * 40), "DICOM"),
        (lambda path: path.write_bytes(bytes(128) + b"DICM"), "DICOM"),
        (lambda path: path.write_bytes(bytes(5000)), "DICOM"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(500)), "DICOM"),
    ],
    ids=["missing", "folder", "empty", "text", "preamble alone", "zeros", "png"],
)
def test_what_is_no_dicom_is_refused_with_its_reason(
    tmp_path: Path, make: Callable[[Path], object], problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "film.dcm")
    assert problem in refusal_of(tmp_path / "film.dcm", capfd).problem


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless], ids=lambda uid: uid.keyword)
def test_random_damage_never_raises_anything_else(
    tmp_path: Path, syntax: UID, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    film = a_film(SeriesDescription="flexion", ImagerPixelSpacing=[0.2, 0.2], RescaleSlope=1, RescaleIntercept=0)
    whole = written(tmp_path / "film", film, syntax).read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(100):
        damaged = bytearray(whole)
        for place in rng.integers(132, min(len(damaged), 1000), 4):
            damaged[place] = rng.integers(256)
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            read_dicom(tmp_path / "damaged")
        except UnreadableFilm as refusal:
            refused += 1
            assert "Secret" not in str(refusal)
    assert 0 < refused < 100
    assert capfd.readouterr() == ("", "") and not caplog.records


def test_a_film_carries_no_identity(tmp_path: Path) -> None:
    film = read_dicom(written(tmp_path / "film", a_film(SeriesDescription="Secret flexion", ImagerPixelSpacing=[1, 1])))
    assert "Secret" not in repr(film)
