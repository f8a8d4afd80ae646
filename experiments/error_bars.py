"""How a corner's error follows from what the looks leave open: fits the error bars that ship on simulated films, checks them on others.

    python experiments/error_bars.py [--films N]

What is fitted, and how, is in `lumbar.evaluation.error_bars`; for films and weights of your own use `lumbar calibrate`.
"""

from __future__ import annotations

import argparse
from collections import Counter

from rich.progress import track

from lumbar.evaluation.error_bars import NORMAL_90, ReadCorners, fit_error_bars, normalised, within
from lumbar.pipeline import Reader
from lumbar.synthesis import simulate_film

FITTED_ON, CHECKED_ON = 880_000, 870_000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--films", type=int, default=80)
    given = arguments.parse_args()
    reader = Reader.shipped()
    fitted, factor = fit_error_bars(collect(reader, FITTED_ON, given.films))
    print(f"fitted: {fitted}, {factor:.2f} times as wide as the likeliest of single corners")
    in_use = reader.calibration.errors
    print(f"in use: {in_use}")
    films = collect(reader, CHECKED_ON, given.films)
    for name, model in (("fitted", fitted), ("in use", in_use)):
        print(f"{name}, share within 1, 1.645 and 2 standard errors (normal: 0.683, 0.900, 0.954):")
        for quantity, z in normalised(films, model).items():
            print(f"  {quantity}: " + ", ".join(f"{within(z, limit):.3f}" for limit in (1, NORMAL_90, 2)))


def collect(reader: Reader, seed: int, films: int) -> list[ReadCorners]:
    """The films that are read whole, with an error bar on every corner, and named right."""
    found, out = [], Counter[str]()
    for index in track(range(films), "reading"):
        film = simulate_film(seed, index)
        landmarks, model = reader.read(film.radiograph).landmarks, reader.calibration.errors
        read = ReadCorners.of(
            landmarks, film.landmarks_px, model, film.anterior, film.radiograph.spacing, f"{seed} {index}"
        )
        if isinstance(read, str):
            out[read] += 1
        else:
            found.append(read)
    print(f"set {seed}: {len(found)} of {films} films used; " + ", ".join(f"{n} {why}" for why, n in out.items()))
    return found


if __name__ == "__main__":
    main()
