"""What one method did on one set of films: all figures with where they come from, as one JSON file."""

from __future__ import annotations

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from lumbar.assessment import quarter_of
from lumbar.evaluation.agreement import Agreement
from lumbar.evaluation.clinical import (
    QuantityScores,
    Study,
    StudyScores,
    grading_accuracy,
    score_quantities,
    score_studies,
)
from lumbar.evaluation.landmark_scores import (
    Figure,
    FilmScores,
    LandmarkScores,
    score_films,
    score_landmarks,
)
from lumbar.evaluation.read_case import ReadCase, Unit
from lumbar.geometry import FloatArray
from lumbar.reading import installed_version

FORMAT = "lumbar.evaluation/1"


@dataclass(frozen=True, slots=True)
class FilmLine:
    """One film: its mean corner error in endplate depths (missed corners counted), whether names are off, corners missed."""

    film: str
    patient: str
    error: float
    shifted: bool
    missed: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures of `method` on `data`.

    made: how the figures came about: machine, commit, date, version, and what the caller adds (seed, training, weights).
    landmarks: by unit, where that is known. grading: with direction and a grade 0; grading_by_quarters: as the paper does, None in files of
    before it was asked for. studies: None where the films are not of studies.
    """

    method: str
    data: str
    made: Mapping[str, str]
    films: FilmScores
    landmarks: Mapping[Unit, LandmarkScores]
    quantities: tuple[QuantityScores, ...]
    grading: Figure
    studies: StudyScores | None
    lines: tuple[FilmLine, ...]
    grading_by_quarters: Figure | None = None

    def to_json(self) -> str:
        """One JSON object; what is not a number is null. `from_json` gives the evaluation back."""
        document = {"format": FORMAT, **asdict(self)}
        document["landmarks"] = {str(unit): asdict(scores) for unit, scores in self.landmarks.items()}
        return json.dumps(_null_where_nan(document), indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> Evaluation:
        """What `to_json` wrote. Raises ValueError for anything else."""
        try:
            document = json.loads(text)
            if document.pop("format") != FORMAT:
                raise ValueError(f"format must be {FORMAT}")
            studies = document["studies"]
            return cls(
                document["method"],
                document["data"],
                document["made"],
                FilmScores(document["films"]["films"], *(_figure(document["films"][k]) for k in ("shifted", "missed"))),
                {Unit(unit): _landmarks(entry) for unit, entry in document["landmarks"].items()},
                tuple(_quantity(entry) for entry in document["quantities"]),
                _figure(document["grading"]),
                None if studies is None else _studies(studies),
                tuple(FilmLine(**{**line, "error": _number(line["error"])}) for line in document["lines"]),
                None if document.get("grading_by_quarters") is None else _figure(document["grading_by_quarters"]),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as problem:
            raise ValueError(f"this is not an evaluation as lumbar writes it: {problem}") from problem

    def errors_by_patient(self) -> dict[str, float]:
        """The mean of the films' errors, by patient: what paired tests compare."""
        by_patient: dict[str, list[float]] = {}
        for line in self.lines:
            by_patient.setdefault(line.patient, []).append(line.error)
        return {patient: float(np.mean(errors)) for patient, errors in by_patient.items()}


def evaluate(
    method: str,
    data: str,
    cases: Sequence[ReadCase],
    studies: Sequence[Study] = (),
    made: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Evaluation:
    """Score `cases`, and the studies that they make up if they do; `seed` draws the intervals."""
    scored = {unit: score_landmarks(cases, unit, seed) for unit in Unit}
    return Evaluation(
        method,
        data,
        {**provenance(), **(made or {})},
        score_films(cases, seed),
        {unit: scores for unit, scores in scored.items() if scores is not None},
        score_quantities(cases),
        grading_accuracy(cases, seed),
        score_studies(studies, seed) if studies else None,
        tuple(_line(case) for case in cases),
        grading_accuracy(cases, seed, quarter_of),
    )


def provenance() -> dict[str, str]:
    """Machine, version and commit of the code, and date."""
    here = Path(__file__).parent
    asked = subprocess.run(
        ["git", "-C", str(here), "describe", "--always", "--dirty", "--exclude", "*"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    return {
        "machine": f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}",
        "version": installed_version(),
        "commit": asked.stdout.strip() or "unknown",
        "date": datetime.now(UTC).date().isoformat(),
    }


def _line(case: ReadCase) -> FilmLine:
    errors = case.radial_errors(Unit.DEPTH)
    assert errors is not None
    return FilmLine(case.film, case.patient, float(np.nanmean(errors)), case.shifted, int(case.missed.sum()))


def _null_where_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _null_where_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_null_where_nan(entry) for entry in value]
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _figure(entry: Mapping[str, float | None]) -> Figure:
    return Figure(*(_number(entry[key]) for key in ("value", "low", "high")))


def _landmarks(entry: Mapping[str, Any]) -> LandmarkScores:
    mae, mre, median = (_figure(entry[key]) for key in ("mae", "mre", "median"))
    sdr = {float(radius): _figure(figure) for radius, figure in entry["sdr"].items()}
    by_vertebra, by_corner = (
        {name: _number(value) for name, value in entry[key].items()} for key in ("by_vertebra", "by_corner")
    )
    return LandmarkScores(Unit(entry["unit"]), entry["films"], mae, mre, median, sdr, by_vertebra, by_corner)


def _quantity(entry: Mapping[str, Any]) -> QuantityScores:
    found = entry["agreement"]
    agreement = Agreement(
        found["n"], *(_number(found[k]) for k in ("mean_absolute_error", "bias", "low", "high", "icc"))
    )
    return QuantityScores(entry["quantity"], entry["unit"], agreement, entry["unmeasured"])


def _studies(entry: Mapping[str, Any]) -> StudyScores:
    angle, displacement, stability = (_figure(entry[key]) for key in ("angle_deg", "displacement_mm", "stability"))
    return StudyScores(entry["studies"], angle, displacement, stability, entry["unmeasured"])


def points_to_csv(cases: Sequence[ReadCase]) -> str:
    """True and found corners of every film, one row a corner: for whoever wants other figures than these."""
    from lumbar.anatomy import LANDMARKS

    rows = ["film,patient,vertebra,corner,true_x,true_y,found_x,found_y"]
    for case in cases:
        for (vertebra, corner), true, found in zip(LANDMARKS, case.truth_px, case.found_px, strict=True):
            rows.append(f"{case.film},{case.patient},{vertebra},{corner},{_xy(true)},{_xy(found)}")
    return "\n".join(rows) + "\n"


def _xy(point: FloatArray) -> str:
    return "," if np.isnan(point).any() else f"{point[0]:.2f},{point[1]:.2f}"
