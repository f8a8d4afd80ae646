"""Any film that a user has -> Radiograph."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from lumbar.images import head_of, is_image, read_image
from lumbar.radiograph import PixelSpacing, Radiograph, UnreadableFilm

Film = TypeVar("Film")

# The first element of a DICOM file without preamble: group 0002 or 0008, element below 0100, in either byte order;
# then an explicit VR, or, in implicit little endian, a length below 65536.
_BARE_DICOM = re.compile(rb"[\x02\x08]\x00.\x00(?:[A-Z]{2}|..\x00\x00)|\x00[\x02\x08]\x00.[A-Z]{2}", re.DOTALL)


def open_film(path: str | os.PathLike[str], spacing: PixelSpacing | None = None) -> Radiograph:
    """The film in a DICOM, PNG, JPEG, TIFF or BMP file; its content decides which, not its name.

    `spacing` overrides what the file says of it.
    Raises UnreadableFilm as `images.read_image` and `dicom.read_dicom` do, and where the file is neither.
    """
    radiograph = _read(path)
    return radiograph if spacing is None else replace(radiograph, spacing=spacing)


def is_film(path: str | os.PathLike[str]) -> bool:
    """Whether the file begins like one that `open_film` reads; a file that cannot be opened at all is taken for one."""
    try:
        head = head_of(path)
    except UnreadableFilm:
        return True
    return is_image(head) or _is_dicom(head)


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Whether the file begins like a DICOM file; one that cannot be opened at all does not."""
    try:
        return _is_dicom(head_of(path))
    except UnreadableFilm:
        return False


def of_other_patients(paths: Sequence[str | os.PathLike[str]]) -> list[str | os.PathLike[str]]:
    """Those of the films that say they are of another patient than the first that says whose it is.

    Only DICOM files say so; what cannot be read is passed over.
    """
    return unlike_the_first([(path, patient_of(path)) for path in paths])


def patient_of(path: str | os.PathLike[str]) -> str | None:
    """A token that is the same for films of one patient; None where the file does not say whose it is."""
    from lumbar.dicom.patient import patient_token

    return patient_token(path) if is_dicom(path) else None


def unlike_the_first(films: Sequence[tuple[Film, str | None]]) -> list[Film]:
    """Those of films with their patients that say another patient than the first that says one.

    >>> unlike_the_first([("a", None), ("b", "one"), ("c", "other"), ("d", None), ("e", "one")])
    ['c']
    """
    known = [(film, patient) for film, patient in films if patient is not None]
    return [film for film, patient in known if patient != known[0][1]]


def why_no_study(others: Sequence[str]) -> str:
    """What is said of a study with films of other patients."""
    return f"its films must be of one patient; {', '.join(others)} say another patient id"


def _is_dicom(head: bytes) -> bool:
    return head[128:132] == b"DICM" or _BARE_DICOM.match(head) is not None


def _read(path: str | os.PathLike[str]) -> Radiograph:
    head = head_of(path)
    if is_image(head) and head[128:132] != b"DICM":
        return read_image(path)
    if _is_dicom(head):
        from lumbar.dicom import read_dicom  # only here: pydicom takes a while to load, and pictures do not need it

        return read_dicom(path)
    raise UnreadableFilm(
        "the file is neither DICOM nor a PNG, JPEG, TIFF or BMP image", "give the film in one of these formats"
    )
