"""Table II of the paper on lumbar-bench-1: what the networks of table_1.py make of the 87 studies.

    python experiments/table_2.py BENCH OUT [--methods NAME...]

OUT is that of table_1.py. Results are written to experiments/results/studies.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from table_1 import RESULTS, scored

from lumbar.methods import METHODS


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("bench", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--methods", nargs="+", choices=tuple(METHODS), default=tuple(METHODS))
    given = arguments.parse_args()
    for name in given.methods:
        weights = given.out / name / "best.safetensors"
        if weights.exists():
            scored(name, weights, given.bench / "studies", RESULTS / "studies")


if __name__ == "__main__":
    main()
