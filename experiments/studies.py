"""Verdicts on studies whose truth is known: motion measured alone and together, verdicts, error bars, probabilities.

    python experiments/studies.py BENCH/studies READINGS [--weights DIR] [--first N] [--figure FILE.png]

READINGS keeps the readings: a film that was read is not read again, so a run that was killed goes on. The truth of a level's motion
and verdict is motions.csv: the patient's own, without film or reader. Studies of which a film was named wrongly are counted, and scored like the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.progress import track
from scipy.stats import binomtest

from lumbar.anatomy import LEVELS, Posture, Vertebra, rows_of
from lumbar.assessment import SlipGrade, Verdict, assess_level, grade_slip, quarter_of
from lumbar.datasets import StudyCase, StudyFolder
from lumbar.evaluation import ReadCase
from lumbar.landmarks.spine import AnatomicalSpine, SpineLandmarks, endplate_depth
from lumbar.measurements import SLIP, LevelChange, Measurement, measure, measure_changes
from lumbar.pipeline import Reader
from lumbar.reading import Reading
from lumbar.runtime import FOLDER, PRECISIONS, weights_in
from lumbar.study import LevelAssessment, assess_study, fit_films
from lumbar.whole_file import written_aside

MISREAD = 0.15
"""A body whose median corner error exceeds this share of an endplate's depth."""

SURELY = 0.9
"""A grade with at least this probability counts as sure."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level of one study: what is true, and what was found alone (each film on its own) and together."""

    site: str
    true_mm: float
    true_deg: float
    verdict: Verdict
    alone: LevelChange
    together: LevelAssessment


@dataclass(frozen=True, slots=True)
class Graded:
    """The slip of one level of one film: its true grade, and that which was read, None where the slip could not be measured."""

    true: SlipGrade
    seen: SlipGrade | None

    @property
    def right(self) -> bool:
        """Grade and direction are."""
        return self.seen is not None and (self.seen.grade, self.seen.direction) == (
            self.true.grade,
            self.true.direction,
        )

    @property
    def sure(self) -> bool:
        """Whether the grade that was read is stated as likely."""
        return self.seen is not None and probability_of(self.seen) >= SURELY

    @property
    def same_quarter(self) -> bool:
        """Whether the grade would be right as the paper gives it."""
        return self.seen is not None and quarter_of(self.seen.slip_percent) == quarter_of(self.true.slip_percent)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("studies", type=Path)
    arguments.add_argument("readings", type=Path)
    arguments.add_argument("--weights", type=Path, default=FOLDER)
    arguments.add_argument("--precision", choices=PRECISIONS, default="fp32")
    arguments.add_argument("--first", type=int)
    arguments.add_argument("--figure", type=Path, help="where to draw the reliability diagram")
    given = arguments.parse_args()
    reader = Reader.of(weights_in(given.weights, given.precision), 1)
    given.readings.mkdir(parents=True, exist_ok=True)
    studies = StudyFolder.open(given.studies).studies[: given.first]
    levels: list[Level] = []
    grades: dict[str, list[Graded]] = {"alone": [], "together": []}
    bodies: list[tuple[bool, bool]] = []
    shifted = 0
    for study in track(studies, "reading"):
        readings = read(reader, study, given.readings)
        shifted += any(names_off(study, posture, reading) for posture, reading in readings.items())
        levels += levels_of(study, readings)
        grades["alone"] += graded(study, {posture: reading.spine for posture, reading in readings.items()})
        grades["together"] += graded(study, dict(zip(readings, fit_films(readings).spines, strict=True)))
        bodies += told_apart(study, readings)
    print(f"{len(studies)} studies, {shifted} with a film whose names are off")
    misread, told = np.array(bodies).T
    print(
        f"told to be misread on some film: {told[misread].sum()} of {misread.sum()} bodies that are, {told[~misread].sum()} of {(~misread).sum()} others"
    )
    print_motion(levels)
    print_verdicts(levels)
    print_grades(grades)
    if given.figure:
        draw_reliability(levels, given.figure)


def read(reader: Reader, study: StudyCase, folder: Path) -> dict[Posture, Reading]:
    """The readings of a study's films, named together, their facing not given away; kept in `folder`."""
    kept = kept_readings(study, folder)
    if kept is None:
        films = [replace(case.radiograph(), anterior=None) for case in study.films.values()]
        names = [case.name for case in study.films.values()]
        kept = dict(zip(study.films, reader.read_together(films, names), strict=True))
        for posture, reading in kept.items():
            with written_aside(_path(folder, study, posture)) as aside:
                aside.write_text(reading.to_json())
    return kept


def kept_readings(study: StudyCase, folder: Path) -> dict[Posture, Reading] | None:
    """What `read` kept in `folder`; None where a film was not read yet."""
    paths = {posture: _path(folder, study, posture) for posture in study.films}
    if not all(path.exists() for path in paths.values()):
        return None
    return {posture: Reading.from_json(path.read_text()) for posture, path in paths.items()}


def _path(folder: Path, study: StudyCase, posture: Posture) -> Path:
    return folder / f"{study.patient}_{posture}.reading.json"


def names_off(study: StudyCase, posture: Posture, reading: Reading) -> bool:
    case = study.films[posture]
    film = case.open()
    size = film.radiograph.height, film.radiograph.width
    return ReadCase(
        case.name, case.patient, film.landmarks_px, reading.landmarks.points_px, *size, film.anterior
    ).shifted


def levels_of(study: StudyCase, readings: Mapping[Posture, Reading]) -> list[Level]:
    found = assess_study(readings[Posture.FLEXION], readings[Posture.EXTENSION], readings.get(Posture.NEUTRAL))
    alone = measure_changes(readings[Posture.FLEXION].spine, readings[Posture.EXTENSION].spine)
    return [
        Level(
            true.site,
            float("nan") if true.translation_mm is None else true.translation_mm,
            float("nan") if true.angulation_deg is None else true.angulation_deg,
            true.verdict,
            apart,
            level,
        )
        for true, apart, level in zip(study.motions, alone, found.levels, strict=True)
    ]


def corner_errors(study: StudyCase, posture: Posture, reading: Reading) -> np.ndarray:
    """(22,) distances from the true corners, in the film's mean endplate depths; NaN where a corner was not found or is not known."""
    truth = study.films[posture].open().landmarks_px
    return np.asarray(np.linalg.norm(reading.landmarks.points_px - truth, axis=1) / endplate_depth(truth))


def told_apart(study: StudyCase, readings: Mapping[Posture, Reading]) -> list[tuple[bool, bool]]:
    """Of each body that is found on two films or more: whether it is misread on any, and whether its shapes tell."""
    errors = [corner_errors(study, posture, reading) for posture, reading in readings.items()]
    strange = fit_films(readings).strange
    bodies = []
    for vertebra in Vertebra:
        found = [error[rows_of(vertebra)] for error in errors if np.isfinite(error[rows_of(vertebra)]).any()]
        if len(found) > 1:
            bodies.append((max(np.nanmedian(error) for error in found) > MISREAD, vertebra in strange))
    return bodies


def graded(study: StudyCase, spines: Mapping[Posture, AnatomicalSpine]) -> list[Graded]:
    """Every level of every film, graded from its true corners and from those that were found."""
    found = []
    for posture, spine in spines.items():
        film = study.films[posture].open()
        true = SpineLandmarks.exact(film.landmarks_px).to_anatomical(film.anterior, film.radiograph.spacing)
        known, read_as = (
            {m.site: m for m in measure(of) if isinstance(m, Measurement) and m.quantity == SLIP.name}
            for of in (true, spine)
        )
        for site, slip in known.items():
            seen = grade_slip(site, read_as[site].value, read_as[site].standard_error) if site in read_as else None
            found.append(Graded(grade_slip(site, slip.value, None), seen))
    return found


def print_grades(grades: Mapping[str, list[Graded]]) -> None:
    """Accuracy of the grades as we give them, and as the paper does; and what is right by calling all levels what most are."""
    for how, levels in grades.items():
        right = np.array([level.right for level in levels])
        sure = np.array([level.sure for level in levels])
        print(
            f"grading accuracy over {len(levels)} levels of all films, {how}: {_share(right)}, with direction and a grade 0"
        )
        print(f"  where a grade has a probability of {SURELY}: {sure.sum()} levels, {_share(right[sure])}")
        quarters = np.array([level.same_quarter for level in levels])
        beyond = np.array([quarter_of(level.true.slip_percent) > 1 for level in levels])
        print(f"  by the paper's quarters, I to IV, a slip of 0 being I: {_share(quarters)}")
        print(f"    of {beyond.sum()} levels that truly are II or more: {_share(quarters[beyond])}")
    true = grades["alone"]
    print(
        f"  all levels called what most are: {_share(np.array([level.true.grade == 0 for level in true]))}, "
        f"by quarters {_share(np.array([quarter_of(level.true.slip_percent) == 1 for level in true]))}"
    )


def _share(right: np.ndarray) -> str:
    return f"{100 * right.mean():.1f} %"


def probability_of(seen: SlipGrade) -> float:
    """That the grade is the one that is stated; 0 where the slip's error is not known."""
    if seen.probability_at_least is None:
        return 0.0
    at_least = (1.0, *seen.probability_at_least, 0.0)
    return at_least[seen.grade] - at_least[seen.grade + 1]


def print_motion(levels: list[Level]) -> None:
    """Errors of the changes, and how often 90 % intervals cover the truth."""
    measured = sum(isinstance(level.together.change.angulation, Measurement) for level in levels)
    print(f"changes of {measured} of {len(levels)} levels measured together")
    print(f"{'':10} {'error of the change, mean (median)':44} 90 % intervals cover (95 % interval)")
    for site in ("all", *map(str, LEVELS)):
        here = [level for level in levels if site in ("all", level.site)]
        parts = []
        for how in ("alone", "together"):
            changes = [level.alone if how == "alone" else level.together.change for level in here]
            for figures, truths, unit in (
                ([c.translation for c in changes], [level.true_mm for level in here], "mm"),
                ([c.angulation for c in changes], [level.true_deg for level in here], "deg"),
            ):
                error, z = _errors(figures, truths)
                covered = np.abs(z) <= 1.6449
                low, high = binomtest(int(covered.sum()), len(covered)).proportion_ci()
                parts.append(
                    (
                        how,
                        f"{np.mean(error):.2f} ({np.median(error):.2f}) {unit}",
                        f"{100 * covered.mean():.0f} % ({100 * low:.0f}-{100 * high:.0f})",
                    )
                )
        for how in ("alone", "together"):
            mine = [part for part in parts if part[0] == how]
            print(f"{site:6} {how:9} " + "  ".join(f"{p[1]:20}" for p in mine) + "  " + "  ".join(p[2] for p in mine))


def _errors(figures: list[object], truths: list[float]) -> tuple[np.ndarray, np.ndarray]:
    measured = [(f, t) for f, t in zip(figures, truths, strict=True) if isinstance(f, Measurement) and np.isfinite(t)]
    error = np.array([f.value - t for f, t in measured])
    deviations = np.array([f.standard_error if f.standard_error else np.nan for f, _ in measured])
    return np.abs(error), error / deviations


def print_verdicts(levels: list[Level]) -> None:
    """Stability by the paper's rule: the bare thresholds, the verdicts that are given, and their probabilities."""
    true = np.array([level.verdict is Verdict.UNSTABLE for level in levels])
    print(f"{len(levels)} levels, {true.sum()} of them truly unstable by the paper's criteria")
    for how in ("alone", "together"):
        bare = [_bare(level.alone if how == "alone" else level.together.change) for level in levels]
        right = np.mean([b is t.verdict for b, t in zip(bare, levels, strict=True)])
        print(f"  {how}: bare thresholds right on {100 * right:.1f} %")
    verdicts = [level.together.verdict for level in levels]
    decided = [(v, t) for v, t in zip(verdicts, levels, strict=True) if v.verdict is not Verdict.UNDETERMINED]
    share = 100 * np.mean([v.verdict is t.verdict for v, t in decided]) if decided else float("nan")
    print(f"  together, with error bars: {len(decided)} verdicts given, {share:.1f} % of them right")
    known = np.array([v.probability is not None for v in verdicts])
    p = np.array([v.probability for v in verdicts if v.probability is not None])
    print(
        f"  Brier score of P(unstable) {np.mean((p - true[known]) ** 2):.3f}; of the base rate {true.mean() * (1 - true.mean()):.3f}"
    )


def _bare(change: LevelChange) -> Verdict:
    return assess_level(replace(change, covariance=np.full((3, 3), np.nan))).verdict


def draw_reliability(levels: list[Level], path: Path) -> None:
    """How often levels were unstable that were called so with some probability."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    pairs = [(level.together.verdict.probability, level.verdict is Verdict.UNSTABLE) for level in levels]
    p, true = (np.array(column, float) for column in zip(*(pair for pair in pairs if pair[0] is not None), strict=True))
    bins = np.clip((p * 5).astype(int), 0, 4)
    figure, axes = pyplot.subplots(figsize=(4.5, 4.5))
    axes.plot([0, 1], [0, 1], color="0.7")
    for b in range(5):
        mine = bins == b
        if mine.any():
            rate, n = true[mine].mean(), mine.sum()
            axes.errorbar(
                p[mine].mean(), rate, 1.96 * np.sqrt(max(rate * (1 - rate), 0.25 / n) / n), fmt="o", color="tab:blue"
            )
            axes.annotate(f"{n}", (p[mine].mean(), rate), textcoords="offset points", xytext=(6, 6))
    axes.set(xlabel="P(unstable) as stated", ylabel="share truly unstable", xlim=(0, 1), ylim=(0, 1))
    figure.tight_layout()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
