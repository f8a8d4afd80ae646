"""Simulated films out: what is written comes back, byte for byte the same from the same seed, and never half."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from lumbar.anatomy import Posture, Side
from lumbar.dicom import read_dicom, write_dx
from lumbar.radiograph import Radiograph

PIXELS = (np.random.default_rng(0).integers(0, 4096, (48, 40)) / 4095).astype(np.float32)


def write(path: Path, anterior: Side | None = Side.RIGHT, **other: Any) -> Path:
    arguments: dict[str, Any] = {
        "imager_spacing_mm": 0.15,
        "source_to_detector_mm": 1200,
        "source_to_object_mm": 1000,
        "series_description": "lateral, flexion",
        "study_uid": "1.2.3",
        "patient_id": "SIM-1",
        "patient_name": "Näme^Simulated",
        "seed": 7,
    }
    write_dx(path, Radiograph(PIXELS, anterior=anterior), **(arguments | other))
    return path


@pytest.mark.parametrize("anterior", [Side.LEFT, Side.RIGHT])
def test_what_is_written_comes_back(tmp_path: Path, anterior: Side) -> None:
    film = read_dicom(write(tmp_path / "film.dcm", anterior))
    np.testing.assert_allclose(film.pixels, PIXELS, atol=1e-6)
    assert (film.anterior, film.posture) == (anterior, Posture.FLEXION)
    assert film.spacing is not None and film.spacing.plane == "patient"
    assert (film.spacing.row_mm, film.spacing.column_mm) == pytest.approx((0.125, 0.125))


@pytest.mark.parametrize(("anterior", "rows_run_to"), [(Side.RIGHT, "A"), (Side.LEFT, "P")])
def test_rows_run_to_the_right_and_columns_to_the_feet(tmp_path: Path, anterior: Side, rows_run_to: str) -> None:
    assert dcmread(write(tmp_path / "film.dcm", anterior)).PatientOrientation == [rows_run_to, "F"]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_instance(tmp_path: Path) -> None:
    first, again, other = (
        write(tmp_path / name, seed=seed) for name, seed in (("first", 7), ("again", 7), ("other", 8))
    )
    assert first.read_bytes() == again.read_bytes()
    datasets = [dcmread(path) for path in (first, other)]
    assert datasets[0].SOPInstanceUID != datasets[1].SOPInstanceUID
    assert datasets[0].SeriesInstanceUID != datasets[1].SeriesInstanceUID
    assert datasets[0].StudyInstanceUID == datasets[1].StudyInstanceUID == "1.2.3"


def test_bone_is_stored_bright_in_12_of_16_bits(tmp_path: Path) -> None:
    dataset = dcmread(write(tmp_path / "film.dcm"))
    assert dataset.PhotometricInterpretation == "MONOCHROME2"
    assert (dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit) == (16, 12, 11)
    assert np.array_equal(dataset.pixel_array, np.rint(PIXELS * 4095))


TYPE_1 = (  # DICOM PS3.3 A.26: must be there and hold something
    "SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID Modality PresentationIntentType ImageType "
    "ImageLaterality SamplesPerPixel PhotometricInterpretation Rows Columns BitsAllocated BitsStored HighBit "
    "PixelIntensityRelationship PixelIntensityRelationshipSign RescaleIntercept RescaleSlope RescaleType "
    "PresentationLUTShape LossyImageCompression BurnedInAnnotation WindowCenter WindowWidth ImagerPixelSpacing "
    "PatientOrientation PixelData"
).split()
TYPE_2 = (  # must be there, and may be empty
    "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime ReferringPhysicianName StudyID "
    "AccessionNumber SeriesNumber InstanceNumber Manufacturer DetectorType PositionerType AnatomicRegionSequence "
    "AcquisitionContextSequence"
).split()


def test_every_required_attribute_of_the_dx_object_is_there(tmp_path: Path) -> None:
    dataset: Dataset = dcmread(write(tmp_path / "film.dcm"))
    assert [keyword for keyword in TYPE_1 if dataset.get(keyword) in (None, "")] == []
    assert [keyword for keyword in TYPE_2 if keyword not in dataset] == []
    assert dataset.file_meta.MediaStorageSOPInstanceUID == dataset.SOPInstanceUID


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = write(tmp_path / "film.dcm")
    whole = path.read_bytes()
    with pytest.warns(UserWarning), pytest.raises(TypeError):
        write(path, patient_id=object())  # pydicom notices while it is writing
    assert path.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        ({"imager_spacing_mm": 0.0}, "imager_spacing_mm"),
        ({"imager_spacing_mm": float("nan")}, "imager_spacing_mm"),
        ({"source_to_object_mm": 1300.0}, "source_to_object_mm"),
        ({"source_to_object_mm": -1.0}, "source_to_object_mm"),
        ({"study_uid": "study 1"}, "study_uid"),
        ({"anterior": None}, "radiograph.anterior"),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_written(tmp_path: Path, wrong: dict[str, Any], name: str) -> None:
    with pytest.raises(ValueError, match=name):
        write(tmp_path / "film.dcm", **wrong)
    assert list(tmp_path.iterdir()) == []
