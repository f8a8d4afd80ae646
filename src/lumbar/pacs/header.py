"""What a result takes over from the film that it is about: whose it is, which study it belongs to, how it is shown."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom import Dataset, dcmread
from pydicom.config import IGNORE
from pydicom.multival import MultiValue
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    SecondaryCaptureImageStorage,
    XRayAngiographicImageStorage,
    XRayRadiofluoroscopicImageStorage,
    generate_uid,
)

from lumbar.dicom.tags import number_of, numbers_of, value_of, word_of
from lumbar.images import libraries_silenced
from lumbar.radiograph import UnreadableFilm
from lumbar.reading import Reading

MANUFACTURER, MODEL = "lumbar", "lumbar reader"
"""Of every result: by these a node knows what it has made itself."""

FILM_CLASSES = (
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    DigitalXRayImageStorageForProcessing,
    XRayRadiofluoroscopicImageStorage,
    XRayAngiographicImageStorage,
    SecondaryCaptureImageStorage,
    MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
)
"""What films are stored as."""

_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_TEXTS = (
    "PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID", "StudyDescription", "ReferringPhysicianName",
)  # fmt: skip
_EXACT = {
    "PatientBirthDate": r"\d{8}",
    "PatientSex": r"[MFO]",
    "StudyDate": r"\d{8}",
    "StudyTime": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?",
}
_NUMBERS = ("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation")
_WORDS = ("Modality", "PresentationLUTShape", "BurnedInAnnotation")


def film_header(path: str | os.PathLike[str]) -> Dataset:
    """The film's patient, study, references and way of being shown, without its pixels, private tags or anything else.

    Every attribute that a result must have is there; what is missing or malformed in the file is empty. Text is Unicode.
    Raises UnreadableFilm where the file has no valid UID of its class, itself, its series or its study: nothing could refer to it.
    """
    with libraries_silenced():
        try:
            dataset = dcmread(path, force=True, stop_before_pixels=True)
        except Exception:  # the cause is cut off, since it may quote the patient's data
            raise UnreadableFilm("the DICOM file is damaged or truncated", "export or send it again") from None
        return header_of(dataset)


def header_of(dataset: Dataset) -> Dataset:
    """As `film_header`, of a dataset."""
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _UIDS:
        setattr(header, keyword, _uid(dataset, keyword))
    if header.SOPClassUID not in FILM_CLASSES:
        name = header.SOPClassUID.name if header.SOPClassUID.name != str(header.SOPClassUID) else "of an unknown class"
        raise UnreadableFilm(f"the object is {name}, which no film is stored as", "send the film itself")
    for keyword in _TEXTS:
        setattr(header, keyword, _text(dataset, keyword))
    for keyword in ("IssuerOfPatientID", "StudyDescription"):
        if not getattr(header, keyword):
            delattr(header, keyword)
    for keyword, form in _EXACT.items():
        said = str(value_of(dataset, keyword) or "").strip()
        setattr(header, keyword, said if re.fullmatch(form, said) else "")
    _copy_image(dataset, header)
    return header


def _copy_image(dataset: Dataset, header: Dataset) -> None:
    for keyword in ("Rows", "Columns"):
        if size := number_of(dataset, keyword):
            setattr(header, keyword, int(size))
    header.PhotometricInterpretation = word_of(dataset, "PhotometricInterpretation") or "MONOCHROME2"
    header.SamplesPerPixel = int(number_of(dataset, "SamplesPerPixel") or 1)
    for keyword in _NUMBERS:
        if (number := number_of(dataset, keyword)) is not None:
            setattr(header, keyword, int(number))
    for keyword in _WORDS:
        if word := word_of(dataset, keyword):
            setattr(header, keyword, word)
    slope, intercept = number_of(dataset, "RescaleSlope"), number_of(dataset, "RescaleIntercept")
    if slope and intercept is not None:
        header.RescaleSlope, header.RescaleIntercept = f"{slope:.10g}"[:16], f"{intercept:.10g}"[:16]
        header.RescaleType = word_of(dataset, "RescaleType") or "US"
    centres, widths = numbers_of(dataset, "WindowCenter"), numbers_of(dataset, "WindowWidth")
    if centres and widths and widths[0] >= 1:
        header.WindowCenter, header.WindowWidth = f"{centres[0]:.10g}"[:16], f"{widths[0]:.10g}"[:16]
        if function := word_of(dataset, "VOILUTFunction"):
            header.VOILUTFunction = function
    orientation = value_of(dataset, "PatientOrientation")
    if isinstance(orientation, MultiValue) and all(re.fullmatch("[APLRHF]{1,3}", str(d)) for d in orientation):
        header.PatientOrientation = [str(direction) for direction in orientation]


def _uid(dataset: Dataset, keyword: str) -> UID:
    uid = UID(str(value_of(dataset, keyword) or ""), validation_mode=IGNORE)
    if not uid.is_valid:
        raise UnreadableFilm(
            f"the file has no valid {keyword}, so no result can refer to it", "send the film from the PACS"
        )
    return uid


def _text(dataset: Dataset, keyword: str) -> str:
    value = value_of(dataset, keyword)
    if isinstance(value, MultiValue):
        value = "\\".join(map(str, value))
    return "".join(letter for letter in str(value or "") if letter.isprintable())


def result_uid(kind: str, films: tuple[str, ...], weights: Mapping[str, str], version: str, *more: str) -> UID:
    """A UID that is the same whenever the same thing is made of the same films: a film processed again makes no second result.

    kind: of the object, or of the series that it stands in. films: SOP Instance UIDs. more: what else the result depends on.
    """
    made_of = [kind, *films, *(f"{name} {sha256}" for name, sha256 in sorted(weights.items())), version, *more]
    return generate_uid(entropy_srcs=["lumbar result", "\n".join(made_of)])


@dataclass(frozen=True, slots=True)
class Origin:
    """What a result is made of, which is what its UIDs are made of: films, networks, version, and what was given beside the films.

    films: SOP Instance UIDs. readings: of those films, in the same order. more: what else tells it from others, such as criteria.
    """

    films: tuple[str, ...]
    readings: tuple[Reading, ...]
    more: tuple[str, ...] = ()

    def uid(self, kind: str) -> UID:
        """Of an object of this kind, or of its series."""
        first = self.readings[0]
        given = [part for reading in self.readings for part in _given(reading)]
        return result_uid(kind, self.films, first.weights, first.software_version, *given, *self.more)


def _given(reading: Reading) -> tuple[str, ...]:
    spacing = reading.spacing
    facing = "" if reading.facing_source == "film" else reading.anterior.value
    return (facing, "" if spacing is None else f"{spacing.row_mm!r} {spacing.column_mm!r} {spacing.source}")
