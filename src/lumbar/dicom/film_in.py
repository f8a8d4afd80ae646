"""DICOM files -> Radiograph. The patient's identity stays here: neither the film nor an error carries any of it."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    RLELossless,
)

from lumbar.anatomy import Posture, Side
from lumbar.dicom.presentation import shown_grey
from lumbar.dicom.spacing import pixel_spacing
from lumbar.dicom.tags import number_of, value_of, word_of
from lumbar.images import MAX_PIXELS, Grey, check_size, head_of, libraries_silenced, luma
from lumbar.radiograph import Radiograph, UnreadableFilm

FILM_MODALITIES = ("CR", "DX", "RG", "RF", "OT", "XC", "SC", "")
"""Projection radiographs (RG: digitised, RF: a single shot of a fluoroscope) and what secondary captures are called."""

_EXPORT_AGAIN = "export or send it again"
_UNCOMPRESSED = "export it uncompressed, or convert it with `gdcmconv --raw` or `dcmdjpeg`"
_MOST_BYTES = 4 * MAX_PIXELS
# What old or careless writers leave out, because it is the same in nearly all films.
_USUALLY = {"SamplesPerPixel": 1, "PixelRepresentation": 0, "PhotometricInterpretation": "MONOCHROME2"}
_POSTURE_TAGS = ("SeriesDescription", "ProtocolName", "AcquisitionDeviceProcessingDescription", "ImageComments")
_POSTURE_WORDS = {
    "flexion": Posture.FLEXION,
    "flex": Posture.FLEXION,
    "neutral": Posture.NEUTRAL,
    "extension": Posture.EXTENSION,
    "ext": Posture.EXTENSION,
}


def read_dicom(path: str | os.PathLike[str]) -> Radiograph:
    """The film in a DICOM file: computed or digital radiography, or a secondary capture, with or without a preamble.

    Pixels are shown as the file says (`presentation.shown_grey`), bone bright; colours become luma. Spacing follows
    `spacing.pixel_spacing`. `anterior` is known where PatientOrientation says whether the rows run to the patient's
    front or back. `posture` is known where the description of the series, protocol, processing, image or view says
    exactly one of flexion, neutral and extension (flex, ext) as a whole word; a file that says two of them says
    nothing.

    Raises UnreadableFilm where the file cannot be opened, is not DICOM, is damaged, is no single film (another
    modality, no pixels, several frames), is compressed in a way that cannot be decoded here, has a side below
    `images.MIN_SIDE`, or has more than `images.MAX_PIXELS` pixels (which are not decoded then).
    """
    head_of(path)
    with libraries_silenced():
        _check_inflated_size(Path(path))
        _check_single_film(_parsed(Path(path), stop_before_pixels=True))
        dataset = _parsed(Path(path), stop_before_pixels=False)
        grey = np.ascontiguousarray(_grey(dataset))
        return Radiograph(grey, pixel_spacing(dataset), _anterior(dataset), _posture(dataset))


def _parsed(path: Path, *, stop_before_pixels: bool) -> Dataset:
    with _damage_is_refused():
        dataset = dcmread(path, force=True, stop_before_pixels=stop_before_pixels)
    if value_of(dataset.file_meta, "MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
        raise UnreadableFilm("the file is a DICOMDIR, an index of other files", "give the image files that it lists")
    if not any(value_of(dataset, keyword) for keyword in ("SOPClassUID", "Modality", "Rows")):
        raise UnreadableFilm("the file is not DICOM, or is cut off near its beginning", _EXPORT_AGAIN)
    return dataset


@contextmanager
def _damage_is_refused() -> Iterator[None]:
    try:
        yield
    except Exception:  # of any kind; the cause is cut off, since it may quote the patient's data
        raise UnreadableFilm("the DICOM file is damaged or truncated", _EXPORT_AGAIN) from None


def _check_inflated_size(path: Path) -> None:
    """Refuse a deflated file that would grow beyond any film: pydicom inflates the whole of it to read one tag."""
    with path.open("rb") as file:
        if file.read(132)[128:] != b"DICM":
            return
        with _damage_is_refused():
            meta = read_file_meta_info(path)
            if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
                return
            file.seek(144 + meta.FileMetaInformationGroupLength)
            inflater, inflated, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, file.read()
            while rest and inflated <= _MOST_BYTES:
                inflated += len(inflater.decompress(rest, 1 << 24))
                rest = inflater.unconsumed_tail
    if inflated > _MOST_BYTES:
        check_size(MAX_PIXELS, 2)


def _check_single_film(dataset: Dataset) -> None:
    modality = word_of(dataset, "Modality")
    if modality not in FILM_MODALITIES:
        modality = modality if re.fullmatch("[A-Z]{2,10}", modality) else "unknown"
        raise UnreadableFilm(
            f"the DICOM object's modality is {modality}, not a plain radiograph",
            "give the lateral film, whose modality is CR, DX or RG",
        )
    height, width = number_of(dataset, "Rows"), number_of(dataset, "Columns")
    if not height or not width:
        raise UnreadableFilm("the DICOM object holds no pixels", "give the image itself, not an object about it")
    frames = number_of(dataset, "NumberOfFrames") or 1
    if frames > 1:
        raise UnreadableFilm(f"the DICOM object holds {frames:.0f} frames", "export the frame that is the film alone")
    check_size(int(height), int(width))


def _grey(dataset: Dataset) -> Grey:
    if not value_of(dataset, "PixelData"):
        raise UnreadableFilm("the DICOM object holds no pixels", "give the image itself, or export it with its pixels")
    stored = _decoded(dataset)
    if stored.ndim == 2 and word_of(dataset, "PhotometricInterpretation") == "PALETTE COLOR":
        with _damage_is_refused():
            stored = apply_color_lut(stored, dataset)
        return np.asarray(luma(stored) / np.float32(np.iinfo(stored.dtype).max))
    if stored.ndim == 2:
        return shown_grey(stored, dataset)
    if stored.ndim == 3 and stored.shape[2] == 3:
        white = 2 ** int(number_of(dataset, "BitsStored") or 8) - 1
        return np.asarray(np.clip(luma(stored) / np.float32(white), 0, 1))
    raise UnreadableFilm("the DICOM object's pixels are neither grey nor RGB", _UNCOMPRESSED)


def _decoded(dataset: Dataset) -> NDArray[Any]:
    """The stored values, (H, W) or, in RGB, (H, W, 3)."""
    syntax = _transfer_syntax(dataset)
    try:
        available = get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        name = syntax.name if syntax.is_valid else "nothing known"
        raise UnreadableFilm(f"the pixels are compressed as {name}, which cannot be decoded here", _UNCOMPRESSED)
    try:
        dataset.pop("NumberOfFrames", None)  # it is one, or malformed
        for keyword, usual in {"BitsStored": value_of(dataset, "BitsAllocated"), **_USUALLY}.items():
            if value_of(dataset, keyword) is None:
                dataset.pop(keyword, None)  # a malformed value cannot be overwritten
                setattr(dataset, keyword, usual)
        # pylibjpeg-rle, the other choice, panics on damaged data: that prints, and is no Exception.
        return pixel_array(dataset, decoding_plugin="pydicom" if syntax == RLELossless else "")
    except Exception:  # each decoder has its own; cut off, as above
        problem = "the pixels cannot be decoded: they are damaged, truncated or other than described"
        raise UnreadableFilm(problem, "export or send it again, uncompressed if possible") from None


def _transfer_syntax(dataset: Dataset) -> UID:
    """The stated transfer syntax, or, in a file without one, the encoding that was found in reading it."""
    stated = value_of(dataset.file_meta, "TransferSyntaxUID")
    if stated:
        return UID(str(stated))
    if dataset["PixelData"].is_undefined_length:
        raise UnreadableFilm("the file does not say how its pixels are compressed", _UNCOMPRESSED)
    is_implicit, is_little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if is_little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if is_implicit else explicit
    return dataset.file_meta.TransferSyntaxUID


def _anterior(dataset: Dataset) -> Side | None:
    """PatientOrientation's first value is the direction of the rows, towards the right of the film."""
    return {"A": Side.RIGHT, "P": Side.LEFT}.get(word_of(dataset, "PatientOrientation")[:1])


def _posture(dataset: Dataset) -> Posture | None:
    said = [_postures_in(text) for text in _descriptions(dataset)]
    plain = {posture for postures in said if len(postures) == 1 for posture in postures}
    return plain.pop() if len(plain) == 1 else None


def _descriptions(dataset: Dataset) -> Iterator[str]:
    for keyword in _POSTURE_TAGS:
        yield str(value_of(dataset, keyword) or "")
    for view in value_of(dataset, "ViewCodeSequence") or ():
        for code in (view, *(value_of(view, "ViewModifierCodeSequence") or ())):
            yield str(value_of(code, "CodeMeaning") or "")


def _postures_in(text: str) -> set[Posture]:
    words = re.findall(r"[^\W\d_]+", text.lower())
    return {_POSTURE_WORDS[word] for word in words if word in _POSTURE_WORDS}
