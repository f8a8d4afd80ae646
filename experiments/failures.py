"""How well a reading's confidence predicts that the reading is wrong, on films whose corners are known.

    python experiments/failures.py FOLDER [--weights DIR] [--films N]

A reading is wrong where a marked corner is missing or a tenth of the endplate's depth is exceeded by the median corner error. The area
under the ROC curve is given over the films that are answered, and over all films, where one that is refused counts as wrong, with
confidence 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from rich.progress import track
from scipy.stats import mannwhitneyu

from lumbar.datasets import BuuFolder
from lumbar.landmarks.spine import endplate_depth
from lumbar.pipeline import Reader
from lumbar.runtime import FOLDER, weights_in

WRONG = 0.1


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--weights", type=Path, default=FOLDER)
    arguments.add_argument("--films", type=int)
    given = arguments.parse_args()
    reader = Reader.of(weights_in(given.weights), 1)
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


def report(confidence: np.ndarray, wrong: np.ndarray, unsure: float) -> None:
    """Print the areas, and what the flag below `unsure` catches."""
    answered = confidence > 0
    print(f"{len(wrong)} films, {(~answered).sum()} refused, {(wrong & answered).sum()} of the answered wrong")
    for name, among in (("answered", answered), ("all", np.ones_like(answered))):
        print(f"area under the ROC curve, {name}: {area(confidence[among], wrong[among]):.3f}")
    flagged = answered & (confidence < unsure)
    print(f"flagged below {unsure}: {flagged.sum()}, of which wrong: {(flagged & wrong).sum()}")


def area(confidence: np.ndarray, wrong: np.ndarray) -> float:
    """The chance that a wrong reading has less confidence than a right one; NaN where there is only one kind."""
    if wrong.all() or not wrong.any():
        return float("nan")
    return float(mannwhitneyu(confidence[~wrong], confidence[wrong]).statistic / wrong.sum() / (~wrong).sum())


if __name__ == "__main__":
    main()
