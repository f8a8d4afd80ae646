"""How well a reading's confidence predicts that the reading is wrong, on films whose corners are known.

    python experiments/failures.py FOLDER [--weights DIR] [--films N]

A reading is wrong where a marked corner is missing or a tenth of the endplate's depth is exceeded by the median corner error. The area
under the ROC curve is given over the films that are answered, and over all films, where one that is refused counts as wrong, with
confidence 0. Then the confidences of films that ought to be refused or doubted: white noise, and some of the folder's films upside down and cut
off above the sacrum: those that are told to be upside down, and those whose corners are another level's, are counted.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.progress import track
from scipy.stats import mannwhitneyu

from lumbar.anatomy import Vertebra, rows_of
from lumbar.datasets import BuuFolder
from lumbar.evaluation.read_case import SHIFT
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.landmarks.spine import endplate_depth
from lumbar.pipeline import UPSIDE_DOWN, Reader
from lumbar.radiograph import Radiograph
from lumbar.reading import Reading
from lumbar.runtime import FOLDER, PRECISIONS, weights_in

WRONG = 0.1
UNFIT = 20


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--weights", type=Path, default=FOLDER)
    arguments.add_argument("--precision", choices=PRECISIONS, default="fp32")
    arguments.add_argument("--films", type=int)
    given = arguments.parse_args()
    reader = Reader.of(weights_in(given.weights, given.precision), 1)
    films = BuuFolder.open(given.folder)
    confidence, wrong = [], []
    for index in track(range(min(len(films), given.films or len(films))), "reading"):
        film = films[index]
        reading = reader.read(film.radiograph)
        truth = film.landmarks_px
        known = ~np.isnan(truth[:, 0])
        error = np.linalg.norm(reading.landmarks.points_px - truth, axis=1)[known] / endplate_depth(truth)
        confidence.append(reading.confidence)
        wrong.append(bool(np.isnan(error).any() or np.median(error) > WRONG))
    report(np.array(confidence), np.array(wrong), reader.calibration.unsure)
    report_unfit(reader, films, UNFIT)


def report(confidence: np.ndarray, wrong: np.ndarray, unsure: float) -> None:
    """Print the areas, and what the flag below `unsure` catches."""
    answered = confidence > 0
    print(f"{len(wrong)} films, {(~answered).sum()} refused, {(wrong & answered).sum()} of the answered wrong")
    for name, among in (("answered", answered), ("all", np.ones_like(answered))):
        print(f"area under the ROC curve, {name}: {area(confidence[among], wrong[among]):.3f}")
    sure = np.sort(confidence[answered])
    print(f"confidence of the answered, lowest ten: {', '.join(f'{c:.2f}' for c in sure[:10])}")
    flagged = answered & (confidence < unsure)
    print(f"flagged below {unsure}: {flagged.sum()}, of which wrong: {(flagged & wrong).sum()}")


def report_unfit(reader: Reader, films: BuuFolder, first: int) -> None:
    """Print how surely films are read that show no lumbar spine, or one that cannot be named, and how many are answered."""
    given = [films[index] for index in range(min(first, len(films)))]
    noise = [Radiograph(np.random.default_rng(n).random((600, 500), np.float32)) for n in range(first)]
    over = [replace(film.radiograph, pixels=film.radiograph.pixels[::-1]) for film in given]
    print(f"white noise: {answers(reader, noise, 'white noise')[0]}")
    said, readings = answers(reader, over, "upside down")
    print(f"upside down: {said}, {sum(UPSIDE_DOWN in reading.warnings for reading in readings)} told to be so")
    said, readings = answers(reader, [above_sacrum(film) for film in given], "cut off above the sacrum")
    named_wrong = sum(level_off(reading, film) for reading, film in zip(readings, given, strict=True))
    print(f"cut off above the sacrum: {said}, {named_wrong} of them named wrong")


def answers(reader: Reader, radiographs: list[Radiograph], what: str) -> tuple[str, list[Reading]]:
    """How surely films are read if none is refused for a low confidence, how many are answered, and the readings of all."""
    calibration, reader.calibration = (
        reader.calibration,
        replace(reader.calibration, least_box_score=0, least_confidence=0),
    )
    confidence = [reader.read(radiograph).confidence for radiograph in track(radiographs, what)]
    reader.calibration = calibration
    readings = [reader.read(radiograph) for radiograph in track(radiographs, what)]
    answered = sum(reading.box is not None for reading in readings)
    return (
        f"confidence {min(confidence):.2f} to {max(confidence):.2f}; {answered} of {len(readings)} answered",
        readings,
    )


def level_off(reading: Reading, film: AnnotatedFilm) -> bool:
    """Whether what was found lies nearer to another level than to the one that it is called."""
    error = np.linalg.norm(reading.landmarks.points_px - film.landmarks_px, axis=1) / endplate_depth(film.landmarks_px)
    return bool(np.nanmedian(error) > SHIFT) if np.isfinite(error).any() else False


def above_sacrum(film: AnnotatedFilm) -> Radiograph:
    """The rows above S1's endplate."""
    rows = int(np.nanmin(film.landmarks_px[rows_of(Vertebra.S1), 1]))
    return replace(film.radiograph, pixels=film.radiograph.pixels[: max(rows, 64)])


def area(confidence: np.ndarray, wrong: np.ndarray) -> float:
    """The chance that a wrong reading has less confidence than a right one; NaN where there is only one kind."""
    if wrong.all() or not wrong.any():
        return float("nan")
    return float(mannwhitneyu(confidence[~wrong], confidence[wrong]).statistic / wrong.sum() / (~wrong).sum())


if __name__ == "__main__":
    main()
