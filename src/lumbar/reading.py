"""Everything that was found on one film, and its JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from lumbar.anatomy import LANDMARK_INDEX, LANDMARKS, Posture, Side, Vertebra, corners_of
from lumbar.assessment import SlipGrade, grade_slip
from lumbar.landmarks import AnatomicalSpine, SpineLandmarks
from lumbar.localisation import LumbosacralBox
from lumbar.measurements import (
    SLIP,
    Measurement,
    Unmeasurable,
    implausibilities,
    measure_everything,
    quantity_from_json,
)
from lumbar.radiograph import PixelSpacing, Radiograph

FORMAT = "lumbar.reading/1"
NOTICE = "Research use only; not a medical device."
NO_SPINE = "no lumbar spine found"
FACING_SOURCES = ("film", "--facing", "DICOM", "given")
"""Where the facing came from: seen on the film itself, the command's option, the DICOM file, or the calling program."""

DETECTOR_PLANE = (
    "lengths in mm are those on the detector, which shows a lateral lumbar spine about 1.2 times as large: "
    "magnification was not corrected"
)
UNKNOWN_PLANE = "it is not known whether the pixel spacing, and so every length in mm, is corrected for magnification"


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What was found on one film: two readings are equal if their JSON is.

    film: the file's name, without its folder.
    width, height: of the film, in pixels.
    anterior: the side of the film that the patient faces; `facing_source` says how that came to be known.
    box: None where no lumbar spine was found, or where nobody looked for one.
    landmarks: in film pixels; a covariance that is not finite is kept as not known.
    confidence: of the spine, in [0, 1]: the mean over all 22 corners of the network's own scores, absent corners
    counting nothing. It is not a probability.
    measurements: every quantity at every level. grades: of the levels whose slip was measured.
    warnings: what to doubt. weights: name -> sha256 of the networks that took part.
    """

    film: str
    width: int
    height: int
    spacing: PixelSpacing | None
    anterior: Side
    facing_source: str
    posture: Posture | None
    box: LumbosacralBox | None
    landmarks: SpineLandmarks
    confidence: float
    measurements: tuple[Measurement | Unmeasurable, ...]
    grades: tuple[SlipGrade, ...]
    warnings: tuple[str, ...]
    software_version: str
    weights: Mapping[str, str]

    def __post_init__(self) -> None:
        if not self.film or self.film != _without_folder(self.film):
            raise ValueError(f"film must be a file's name without its folder; got {self.film!r}")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"width and height must be at least one pixel; got {self.width} and {self.height}")
        if self.facing_source not in FACING_SOURCES:
            raise ValueError(f"facing_source must be one of {', '.join(FACING_SOURCES)}; got {self.facing_source!r}")
        if not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence must lie in [0, 1]; got {self.confidence}")
        known = np.isfinite(self.landmarks.covariance_px).all(axis=(1, 2), keepdims=True)
        covariance = np.where(known, self.landmarks.covariance_px, np.nan)
        kept = SpineLandmarks(self.landmarks.points_px, covariance, self.landmarks.confidence)
        object.__setattr__(self, "landmarks", kept)
        object.__setattr__(self, "weights", dict(sorted(self.weights.items())))

    @classmethod
    def of(
        cls,
        film: str,
        radiograph: Radiograph,
        box: LumbosacralBox | None,
        landmarks: SpineLandmarks,
        *,
        facing_source: str,
        weights: Mapping[str, str],
        doubts: Sequence[str] = (),
    ) -> Reading:
        """Measure, grade and doubt the `landmarks` that were found on the `radiograph`.

        film: the file's name; a folder before it is dropped. doubts: what the finder itself has to say, put first.
        Where `box` is None and every corner is absent, each measurement says that no lumbar spine was found.
        Raises ValueError where radiograph.anterior is None.
        """
        if radiograph.anterior is None:
            raise ValueError("radiograph.anterior must be left or right; got None: give it by radiograph.facing(side)")
        return cls._measured(
            _without_folder(film),
            (radiograph.width, radiograph.height),
            radiograph.spacing,
            radiograph.anterior,
            radiograph.posture,
            box,
            landmarks,
            facing_source,
            weights,
            doubts,
        )

    def remeasured(
        self,
        landmarks: SpineLandmarks,
        *,
        anterior: Side | None = None,
        spacing: PixelSpacing | None = None,
    ) -> Reading:
        """The same film with other corners, measured, graded and doubted anew; what the finder itself doubted stays.

        landmarks: in film pixels. anterior, spacing: where they are given, those of the reading were wrong or missing; the facing
        is then one that is "given". The box is drawn around the new corners where there was one, with its old score.
        """
        box = None
        if self.box is not None and landmarks.present.sum() > 1:
            low, high = (edge(landmarks.points_px, axis=0) for edge in (np.nanmin, np.nanmax))
            if (high > low).all():
                x0, y0, x1, y1 = map(float, (*low, *high))
                box = LumbosacralBox(x0, y0, x1, y1, self.box.score)
        own = {*_doubts_about_lengths(self.spacing), *implausibilities(self.spine), NO_SPINE}
        return self._measured(
            self.film,
            (self.width, self.height),
            spacing or self.spacing,
            anterior or self.anterior,
            self.posture,
            box,
            landmarks,
            self.facing_source if anterior in (None, self.anterior) else "given",
            self.weights,
            [warning for warning in self.warnings if warning not in own],
        )

    @classmethod
    def _measured(
        cls,
        film: str,
        size: tuple[int, int],
        spacing: PixelSpacing | None,
        anterior: Side,
        posture: Posture | None,
        box: LumbosacralBox | None,
        landmarks: SpineLandmarks,
        facing_source: str,
        weights: Mapping[str, str],
        doubts: Sequence[str],
    ) -> Reading:
        spine = landmarks.to_anatomical(anterior, spacing)
        warnings = (*doubts, *_doubts_about_lengths(spacing))
        if box is None and not landmarks.present.any():
            every = (Unmeasurable(m.quantity, m.site, NO_SPINE) for m in measure_everything(spine))
            measurements: tuple[Measurement | Unmeasurable, ...] = tuple(every)
            warnings = (*warnings, NO_SPINE)
        else:
            measurements = measure_everything(spine)
            warnings = (*warnings, *implausibilities(spine))
        return cls(
            film=film,
            width=size[0],
            height=size[1],
            spacing=spacing,
            anterior=anterior,
            facing_source=facing_source,
            posture=posture,
            box=box,
            landmarks=landmarks,
            confidence=float(np.where(landmarks.present, landmarks.confidence, 0.0).mean()),
            measurements=measurements,
            grades=_grades(measurements),
            warnings=warnings,
            software_version=installed_version(),
            weights=weights,
        )

    @property
    def spine(self) -> AnatomicalSpine:
        """The corners in the anatomical frame: anterior +x, up +y; in mm where the spacing is known."""
        return self.landmarks.to_anatomical(self.anterior, self.spacing)

    def measured(self, quantity: str, site: str) -> Measurement | Unmeasurable:
        """The measurement of `quantity` at `site`; raises KeyError where the reading has none."""
        for entry in self.measurements:
            if (entry.quantity, entry.site) == (quantity, site):
                return entry
        raise KeyError(f"{self.film} has no {quantity} at {site}")

    def to_json(self) -> str:
        """One JSON object with keys in a fixed order; points are [x, y] in film pixels, and what is absent is null.

        Numbers are written so that `from_json` gives the same ones back; none is NaN or infinite.
        """
        box = self.box
        document = {
            "format": FORMAT,
            "notice": NOTICE,
            "film": self.film,
            "width": self.width,
            "height": self.height,
            "spacing": None if self.spacing is None else asdict(self.spacing),
            "anterior": self.anterior,
            "facing_source": self.facing_source,
            "posture": self.posture,
            "box": None if box is None else [float(edge) for edge in box.edges],
            "box_score": None if box is None else float(box.score),
            "confidence": self.confidence,
            "vertebrae": _by_vertebra(_null_where_nan(self.landmarks.points_px)),
            "measurements": [entry.to_json() for entry in self.measurements],
            "grades": [grade.to_json() for grade in self.grades],
            "warnings": list(self.warnings),
            "corner_confidence": _by_vertebra(self.landmarks.confidence.tolist()),
            "corner_covariance_px2": _by_vertebra(_null_where_nan(self.landmarks.covariance_px)),
            "software_version": self.software_version,
            "weights": dict(self.weights),
        }
        return json.dumps(document, indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Reading:
        """The reading that `to_json` wrote.

        Raises ValueError where `text` is not JSON, is of another format, or lacks something.
        """
        try:
            return cls._from_document(json.loads(text, parse_constant=_refuse))
        except KeyError as missing:
            raise ValueError(f"this is not a reading as lumbar writes it: it has no '{missing.args[0]}'") from missing
        except (TypeError, AttributeError, ValueError) as problem:
            raise ValueError(f"this is not a reading as lumbar writes it: {problem}") from problem

    @classmethod
    def _from_document(cls, document: Mapping[str, Any]) -> Reading:
        if document["format"] != FORMAT:
            raise ValueError(f"format must be {FORMAT}; got {document['format']!r}")
        spacing, box, posture = document["spacing"], document["box"], document["posture"]
        landmarks = SpineLandmarks(
            _from_vertebrae(document["vertebrae"], (2,)),
            _from_vertebrae(document["corner_covariance_px2"], (2, 2)),
            _from_vertebrae(document["corner_confidence"], ()),
        )
        return cls(
            film=document["film"],
            width=document["width"],
            height=document["height"],
            spacing=None if spacing is None else PixelSpacing(**spacing),
            anterior=Side(document["anterior"]),
            facing_source=document["facing_source"],
            posture=None if posture is None else Posture(posture),
            box=None if box is None else _box(box, document["box_score"]),
            landmarks=landmarks,
            confidence=document["confidence"],
            measurements=tuple(quantity_from_json(entry) for entry in document["measurements"]),
            grades=tuple(SlipGrade.from_json(entry) for entry in document["grades"]),
            warnings=tuple(document["warnings"]),
            software_version=document["software_version"],
            weights=document["weights"],
        )

    def __eq__(self, other: object) -> bool:
        """Whether the JSON is the same."""
        return isinstance(other, Reading) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        """Of the JSON."""
        return hash(self.to_json())


def _without_folder(film: str) -> str:
    return re.split(r"[\\/]", film)[-1]


@cache
def installed_version() -> str:
    """The version of this package, "unknown" in a source tree that was never installed."""
    try:
        return version("lumbar")
    except PackageNotFoundError:
        return "unknown"


def _doubts_about_lengths(spacing: PixelSpacing | None) -> tuple[str, ...]:
    doubts = {"detector": (DETECTOR_PLANE,), "unknown": (UNKNOWN_PLANE,), "patient": ()}
    return () if spacing is None else doubts[spacing.plane]


def _grades(measurements: Sequence[Measurement | Unmeasurable]) -> tuple[SlipGrade, ...]:
    slips = [m for m in measurements if isinstance(m, Measurement) and m.quantity == SLIP.name]
    return tuple(grade_slip(slip.site, slip.value, slip.standard_error) for slip in slips)


def _refuse(constant: str) -> None:
    raise ValueError(f"a number is {constant}")


def _box(edges: Sequence[float], score: float) -> LumbosacralBox:
    x0, y0, x1, y1 = edges
    return LumbosacralBox(x0, y0, x1, y1, score)


def _null_where_nan(values: np.ndarray[Any, Any]) -> list[Any]:
    return [None if np.isnan(value).any() else value.tolist() for value in values]


def _by_vertebra(values: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """22 values in the order of the landmarks -> {"L1": {"superior_anterior": value, ...}, ...}."""
    return {
        vertebra.value: {corner.value: values[LANDMARK_INDEX[vertebra, corner]] for corner in corners_of(vertebra)}
        for vertebra in Vertebra
    }


def _from_vertebrae(document: Mapping[str, Mapping[str, Any]], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The way back, NaN for null: (22, *shape)."""
    values = [document[vertebra][corner] for vertebra, corner in LANDMARKS]
    return np.array([np.full(shape, np.nan) if value is None else value for value in values], dtype=np.float64)
