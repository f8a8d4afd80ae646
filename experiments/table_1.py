"""Tables I and III of the paper on lumbar-bench-1: every method trained alike, and scored on the test films.

    lumbar synthesise --benchmark --out BENCH
    python experiments/table_1.py BENCH OUT --height 256 --steps 400 --films 300 [--methods NAME...]
    lumbar compare experiments/results

Each method has the same films, crops, optimiser and number of steps, and one look at each film through the shipped localiser's
box; "lsld-net-base on whole films" does without the box. A run that was killed goes on where it stood; a method whose result is
there is passed over. Results are written to experiments/results/test.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from lumbar.evaluation.tables import ABLATION
from lumbar.methods import METHODS

RESULTS = Path(__file__).parent / "results"
ON_WHOLE_FILMS = next(iter(ABLATION))
EVERY = (*METHODS, ON_WHOLE_FILMS)
BATCH = 8


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("bench", type=Path)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--height", type=int, default=1024)
    arguments.add_argument("--steps", type=int, default=12_500, help="1,000 films a hundred times in batches of 8")
    arguments.add_argument("--films", type=int, default=1000)
    arguments.add_argument("--learning-rate", default="1e-3")
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--device", default="auto")
    arguments.add_argument("--methods", nargs="+", choices=EVERY, default=EVERY)
    given = arguments.parse_args()
    for name in given.methods:
        if not kept(name, RESULTS / "test").exists():
            scored(name, trained(name, given), given.bench / "test", RESULTS / "test")


def kept(name: str, results: Path) -> Path:
    """Where the result of `name` lies."""
    return results / f"{name.replace(' ', '-')}.json"


def trained(name: str, given: argparse.Namespace) -> Path:
    """The best weights of `name` after the budget that all methods have."""
    method, view = ("lsld-net-base", "film") if name == ON_WHOLE_FILMS else (name, "box")
    folder = given.out / name.replace(" ", "-")
    lumbar(
        "train", "landmarks", "--out", folder, "--data", given.bench / "training", "--first-films", given.films,
        "--method", method, "--view", view, "--height", given.height, "--epochs", 4,
        "--epoch-films", given.steps * BATCH // 4, "--batch-size", BATCH, "--learning-rate", given.learning_rate,
        "--weight-decay", "1e-3", "--schedule", "cosine", "--average", 0.998, "--seed", given.seed, "--device", given.device,
    )  # fmt: skip
    return folder / "best.safetensors"


def scored(name: str, weights: Path, data: Path, results: Path) -> None:
    """Evaluate and keep the JSON of it, if it is not there."""
    if kept(name, results).exists():
        return
    report = weights.parent / data.name
    lumbar("evaluate", data, "--run", weights, "--out", report)
    results.mkdir(parents=True, exist_ok=True)
    kept(name, results).write_bytes((report / "evaluation.json").read_bytes())


def lumbar(*arguments: object) -> None:
    """Run a command; what it prints goes to stderr, and its failure ends the script."""
    command = [sys.executable, "-m", "lumbar", *map(str, arguments)]
    print(" ".join(command), file=sys.stderr)
    subprocess.run(command, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    main()
