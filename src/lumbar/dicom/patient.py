"""Whether DICOM films are of one patient, without letting anybody know who that is."""

from __future__ import annotations

import hashlib
import os

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

_WHO = ("PatientID", "IssuerOfPatientID")


def patient_token(path: str | os.PathLike[str]) -> str | None:
    """A digest of the patient's id and its issuer: the same for films of one patient; None where the file says none.

    It tells films apart within one run and is not for keeping: ids are short, and a digest of a short text can be guessed.
    """
    try:
        dataset = dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_WHO))
        said = [str(dataset.get(keyword, "")).strip() for keyword in _WHO]
    except (OSError, InvalidDicomError, ValueError, AttributeError, TypeError):
        return None
    return hashlib.sha256("\\".join(said).encode()).hexdigest() if said[0] else None
