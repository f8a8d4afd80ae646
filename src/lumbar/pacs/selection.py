"""Which of the instances that a node receives are lateral lumbar films, as far as their headers say."""

from __future__ import annotations

from pydicom import Dataset

from lumbar.dicom.tags import value_of, word_of
from lumbar.pacs.header import MANUFACTURER, MODEL

_FRONTAL_VIEWS = ("AP", "PA")
# SNOMED CT, and the SNOMED-RT codes that older machines write: antero-posterior, postero-anterior, frontal.
_FRONTAL_CODES = ("399348003", "272479007", "399033003", "R-10206", "R-10214", "R-10202")
_LUMBAR = (
    "LSPINE", "LUMBAR", "LUMBARSPINE", "LSSPINE", "SPINE", "TLSPINE", "LUMBOSACRAL", "SSPINE", "WHOLESPINE", "PELVIS", "ABDOMEN",
)  # fmt: skip
_FRONTAL_WORDS = {"AP", "PA", "FRONTAL"}


def why_no_lateral_lumbar(dataset: Dataset) -> str | None:
    """Why the header rules a lateral lumbar film out; None where it does not: what it leaves open, the networks must see.

    It rules out: lumbar's own results; a view that is frontal (ViewPosition, ViewCodeSequence, PatientOrientation, or the words AP, PA or
    frontal in SeriesDescription); a body part other than the lumbar spine and what surrounds it.
    """
    if (
        word_of(dataset, "ManufacturerModelName") == MODEL.upper()
        and word_of(dataset, "Manufacturer") == MANUFACTURER.upper()
    ):
        return "it is a result of lumbar itself"
    part = "".join(letter for letter in word_of(dataset, "BodyPartExamined") if letter.isalpha())
    if part and part not in _LUMBAR:
        return "its body part is not the lumbar spine"
    if _is_frontal(dataset):
        return "its view is frontal, not lateral"
    return None


def _is_frontal(dataset: Dataset) -> bool:
    if (view := word_of(dataset, "ViewPosition")) in ("LL", "RL", "LATERAL", "LAT"):
        return False
    if view in _FRONTAL_VIEWS:
        return True
    codes = [str(value_of(code, "CodeValue")) for code in value_of(dataset, "ViewCodeSequence") or ()]
    if any(code in _FRONTAL_CODES for code in codes):
        return True
    if word_of(dataset, "PatientOrientation")[:1] in ("L", "R"):
        return True
    words = set(word_of(dataset, "SeriesDescription").replace("/", " ").replace("_", " ").replace("-", " ").split())
    return bool(words & _FRONTAL_WORDS) and not words & {"LAT", "LATERAL", "LL"}
