"""What every viewer shows: the overlay as a secondary capture, and the report as an encapsulated PDF."""

from __future__ import annotations

import datetime

import numpy as np
from highdicom import PhotometricInterpretationValues
from highdicom.sc import SCImage
from numpy.typing import NDArray
from pydicom import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes as public
from pydicom.uid import PYDICOM_IMPLEMENTATION_UID, EncapsulatedPDFStorage, ExplicitVRLittleEndian

from lumbar.pacs.header import MANUFACTURER, MODEL, Origin
from lumbar.reading import NOTICE, Reading

_WHO_AND_WHICH = (
    "SpecificCharacterSet", "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
    "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


def secondary_capture(header: Dataset, reading: Reading, overlay: NDArray[np.uint8], origin: Origin) -> Dataset:
    """The overlay (H, W, 3) RGB as a colour image of the film's study.

    origin: of its UIDs. No size in mm is stated: the picture is for
    looking at.
    """
    image = SCImage.from_ref_dataset(
        header,
        overlay,
        PhotometricInterpretationValues.RGB,
        8,
        "PATIENT",
        series_instance_uid=origin.uid("overlay series"),
        series_number=9003,
        sop_instance_uid=origin.uid("overlay"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        patient_orientation=tuple(header.get("PatientOrientation") or ("A", "F")),  # it insists; taken back below
        transfer_syntax_uid=ExplicitVRLittleEndian,
        manufacturer_model_name=MODEL,
        software_versions=reading.software_version,
        series_description="lumbar: overlay",
    )
    if not header.get("PatientOrientation"):
        image.PatientOrientation = ""  # type: ignore[assignment]
    image.Laterality = ""
    image.ImageType = ["DERIVED", "SECONDARY"]
    image.DerivationDescription = f"Film with what was measured drawn on it. {NOTICE}"
    image.ImageComments = NOTICE
    if said := header.get("BurnedInAnnotation"):
        image.BurnedInAnnotation = said  # what the film's pixels show, its picture shows
    image.SourceImageSequence = [_reference(header)]
    return image


def encapsulated_pdf(header: Dataset, reading: Reading, pdf: bytes, origin: Origin) -> Dataset:
    """The report's pages as an Encapsulated PDF (PS3.3, A.45.1) of the film's study."""
    made = Dataset()
    for keyword in _WHO_AND_WHICH:
        if keyword in header:
            made[keyword] = header[keyword]
    made.SOPClassUID, made.SOPInstanceUID = EncapsulatedPDFStorage, origin.uid("pdf")
    made.SeriesInstanceUID, made.SeriesNumber, made.InstanceNumber = origin.uid("pdf series"), 9004, 1
    made.Modality, made.ConversionType, made.SeriesDescription = "DOC", "WSD", "lumbar: report"
    made.Manufacturer, made.ManufacturerModelName = MANUFACTURER, MODEL
    made.SoftwareVersions, made.DeviceSerialNumber = reading.software_version, "1"
    now = datetime.datetime.now()
    made.ContentDate, made.ContentTime = f"{now:%Y%m%d}", f"{now:%H%M%S}"
    made.InstanceCreationDate, made.InstanceCreationTime = made.ContentDate, made.ContentTime
    made.AcquisitionDateTime = ""
    made.BurnedInAnnotation = header.get("BurnedInAnnotation", "NO")  # the report holds the film's picture
    made.DocumentTitle = f"lumbar: report. {NOTICE}"
    title = Dataset()
    concept = public.DCM.ImagingMeasurementReport
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = concept.value, "DCM", concept.meaning
    made.ConceptNameCodeSequence = [title]
    made.SourceInstanceSequence = [_reference(header)]
    made.MIMETypeOfEncapsulatedDocument = "application/pdf"
    made.EncapsulatedDocumentLength = len(pdf)
    made.EncapsulatedDocument = pdf + b"\x00" * (len(pdf) % 2)
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    return made


def _reference(header: Dataset) -> Dataset:
    film = Dataset()
    film.ReferencedSOPClassUID, film.ReferencedSOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    return film
