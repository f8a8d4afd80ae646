"""Flexion, extension and neutral films of one patient together: how far each level moves, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lumbar.anatomy import LEVELS, Posture
from lumbar.assessment import (
    CRITERIA,
    PAPER,
    SlipGrade,
    StabilityAssessment,
    StabilityCriteria,
    Verdict,
    assess_level,
    grade_slip,
)
from lumbar.geometry import FloatArray
from lumbar.landmarks import AnatomicalSpine
from lumbar.landmarks.same_bodies import SameBodies, fit_same_bodies, joint_covariance
from lumbar.landmarks.spine import endplate_depth
from lumbar.measurements import (
    SLIP,
    LevelChange,
    Measurement,
    Unmeasurable,
    measure_changes,
    measure_lordosis,
    measured_at,
)
from lumbar.postures import posture_named
from lumbar.reading import NOTICE, Reading, installed_version

FORMAT = "lumbar.study/2"

LEAST_EFFORT_DEG = 10.0
"""A change of lordosis between flexion and extension below this says little about instability: the patient hardly bent. Our own choice,
a fifth of the 50 degrees or so that healthy people reach."""

SHAPE_DEVIATION = 0.004
"""How much a body's projected corners differ between two films because the patient turned a little, in endplate depths. Our own choice, so
that 90 % intervals of the changes cover about as much on 230 simulated studies other than the benchmark's."""

LASTING_SHARE = 0.4
"""How much of a corner's error variance lies the same way on every film of a patient, since the bone itself misleads: a worn corner, a spur. On 60
simulated studies other than the benchmark's, errors of one corner on two films, each in units of its error bar, correlate by 0.43 (0.48 along
the endplate, 0.38 across it; 7,800 pairs; experiments/study_limits.py), with the weights before those that ship by 0.38."""

LOOSE = 8.0
"""A body that fits together worse than this is named in a warning, though its error bars are widened. Our own choice."""

STRANGE_MISFIT = 6.0
"""Bodies whose corners fit together worse than this, in units of what the errors of reading explain, may be of two patients. Our own choice:
of 1,430 simulated studies whose films are named right 2 exceed it, and of as many that were put together from two patients 91 %."""


@dataclass(frozen=True, slots=True)
class LevelAssessment:
    """One level: its motion between flexion and extension, what each set of criteria says of it, and its slip and grade on one film.

    stability: by criteria, those that were asked for first. slip_film: the posture of the film that `slip` is of: neutral, or
    flexion where no neutral film gave it. grade: None where the slip could not be measured.
    """

    change: LevelChange
    stability: tuple[StabilityAssessment, ...]
    slip: Measurement | Unmeasurable
    slip_film: Posture
    grade: SlipGrade | None

    @property
    def site(self) -> str:
        """Such as "L4/L5"."""
        return self.change.site

    @property
    def verdict(self) -> StabilityAssessment:
        """By the criteria that were asked for."""
        return self.stability[0]

    def __eq__(self, other: object) -> bool:
        """Whether all figures are the same; an error that is not known equals another."""
        return isinstance(other, LevelAssessment) and self.to_json() == other.to_json()

    def __hash__(self) -> int:
        return hash((self.site, self.stability))

    def to_json(self) -> dict[str, Any]:
        """One dict; what could not be measured is {reason}, and what is not known is null."""
        slip, grade = _quantity("slip_percent", self.slip), self.grade
        return {
            "site": self.site,
            **_quantity("translation_mm", self.change.translation),
            **_quantity("slip_change_percent", self.change.slip),
            **_quantity("angulation_deg", self.change.angulation),
            "change_covariance": [[None if np.isnan(v) else float(v) for v in row] for row in self.change.covariance],
            **slip,
            "slip_film": self.slip_film,
            "grade": slip["slip_percent"] if grade is None else grade.grade,
            "direction": None if grade is None else grade.direction,
            "grade_probability_at_least": None if grade is None else grade.probability_at_least,
            "verdict": self.verdict.verdict,
            "probability": self.verdict.probability,
            "verdict_reason": self.verdict.reason,
            "by_criteria": {
                s.criteria: {"verdict": s.verdict, "probability": s.probability, "reason": s.reason}
                for s in self.stability
            },
        }

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> LevelAssessment:
        """Back from `to_json`."""
        site = entry["site"]
        slip = _quantity_back("slip", site, "slip_percent", "%", entry)
        grade = None
        if isinstance(slip, Measurement):
            shares = entry["grade_probability_at_least"]
            probability_at_least = None if shares is None else tuple(shares)
            grade = SlipGrade(site, slip.value, entry["grade"], entry["direction"], probability_at_least)
        change = LevelChange(
            site,
            _quantity_back("translation", site, "translation_mm", "mm", entry),
            _quantity_back("slip", site, "slip_change_percent", "%", entry),
            _quantity_back("angulation", site, "angulation_deg", "deg", entry),
            np.array(entry["change_covariance"], dtype=np.float64),
        )
        stability = tuple(
            StabilityAssessment(site, Verdict(said["verdict"]), said["probability"], said["reason"], name)
            for name, said in entry["by_criteria"].items()
        )
        return cls(change, stability, slip, Posture(entry["slip_film"]), grade)


@dataclass(frozen=True, slots=True)
class StudyAssessment:
    """What is said of every level.

    films: posture -> the film's name. posture_sources: posture -> how it is known: "DICOM", "file name", "lordosis" or "given". criteria: those that were asked for; every level also says what the others make of it.
    lordosis_change_deg: of L1 to S1 from flexion to extension, None where it could not be measured: how far the patient bent.
    warnings: what to doubt about the comparison.
    """

    films: Mapping[Posture, str]
    posture_sources: Mapping[Posture, str]
    criteria: StabilityCriteria
    levels: tuple[LevelAssessment, ...]
    lordosis_change_deg: float | None
    warnings: tuple[str, ...]
    software_version: str

    def to_json(self) -> str:
        """One JSON object with keys in a fixed order; `from_json` gives an equal assessment back."""
        document = {
            "format": FORMAT,
            "notice": NOTICE,
            "films": {posture.value: self.films[posture] for posture in Posture if posture in self.films},
            "posture_sources": {p.value: self.posture_sources[p] for p in Posture if p in self.posture_sources},
            "criteria": asdict(self.criteria),
            "levels": [level.to_json() for level in self.levels],
            "lordosis_change_deg": self.lordosis_change_deg,
            "warnings": list(self.warnings),
            "software_version": self.software_version,
        }
        return json.dumps(document, indent=2, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> StudyAssessment:
        """The assessment that `to_json` wrote.

        Raises ValueError where `text` is not JSON, is of another format, or lacks something.
        """
        try:
            document = json.loads(text)
            if document["format"] != FORMAT:
                raise ValueError(f"format must be {FORMAT}; got {document['format']!r}")
            return cls(
                films={Posture(posture): film for posture, film in document["films"].items()},
                posture_sources={Posture(posture): how for posture, how in document["posture_sources"].items()},
                criteria=StabilityCriteria(**document["criteria"]),
                levels=tuple(LevelAssessment.from_json(entry) for entry in document["levels"]),
                lordosis_change_deg=document["lordosis_change_deg"],
                warnings=tuple(document["warnings"]),
                software_version=document["software_version"],
            )
        except KeyError as missing:
            raise ValueError(f"this is not a study as lumbar writes it: it has no '{missing.args[0]}'") from missing
        except (TypeError, AttributeError, ValueError) as problem:
            raise ValueError(f"this is not a study as lumbar writes it: {problem}") from problem


def assess_study(
    flexion: Reading,
    extension: Reading,
    neutral: Reading | None = None,
    criteria: StabilityCriteria = PAPER,
    told_by: str = "given",
) -> StudyAssessment:
    """Compare flexion with extension at every level, and grade the slip on the neutral film, else on the flexion film.

    told_by: how the postures are known that neither DICOM nor a file's name tells: "given" or "lordosis".
    The bodies are fitted to all films together (`landmarks.same_bodies`): what moves is bone, and bone keeps its shape.
    Raises ValueError where a film's own posture contradicts the role that it is given.
    """
    roles = {Posture.FLEXION: flexion, Posture.NEUTRAL: neutral, Posture.EXTENSION: extension}
    films = {posture: film for posture, film in roles.items() if film is not None}
    for posture, film in films.items():
        if film.posture not in (None, posture):
            raise ValueError(
                f"the {posture} film must not be marked as another posture; {film.film} is marked {film.posture}"
            )
    together = fit_films(films)
    spines = dict(zip(films, together.spines, strict=True))
    joint = _of_two(together, list(films).index(Posture.FLEXION), list(films).index(Posture.EXTENSION))
    changes = measure_changes(spines[Posture.FLEXION], spines[Posture.EXTENSION], joint)
    changes = tuple(_unless_misread(change, together, list(films)) for change in changes)
    bent, straight = (measure_lordosis(spines[p]) for p in (Posture.FLEXION, Posture.EXTENSION))
    lordosis = None
    if isinstance(bent, Measurement) and isinstance(straight, Measurement):
        lordosis = straight.value - bent.value
    return StudyAssessment(
        films={posture: film.film for posture, film in films.items()},
        posture_sources={posture: _source(film, posture, told_by) for posture, film in films.items()},
        criteria=criteria,
        levels=tuple(_level(change, criteria, spines) for change in changes),
        lordosis_change_deg=lordosis,
        warnings=(*_doubts_about_comparison(films), *_doubts_about_motion(together, lordosis)),
        software_version=installed_version(),
    )


def _source(film: Reading, posture: Posture, told_by: str) -> str:
    if film.posture is posture:
        return "DICOM"
    return "file name" if told_by == "lordosis" and posture_named(film.film) is posture else told_by


def fit_films(films: Mapping[Posture, Reading]) -> SameBodies:
    """The films' spines fitted together; where some are in mm and others are not, each as it was read."""
    spines = [film.spine for film in films.values()]
    if len({spine.in_mm for spine in spines}) > 1:
        return SameBodies(tuple(spines), joint_covariance(spines), float("nan"))
    depths = [depth for spine in spines if np.isfinite(depth := endplate_depth(spine.points))]
    return fit_same_bodies(spines, SHAPE_DEVIATION * float(np.mean(depths)) if depths else 0.0, LASTING_SHARE)


def _of_two(together: SameBodies, first: int, second: int) -> FloatArray:
    """The covariance of two of the films."""
    size = len(together.covariance) // len(together.spines)
    rows = np.concatenate([np.arange(film * size, (film + 1) * size) for film in (first, second)])
    return np.asarray(together.covariance[np.ix_(rows, rows)])


def _unless_misread(change: LevelChange, together: SameBodies, postures: Sequence[Posture]) -> LevelChange:
    """The change, or why there is none: a body of the level has another shape on the flexion or extension film."""
    (level,) = (level for level in LEVELS if str(level) == change.site)
    compared = {postures.index(Posture.FLEXION), postures.index(Posture.EXTENSION)}
    for vertebra in (level.upper, level.lower):
        if films := together.strange.get(vertebra, frozenset()) & compared:
            where = " or the ".join(postures[film] for film in sorted(films))
            return change.unmeasurable(f"{vertebra} has another shape on the {where} film: it was misread")
    return change


def _level(
    change: LevelChange, criteria: StabilityCriteria, spines: Mapping[Posture, AnatomicalSpine]
) -> LevelAssessment:
    others = (entry for entry in CRITERIA.values() if entry.name != criteria.name)
    stability = tuple(assess_level(change, entry) for entry in (criteria, *others))
    slip, slip_film = _slip(spines[Posture.FLEXION], change.site), Posture.FLEXION
    if Posture.NEUTRAL in spines:
        in_neutral = _slip(spines[Posture.NEUTRAL], change.site)
        if isinstance(in_neutral, Measurement) or isinstance(slip, Unmeasurable):
            slip, slip_film = in_neutral, Posture.NEUTRAL
    grade = grade_slip(slip.site, slip.value, slip.standard_error) if isinstance(slip, Measurement) else None
    return LevelAssessment(change, stability, slip, slip_film, grade)


def _slip(spine: AnatomicalSpine, site: str) -> Measurement | Unmeasurable:
    (level,) = (level for level in LEVELS if str(level) == site)
    return measured_at(level, SLIP, spine)


def _doubts_about_motion(together: SameBodies, lordosis: float | None) -> tuple[str, ...]:
    doubts = []
    if lordosis is not None and abs(lordosis) < LEAST_EFFORT_DEG:
        doubts.append(
            f"the lordosis changes by {lordosis:.0f} degrees only: the patient hardly bent, and a stable level may not be one"
        )
    loose = [v for v, misfit in together.misfits.items() if misfit > LOOSE and v not in together.strange]
    if loose:
        doubts.append(
            f"{', '.join(loose)} fits together badly over the films: its error bars are widened; look at its corners"
        )
    if together.misfit > STRANGE_MISFIT:
        doubts.append(
            "the vertebrae have other shapes on one film than on another: a film was misread, or they are of two patients"
        )
    return tuple(doubts)


def _doubts_about_comparison(films: Mapping[Posture, Reading]) -> tuple[str, ...]:
    doubts = [f"{posture} film: {warning}" for posture, film in films.items() for warning in film.warnings]
    for what, of_film in (
        ("pixel spacing comes from different sources", _spacing_source),
        ("the films were read by different versions or weights", _reader),
    ):
        if len({of_film(film) for film in films.values()}) > 1:
            each = ", ".join(f"{posture}: {of_film(film)}" for posture, film in films.items())
            doubts.append(f"{what} ({each})")
    bent, straight = (measure_lordosis(films[p].spine) for p in (Posture.FLEXION, Posture.EXTENSION))
    if isinstance(bent, Measurement) and isinstance(straight, Measurement) and bent.value > straight.value:
        doubts.append(
            f"the flexion film is more lordotic than the extension film ({bent.value:.0f} against {straight.value:.0f} "
            "degrees): they may be exchanged"
        )
    return tuple(doubts)


def _spacing_source(film: Reading) -> str:
    return "none" if film.spacing is None else f"{film.spacing.rule}, {film.spacing.plane} plane"


def _reader(film: Reading) -> str:
    return " ".join([film.software_version, *(f"{name} {sha256[:12]}" for name, sha256 in film.weights.items())])


def _quantity(key: str, entry: Measurement | Unmeasurable) -> dict[str, Any]:
    """{key, key with its error, key with its method}, the unit being the last word of the key."""
    name, unit = key.rsplit("_", 1)
    error, method = f"{name}_standard_error_{unit}", f"{name}_method"
    if isinstance(entry, Unmeasurable):
        return {key: {"reason": entry.reason}, error: None, method: None}
    return {key: entry.value, error: entry.standard_error, method: entry.method}


def _quantity_back(
    quantity: str, site: str, key: str, unit: str, entry: Mapping[str, Any]
) -> Measurement | Unmeasurable:
    value = entry[key]
    if isinstance(value, dict):
        return Unmeasurable(quantity, site, value["reason"])
    name, last = key.rsplit("_", 1)
    error, method = entry[f"{name}_standard_error_{last}"], entry[f"{name}_method"]
    return Measurement(quantity, site, value, unit, error, method)
