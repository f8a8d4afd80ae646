"""What in the simulator matters: the same small training with and without parts of it, scored on real films that it never saw.

    python experiments/simulator_ablation.py train OUT [--without PART | --data FOLDER] [--stage STAGE] [--steps N] [--seed S] [--randomised SHARE]
    python experiments/simulator_ablation.py score FOLDER OUT...
    python experiments/simulator_ablation.py read FOLDER WEIGHTS...

FOLDER holds annotated films as BUU-LSPINE's csv has them. Each film is read through the same 40 crops around its true points, of
many sizes and places, one by one and without any vote: so names that flip with the crop are counted. The close-up network sees each film in
the same 240 close-ups of some body or of none, as far off as it is trained to see them, the corner network all corners of each 20 times so; it
gives no names. Nothing is chosen by these scores.
`read` scores whole readings: WEIGHTS are folders with what `lumbar export` made of a run of each stage, and the localiser is the one that ships. Each
film is cut to the same 12 rectangles around its spine, and read as the reader always does, though never refused.
With --data the films come from a folder that `lumbar synthesise` wrote, such as one of an earlier simulator, and the weights that are
scored are the last ones.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lumbar.crop import network_input
from lumbar.datasets import BuuFolder
from lumbar.evaluation.read_case import SHIFT
from lumbar.geometry import FloatArray
from lumbar.landmarks import close_up, corner_view
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.landmarks.spine import endplate_depth
from lumbar.methods import METHODS
from lumbar.networks.close_up_net import CloseUpNet
from lumbar.networks.corner_net import CornerNet
from lumbar.pipeline import Reader
from lumbar.runtime import CLOSE_UP, CORNER, FOLDER, STAGES, load_weights
from lumbar.synthesis import Part, simulate_film
from lumbar.training import Recipe, checkpoint, corner_task
from lumbar.training.augmentation import crop_window, seen_through
from lumbar.training.close_up_task import close_up_figures, close_up_task, sample
from lumbar.training.landmark_task import landmark_task, read_crop
from lumbar.training.loop import train
from lumbar.training.runs import CLOSE_UP_METHOD, CORNER_METHOD
from lumbar.training.stream import Films

METHOD, HEIGHT, WIDTH = "lsld-net-levels", 256, 128
BATCHES = {"landmarks": 8, CLOSE_UP: 64, CORNER: 6}
CROPS, FILLS = 40, (0.45, 0.95)
CLOSE_UPS, CORNERS = 240, 20
CUTTINGS = 12
HELD_OUT = 990_000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = arguments.add_subparsers(dest="command", required=True)
    training = commands.add_parser("train")
    training.add_argument("out", type=Path)
    films = training.add_mutually_exclusive_group()
    films.add_argument("--without", choices=[part.value for part in Part])
    films.add_argument("--data", type=Path)
    training.add_argument("--stage", choices=tuple(BATCHES), default="landmarks")
    training.add_argument("--steps", type=int, default=800)
    training.add_argument("--seed", type=int, default=1)
    training.add_argument("--randomised", type=float, default=0.0, help="share of samples that look like no film")
    training.add_argument(
        "--precision", choices=("bf16", "fp32"), default="bf16", help="fp32 is faster where a CPU has no bf16"
    )
    training.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    training.add_argument("--workers", type=int, default=1, help="processes that make samples")
    scoring = commands.add_parser("score")
    scoring.add_argument("folder", type=Path)
    scoring.add_argument("runs", type=Path, nargs="+")
    reading = commands.add_parser("read")
    reading.add_argument("folder", type=Path)
    reading.add_argument("runs", metavar="weights", type=Path, nargs="+")
    given = arguments.parse_args()
    torch.set_num_threads(1)
    if given.command == "train":
        left_out = frozenset([Part(given.without)] if given.without else [])
        films = films_without(left_out, given.seed) if given.data is None else films_of(given.data)
        about = str(given.data or f"without {given.without or 'nothing'}")
        epochs = 2 if given.data is None else 1
        recipe = budget(given.stage, given.steps, given.seed, epochs, given.precision, given.workers)
        train_on(films, given.out, about, given.stage, recipe, given.randomised, torch.device(given.device))
        return
    print(f"{'':32} names off  median  mean (capped at half a depth, but for the corner network)")
    scored = score if given.command == "score" else score_readings
    for run in given.runs:
        print(f"{run.name:32} " + "  ".join(f"{figure:.4f}" for figure in scored(given.folder, run)), flush=True)


def films_without(left_out: frozenset[Part], seed: int) -> Films:
    """The simulator's films without some of its parts, held against whole ones."""
    return Films(
        lambda index: simulate_film(seed, index, without=left_out), lambda index: simulate_film(HELD_OUT, index), 64
    )


def films_of(folder: Path) -> Films:
    """Films on disk, held against the simulator's."""
    cases = BuuFolder.open(folder).cases
    return Films(lambda index: cases[index % len(cases)].open(), lambda index: simulate_film(HELD_OUT, index), 64)


def budget(stage: str, steps: int, seed: int, epochs: int, precision: str, workers: int) -> Recipe:
    """`steps` batches of eight 256 x 128 crops, of 64 close-ups, or of the corners of six films."""
    batch = BATCHES[stage]
    return Recipe(
        epochs=epochs,
        epoch_films=steps * batch // epochs,
        batch_size=batch,
        learning_rate=1.5e-3,
        weight_decay=1e-3,
        schedule="cosine",
        precision=precision,
        average=0.998,
        workers=workers,
        seed=seed,
    )


def train_on(
    films: Films, out: Path, films_from: str, stage: str, recipe: Recipe, randomised: float, device: torch.device
) -> Path:
    """Of the weights after each epoch the best are kept."""
    about = {"films": films_from, "randomised": f"{randomised:g}"}
    if stage == CLOSE_UP:
        task = close_up_task(recipe, films, randomised)
        about |= {"method": CLOSE_UP_METHOD, "height": str(close_up.SIZE), "width": str(close_up.SIZE)}
    elif stage == CORNER:
        task = corner_task.corner_task(recipe, films, randomised)
        about |= {"method": CORNER_METHOD, "height": str(corner_view.SIZE), "width": str(corner_view.SIZE)}
    else:
        task = landmark_task(METHODS[METHOD](), HEIGHT, WIDTH, recipe, films, randomised=randomised)
        about |= {"method": METHOD, "height": str(HEIGHT), "width": str(WIDTH)}
    return train(task, recipe, out, device, about)


def score(folder: Path, run: Path) -> tuple[float, float, float]:
    """Share of crops or close-ups with names off; median and capped mean corner error, in endplate depths."""
    tensors, about = checkpoint.read_tensors(run / "best.safetensors")
    ours = {CLOSE_UP_METHOD: (CloseUpNet, score_close_ups), CORNER_METHOD: (CornerNet, score_corners)}
    build, scored = ours.get(about["method"], (METHODS[METHOD]().build, score_crops))
    network = build()
    network.load_state_dict(tensors)
    return scored(BuuFolder.open(folder), network)


def score_close_ups(films: BuuFolder, network: nn.Module) -> tuple[float, float, float]:
    """Of the close-up network; a name off is a vertebra taken for another kind of body, or none for one."""
    cases = []
    for index in range(len(films)):
        film, rng = films[index], np.random.default_rng(index)
        cases += [sample(film, rng, varied=False) for _ in range(CLOSE_UPS)]
    figures = close_up_figures(network, cases)
    return figures["kinds_wrong"], figures["median"], figures["error"]


def score_corners(films: BuuFolder, network: nn.Module) -> tuple[float, float, float]:
    """Of the corner network."""
    cases = []
    for index in range(len(films)):
        film, rng = films[index], np.random.default_rng(index)
        cases += [corner_task.sample(film, rng, varied=False) for _ in range(CORNERS)]
    figures = corner_task.corner_figures(network, cases)
    return float("nan"), figures["median"], figures["error"]


def score_readings(folder: Path, weights: Path) -> tuple[float, float, float]:
    """Of whole readings with the networks in a folder; the facing is given."""
    networks = {stage: load_weights(FOLDER if stage == "localiser" else weights, stage) for stage in STAGES}
    reader = Reader.of(networks, threads=1)
    reader.calibration = replace(reader.calibration, least_box_score=0.0, least_confidence=0.0)
    films, errors = BuuFolder.open(folder), []
    for index in range(len(films)):
        film, rng = films[index], np.random.default_rng(index)
        for _ in range(CUTTINGS):
            part = a_cutting(film, rng)
            found = reader.read(part.radiograph).landmarks.points_px
            errors.append(np.linalg.norm(found - part.landmarks_px, axis=1) / endplate_depth(part.landmarks_px))
    return figures_of(errors)


def a_cutting(film: AnnotatedFilm, rng: np.random.Generator) -> AnnotatedFilm:
    """A rectangle of the film that holds all its points, and of what is around them on each side a tenth to all."""
    points, size = film.landmarks_px, np.array([film.radiograph.width, film.radiograph.height])
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    x0, y0 = np.floor(low * (1 - rng.uniform(0.1, 1.0, 2))).astype(int)
    x1, y1 = np.ceil(high + (size - high) * rng.uniform(0.1, 1.0, 2)).astype(int)
    radiograph = replace(film.radiograph, pixels=film.radiograph.pixels[y0:y1, x0:x1])
    return AnnotatedFilm(radiograph, points - np.array([x0, y0]))


def score_crops(films: BuuFolder, network: nn.Module) -> tuple[float, float, float]:
    """Of the landmark network."""
    method = METHODS[METHOD]()
    errors = []
    for index in range(len(films)):
        film: AnnotatedFilm = films[index]
        rng = np.random.default_rng(index)
        for _ in range(CROPS):
            window = crop_window(film.landmarks_px, HEIGHT, WIDTH, rng.uniform(*FILLS), rng, roll_deg=2.0)
            image = seen_through(film.radiograph.pixels, window, HEIGHT, WIDTH, None, rng)
            found, truth = read_crop(method, network, network_input([image])[0]), window.apply(film.landmarks_px)
            errors.append(np.linalg.norm(found.points_px - truth, axis=1) / endplate_depth(truth))
    return figures_of(errors)


def figures_of(errors: list[FloatArray]) -> tuple[float, float, float]:
    """Share of views (22,) each with names off or nothing found; median and capped mean error, a missed corner counting as half a depth."""
    off = [not np.isfinite(error).any() or np.nanmedian(error) > SHIFT for error in errors]
    every = np.nan_to_num(np.array(errors), nan=0.5)
    return float(np.mean(off)), float(np.median(every)), float(np.minimum(every, 0.5).mean())


if __name__ == "__main__":
    main()
