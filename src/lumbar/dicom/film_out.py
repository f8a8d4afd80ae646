"""A film as a DICOM Digital X-Ray Image for presentation, for films that the simulator made."""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
from pydicom import Dataset, FileMetaDataset
from pydicom.config import IGNORE
from pydicom.uid import (
    PYDICOM_IMPLEMENTATION_UID,
    UID,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from lumbar.anatomy import Side
from lumbar.radiograph import Radiograph
from lumbar.whole_file import written_aside

BITS = 12
"""Bits stored of each pixel, as detectors have them."""

_WHITE = 2**BITS - 1


def write_dx(
    path: str | os.PathLike[str],
    radiograph: Radiograph,
    *,
    imager_spacing_mm: float,
    source_to_detector_mm: float,
    source_to_object_mm: float,
    series_description: str,
    study_uid: str,
    patient_id: str,
    patient_name: str,
    seed: int,
) -> None:
    r"""Write `radiograph` as a DX Image for presentation (DICOM PS3.3, A.26): MONOCHROME2, 12 bits, little endian.

    imager_spacing_mm: pixel spacing at the detector, the same along rows and columns. The magnification that the file
    states is source_to_detector_mm / source_to_object_mm. PatientOrientation follows `radiograph.anterior`: A\F where
    anterior is on the right of the film, P\F where it is on the left; DX requires it. The same arguments give the same
    bytes: the series and instance UID are made of `study_uid`, `series_description` and `seed`. The file says that the
    film is simulated (DerivationDescription); what stands in `radiograph.spacing` and `.posture` is not written.

    The file is written beside `path` and renamed, so that nobody meets half a file. Raises ValueError where a length
    is not positive, anterior is not known, the object is not between source and detector, or `study_uid` is no UID;
    OSError where it cannot be written.
    """
    if radiograph.anterior is None:
        raise ValueError("radiograph.anterior must be known; got None; say it with radiograph.facing(Side.LEFT)")
    _check(imager_spacing_mm, source_to_detector_mm, source_to_object_mm, study_uid)
    dataset = Dataset()
    _add_patient_and_study(dataset, patient_id, patient_name, study_uid)
    _add_series(dataset, series_description, generate_uid(entropy_srcs=[study_uid, series_description, str(seed)]))
    _add_image(dataset, radiograph.anterior)
    _add_geometry(dataset, imager_spacing_mm, source_to_detector_mm, source_to_object_mm)
    _add_pixels(dataset, radiograph)
    instance_uid = generate_uid(entropy_srcs=[study_uid, series_description, str(seed), "instance"])
    _write_aside(dataset, instance_uid, Path(path))


def _check(imager_spacing_mm: float, source_to_detector_mm: float, source_to_object_mm: float, study_uid: str) -> None:
    if not 0 < imager_spacing_mm < 100:
        raise ValueError(f"imager_spacing_mm must be a length between 0 and 100 mm; got {imager_spacing_mm}")
    if not 0 < source_to_object_mm <= source_to_detector_mm < math.inf:
        raise ValueError(
            "source_to_object_mm must be positive and at most source_to_detector_mm; "
            f"got {source_to_object_mm} and {source_to_detector_mm}"
        )
    if not UID(study_uid, validation_mode=IGNORE).is_valid:
        raise ValueError(f"study_uid must be a DICOM UID (digits and dots, at most 64); got {study_uid!r}")


def _add_patient_and_study(dataset: Dataset, patient_id: str, patient_name: str, study_uid: str) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = patient_name
    dataset.PatientID = patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    dataset.StudyInstanceUID = study_uid
    dataset.StudyDate = ""
    dataset.StudyTime = ""
    dataset.ReferringPhysicianName = ""
    dataset.StudyID = ""
    dataset.AccessionNumber = ""


def _add_series(dataset: Dataset, series_description: str, series_uid: UID) -> None:
    dataset.Modality = "DX"
    dataset.SeriesInstanceUID = series_uid
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = series_description
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.BodyPartExamined = "LSPINE"
    dataset.Manufacturer = "lumbar"
    dataset.ManufacturerModelName = "lumbar simulator"


def _add_image(dataset: Dataset, anterior: Side) -> None:
    dataset.InstanceNumber = 1
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.DerivationDescription = "Simulated film: no patient was exposed"
    dataset.ImageLaterality = "U"
    dataset.AnatomicRegionSequence = [_code("122496007", "Lumbar spine")]
    dataset.AcquisitionContextSequence = []
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    dataset.ViewPosition = "LL"
    view = _code("399173006", "left lateral")
    view.ViewModifierCodeSequence = []
    dataset.ViewCodeSequence = [view]
    # The direction of the rows, which run to the right of the film, then of the columns, which run down to the feet.
    dataset.PatientOrientation = ["A" if anterior is Side.RIGHT else "P", "F"]


def _code(value: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
    return code


def _add_geometry(
    dataset: Dataset, imager_spacing_mm: float, source_to_detector_mm: float, source_to_object_mm: float
) -> None:
    dataset.DetectorType = ""
    dataset.PositionerType = "NONE"
    dataset.ImagerPixelSpacing = [_decimal(imager_spacing_mm)] * 2
    dataset.DistanceSourceToDetector = _decimal(source_to_detector_mm)
    dataset.DistanceSourceToPatient = _decimal(source_to_object_mm)
    dataset.EstimatedRadiographicMagnificationFactor = _decimal(source_to_detector_mm / source_to_object_mm)


def _decimal(value: float) -> str:
    """A decimal string within the 16 characters that DICOM allows."""
    return f"{value:.8g}"


def _add_pixels(dataset: Dataset, radiograph: Radiograph) -> None:
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.PresentationLUTShape = "IDENTITY"
    dataset.Rows, dataset.Columns = radiograph.height, radiograph.width
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, BITS, BITS - 1, 0
    dataset.PixelIntensityRelationship = "LOG"
    dataset.PixelIntensityRelationshipSign = -1  # bone is bright: the larger the value, the fewer X-rays arrived
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.WindowCenter, dataset.WindowWidth = 2 ** (BITS - 1), 2**BITS
    dataset.PixelData = np.rint(radiograph.pixels * _WHITE).astype("<u2").tobytes()


def _write_aside(dataset: Dataset, instance_uid: UID, path: Path) -> None:
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = instance_uid
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = instance_uid
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    with written_aside(path) as aside:
        dataset.save_as(aside, enforce_file_format=True)
