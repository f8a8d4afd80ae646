"""Films and readings without anybody's identity, for export; the PACS itself needs the identity, to file what it gets."""

from __future__ import annotations

import hashlib
import secrets
from pathlib import Path

from pydicom import Dataset, FileMetaDataset, dcmread, dcmwrite
from pydicom.uid import (
    PYDICOM_IMPLEMENTATION_UID,
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    generate_uid,
)

from lumbar.dicom.tags import value_of, word_of
from lumbar.images import libraries_silenced
from lumbar.pacs.codes import SPINE
from lumbar.pacs.header import header_of
from lumbar.radiograph import UnreadableFilm
from lumbar.whole_file import written_aside

KEPT = (
    "SOPClassUID", "Modality", "BodyPartExamined", "ViewPosition", "PatientOrientation", "ImageLaterality", "PresentationIntentType",
    "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit",
    "PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "PresentationLUTShape", "RescaleIntercept", "RescaleSlope",
    "RescaleType", "WindowCenter", "WindowWidth", "VOILUTFunction", "PixelSpacing", "PixelSpacingCalibrationType", "ImagerPixelSpacing",
    "NominalScannedPixelSpacing", "EstimatedRadiographicMagnificationFactor", "DistanceSourceToDetector", "DistanceSourceToPatient",
    "PixelIntensityRelationship", "PixelIntensityRelationshipSign", "LossyImageCompression", "BurnedInAnnotation", "PixelData",
)  # fmt: skip
"""All that a de-identified film takes over, beside new UIDs: what is not listed is gone, private tags and overlays too."""


class Pseudonyms:
    """New names and UIDs, the same for the same old ones within one run, and impossible to trace back after it.

    A random secret of this run goes into each; nobody keeps it.
    """

    def __init__(self) -> None:
        self._secret = secrets.token_hex(32)

    def uid(self, uid: str) -> UID:
        """A UID in the place of another."""
        return generate_uid(entropy_srcs=[self._secret, uid])

    def name(self, name: str) -> str:
        """A word of 16 letters in the place of a file's name or a patient's id."""
        return hashlib.sha256(f"{self._secret}\n{name}".encode()).hexdigest()[:16]


def deidentified_film(path: Path, pseudonyms: Pseudonyms) -> Dataset:
    """The film with its pixels, how they are shown and how large they are, and nothing that tells whose it is.

    The patient's id becomes a pseudonym, which keeps films of one patient together; dates, names, descriptions and everything else that
    is not in `KEPT` go. Text in the pixels themselves cannot be taken out. Raises UnreadableFilm where the file says that there is some
    (BurnedInAnnotation YES), or as `header.header_of` does.
    """
    with libraries_silenced():
        try:
            dataset = dcmread(path, force=True)
        except Exception:  # of any kind; its text may quote the patient's data
            raise UnreadableFilm("the DICOM file is damaged or truncated", "export or send it again") from None
        if word_of(dataset, "BurnedInAnnotation") == "YES":
            raise UnreadableFilm(
                "its pixels hold burned-in text, which may name the patient",
                "black it out first, or export without --deidentify",
            )
        old = header_of(dataset)
        film = Dataset()
        for keyword in KEPT:
            if value_of(dataset, keyword) is not None:
                film[keyword] = dataset[keyword]
        film.SpecificCharacterSet = "ISO_IR 192"
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
            setattr(film, keyword, pseudonyms.uid(old[keyword].value))
        film.PatientID = pseudonyms.name(f"patient {old.PatientID or old.StudyInstanceUID}")
        film.PatientName = film.PatientID
        for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
            setattr(film, keyword, "")
        film.ReferringPhysicianName, film.Manufacturer, film.SeriesNumber, film.InstanceNumber = "", "", None, None
        _complete(film, dataset)
        film.PatientIdentityRemoved = "YES"
        film.DeidentificationMethod = "lumbar: all attributes but those of the image removed"
        film.file_meta = FileMetaDataset()
        film.file_meta.MediaStorageSOPClassUID, film.file_meta.MediaStorageSOPInstanceUID = (
            film.SOPClassUID,
            film.SOPInstanceUID,
        )
        film.file_meta.TransferSyntaxUID = dataset.file_meta.get("TransferSyntaxUID", "1.2.840.10008.1.2")
        film.file_meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
        return film


def _complete(film: Dataset, dataset: Dataset) -> None:
    """What the film's class requires and nobody is known by."""
    kind = [
        word
        for word in list(value_of(dataset, "ImageType") or ())[:2]
        if word in ("ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY")
    ]
    film.ImageType = kind if len(kind) == 2 else ["DERIVED", "PRIMARY"]
    empty: tuple[str, ...] = ("PatientOrientation", "BodyPartExamined", "ViewPosition")
    if film.SOPClassUID in (DigitalXRayImageStorageForPresentation, DigitalXRayImageStorageForProcessing):
        empty = ("PatientOrientation", "DetectorType", "PositionerType")
        region = Dataset()
        region.CodeValue, region.CodingSchemeDesignator, region.CodeMeaning = SPINE.value, "SCT", SPINE.meaning
        film.AnatomicRegionSequence = [region]
        film.AcquisitionContextSequence = []
    elif film.SOPClassUID != ComputedRadiographyImageStorage:
        empty = ("PatientOrientation", "Laterality")
        film.ConversionType = "WSD"
    for keyword in empty:
        if keyword not in film:
            setattr(film, keyword, "")


def write_film(path: Path, film: Dataset) -> None:
    """Write it as a whole or not at all."""
    with libraries_silenced(), written_aside(path) as aside:
        dcmwrite(aside, film, enforce_file_format=True)
