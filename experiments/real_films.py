"""How the shipped weights read real films: corners against a reader's, the slipped level and the facing against a radiologist's.

    python experiments/real_films.py FOLDER [--weights DIR] [--overlays DIR]

FOLDER/annotated holds films with csv files in BUU-LSPINE's format; FOLDER/fraiwan holds films and an index.csv with the columns
file, olisthesis_levels (such as L4-5) and anterior_side. What is not there is skipped.
"""

from __future__ import annotations

import argparse
import csv
import re
from pathlib import Path

import cv2
import numpy as np

from lumbar.datasets import BuuFolder
from lumbar.evaluation.read_case import SHIFT
from lumbar.films import open_film
from lumbar.geometry import FloatArray
from lumbar.measurements import SLIP, Measurement
from lumbar.pipeline import Reader
from lumbar.reading import Reading
from lumbar.report import draw_overlay
from lumbar.runtime import FOLDER, PRECISIONS, weights_in


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--weights", type=Path, default=FOLDER, help="a folder as `lumbar export` writes it")
    arguments.add_argument("--precision", choices=PRECISIONS, default="fp32")
    arguments.add_argument("--overlays", type=Path, help="where to draw what was found")
    given = arguments.parse_args()
    reader = Reader.of(weights_in(given.weights, given.precision))
    for name, score in (("annotated", score_annotated), ("fraiwan", score_fraiwan)):
        folder = given.folder / name
        if folder.is_dir():
            score(folder, reader, given.overlays)
        else:
            print(f"{folder} is not there: skipped")


def read(film: Path, reader: Reader, overlays: Path | None) -> Reading:
    radiograph = open_film(film)
    reading = reader.read(radiograph, film.name)
    if overlays:
        overlays.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(overlays / f"{film.stem}.png"), draw_overlay(radiograph, reading)[..., ::-1])
    return reading


def score_annotated(folder: Path, reader: Reader, overlays: Path | None) -> None:
    """Corner errors as shares of each film's mean endplate depth; where the corners lie about the reader's, and how high discs are."""
    errors, shifts, discs, named_right = [], [], [], 0
    films = BuuFolder.open(folder)
    for index, (film, _) in enumerate(films.pairs):
        truth = films[index].landmarks_px
        depth = np.linalg.norm(truth[::2] - truth[1::2], axis=1).mean()
        reading = read(film, reader, overlays)
        error = np.linalg.norm(reading.landmarks.points_px - truth, axis=1) / depth
        missed = int(np.isnan(error).sum())
        right = missed == 0 and np.median(error) < SHIFT
        named_right += right
        errors.append(error)
        shifts.append(shift_of(reading.landmarks.points_px, truth) / depth)
        discs.append((disc_height(reading.landmarks.points_px) / depth, disc_height(truth) / depth))
        print(
            f"{film.name}: median {np.nanmedian(error):.3f}  mean {np.nanmean(error):.3f}  worst {np.nanmax(error):.3f}"
            f"  missed {missed}  anterior {reading.anterior}  {'named right' if right else 'NAMED WRONG'}"
        )
    every = np.concatenate(errors)
    print(
        f"annotated: {named_right} of {len(films)} named right; all corners: median {np.nanmedian(every):.4f}, "
        f"mean {np.nanmean(every):.4f} of the endplate depth, {int(np.isnan(every).sum())} missed"
    )
    upper = np.arange(22) % 4 < 2
    for name, rows in {"superior": upper, "inferior": ~upper}.items():
        anterior, posterior = (np.nanmedian(np.array(shifts)[:, rows][:, k::2], axis=(0, 1)) for k in (0, 1))
        print(
            f"{name} corners, beside the reader's (medians): anterior {anterior[0]:+.3f} forwards, {anterior[1]:+.3f} into the disc; "
            f"posterior {posterior[0]:+.3f} forwards, {posterior[1]:+.3f} into the disc"
        )
    read_height, reader_height = np.nanmean(discs, axis=0)
    print(f"height of discs, mean of all levels: {read_height:.3f}, by the reader's corners {reader_height:.3f}")


def shift_of(found_px: FloatArray, truth_px: FloatArray) -> FloatArray:
    """How far each corner (22, 2) lies forwards of the true one along its endplate, and towards the disc beside that, of an upright film, in pixels.

    >>> plates = np.array([(0.0, 10.0), (40.0, 10.0), (0.0, 40.0), (40.0, 40.0)] * 5 + [(0.0, 10.0), (40.0, 10.0)])
    >>> shift_of(plates + (1.0, 2.0), plates)[:4].tolist()
    [[-1.0, -2.0], [-1.0, -2.0], [-1.0, 2.0], [-1.0, 2.0]]
    """
    forwards = np.repeat(truth_px[::2] - truth_px[1::2], 2, axis=0)
    forwards /= np.linalg.norm(forwards, axis=1, keepdims=True)
    down = np.stack([-forwards[:, 1], forwards[:, 0]], axis=1) * np.sign(forwards[:, :1])
    into_disc = np.where(np.arange(len(truth_px)) % 4 < 2, -1.0, 1.0)[:, None] * down
    offset = found_px - truth_px
    return np.stack([(offset * forwards).sum(axis=1), (offset * into_disc).sum(axis=1)], axis=1)


def disc_height(points_px: FloatArray) -> float:
    """Mean distance between the endplates' middles beside the five discs, in pixels."""
    middles = (points_px[::2] + points_px[1::2]) / 2
    return float(np.linalg.norm(middles[2::2] - middles[1::2][:5], axis=1).mean())


def score_fraiwan(folder: Path, reader: Reader, overlays: Path | None) -> None:
    """Facing, and whether the largest forward slip stands at a level that the radiologist named."""
    facing = level = answered = 0
    with (folder / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        reading = read(folder / row["file"], reader, overlays)
        slips = {
            m.site: m.value for m in reading.measurements if isinstance(m, Measurement) and m.quantity == SLIP.name
        }
        named = sites_in(row["olisthesis_levels"])
        forward = [site for site, slip in slips.items() if slip > 0]
        largest = max(forward, key=lambda site: slips[site], default="none")
        facing += reading.anterior == row["anterior_side"]
        level += largest in named
        answered += bool(slips) or bool(reading.warnings)
        print(
            f"{row['file']}: anterior {reading.anterior} ({row['anterior_side']})  largest forward slip {largest} "
            f"{slips.get(largest, float('nan')):+.0f} % ({'/'.join(named)})  confidence {reading.confidence:.2f}  "
            f"{'ok' if largest in named else 'OTHER LEVEL'}"
        )
    print(
        f"fraiwan: {answered} of {len(rows)} answered by a reading or a reason; facing right on {facing}, "
        f"largest forward slip at the level named on {level}"
    )


def sites_in(text: str) -> list[str]:
    """Levels as the index names them, as sites.

    >>> sites_in("L4-5"), sites_in("L5-S1")
    (['L4/L5'], ['L5/S1'])
    """
    return [f"L{upper}/{'L' if lower.isdigit() else ''}{lower}" for upper, lower in re.findall(r"L(\d)-L?(S?\d)", text)]


if __name__ == "__main__":
    main()
