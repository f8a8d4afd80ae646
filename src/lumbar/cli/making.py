"""`lumbar synthesise`, `lumbar train` and `lumbar export`: films that never were, and networks from films."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from lumbar.cli.terminal import (
    OutFolder,
    WeightsFolder,
    in_progress,
    or_usage,
    png,
    stdout,
    training_room,
    usage,
    weights_of,
    with_progress,
    write_whole,
)
from lumbar.windows import View


class FilmFormat(StrEnum):
    """How simulated films are written."""

    PNG = "png"
    DICOM = "dicom"


def synthesise(
    out: OutFolder,
    films: Annotated[int, typer.Option(min=0, help="How many single films.")] = 0,
    studies: Annotated[int, typer.Option(min=0, help="How many flexion-neutral-extension studies.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same films.")] = 0,
    height: Annotated[int, typer.Option(min=128, max=4096, help="Height of the films in pixels.")] = 1024,
    format: Annotated[FilmFormat, typer.Option(help="Of single films; studies are DICOM.")] = FilmFormat.PNG,
    squared_s1: Annotated[
        float, typer.Option(min=0, max=1, help="Share of single films whose S1 looks like a lumbar vertebra.")
    ] = 0.0,
    askew: Annotated[
        float, typer.Option(min=0, max=1, help="Share of single films on which the patient stands badly to the beam.")
    ] = 0.25,
    spondylosis: Annotated[
        float, typer.Option(min=0, max=1, help="Share of single films with levels worn: dense endplates, thick facets.")
    ] = 0.0,
    workers: Annotated[int, typer.Option(min=1, help="Processes; the films are the same with any number.")] = 1,
    show: Annotated[
        bool, typer.Option("--show", help="Also write sheet.png: up to 48 films with their corners.")
    ] = False,
    benchmark: Annotated[
        bool, typer.Option("--benchmark", help="Write lumbar-bench-1, and say whether it is.")
    ] = False,
) -> None:
    """Write simulated films as 16-bit PNG or DICOM, studies as DICOM, with their corners (BUU csv) and the truth (manifest.csv).

    A run that was killed goes on where it stood when the same command is given again.
    """
    from lumbar.synthesis import benchmark as bench
    from lumbar.synthesis.writing import Order, contact_sheet, write

    if benchmark:
        if films or studies:
            usage("--benchmark writes fixed sets: leave --films and --studies out")
        parts = {out / name: order for name, order in bench.PARTS.items()}
    elif films == studies == 0:
        usage("give --films N, --studies N, or both; or --benchmark")
    else:
        parts = {out: Order(films, studies, seed, height, format, squared_s1, askew, spondylosis)}
    for folder, order in parts.items():
        total = range(order.films + order.studies)
        steps = write(folder, order, workers)
        for _ in with_progress(total, f"films in {folder}", partial(_next, steps)):
            pass
        next(steps, None)  # the tables
        if show:
            written = sorted((*folder.glob("film_*.png"), *folder.glob("film_*.dcm"), *folder.glob("study_*/*.dcm")))
            write_whole(folder / "sheet.png", png(contact_sheet(written[:48])))
    if benchmark:
        for line in bench.compared(out):
            stdout.print(line, soft_wrap=True)


def _next(steps: Iterator[int], _: int) -> int:
    return next(steps)


class Stage(StrEnum):
    """The paper's two networks, and ours that look at each body and at each corner again."""

    LOCALISER = "localiser"
    LANDMARKS = "landmarks"
    CLOSE_UP = "close-up"
    CORNER = "corner"


def train(
    stage: Annotated[Stage, typer.Argument(help="Which network.")],
    out: OutFolder,
    data: Annotated[Path | None, typer.Option(help="Folder in BUU format; simulated films without it.")] = None,
    split: Annotated[
        Path | None, typer.Option(help="Lists of patients to train on and to choose by, from `lumbar dataset split`.")
    ] = None,
    first_films: Annotated[int | None, typer.Option(min=2, help="Only so many of the folder's films.")] = None,
    simulated: Annotated[
        float, typer.Option(min=0, max=1, help="Share of simulated films beside the folder's, to train on.")
    ] = 0.0,
    method: Annotated[str, typer.Option(help="Landmark method.")] = "lsld-net",
    view: Annotated[View, typer.Option(help="What the landmark network sees of a film.")] = View.BOX,
    randomised: Annotated[float, typer.Option(min=0, max=1, help="Share of samples that look like no film.")] = 0.0,
    close_up: Annotated[
        Path | None,
        typer.Option(
            help="For corners: weights of the close-ups whose errors they learn to mend, as for --start-from; without them errors are drawn by chance."
        ),
    ] = None,
    height: Annotated[int | None, typer.Option(help="Input height; 1024 (landmarks) or 640 (localiser).")] = None,
    width: Annotated[int | None, typer.Option(help="Input width; half the height, or the height.")] = None,
    epochs: Annotated[int, typer.Option(min=1)] = 100,
    epoch_films: Annotated[
        int | None, typer.Option(min=1, help="Samples in an epoch; as many as the data has.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1)] = 2,
    learning_rate: Annotated[float, typer.Option()] = 1.25e-4,
    weight_decay: Annotated[float, typer.Option()] = 0.0,
    schedule: Annotated[str, typer.Option(help="constant or cosine.")] = "constant",
    precision: Annotated[str, typer.Option(help="bf16 or fp32.")] = "bf16",
    average: Annotated[float, typer.Option(help="Decay of the averaged weights; 0: no averaging.")] = 0.0,
    minutes: Annotated[float | None, typer.Option(help="Stop after so many minutes of training.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes that make samples.")] = 1,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    save_every_s: Annotated[float, typer.Option(min=0, help="Seconds between checkpoints.")] = 120.0,
    start_from: Annotated[
        Path | None, typer.Option(help="Weights to begin with: .safetensors, an exported .onnx, or the word shipped.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
) -> None:
    """Train a network; a run that was killed goes on where it stood. The defaults are the paper's."""
    training = training_room()
    recipe = or_usage(
        lambda: training.Recipe(
            epochs=epochs,
            epoch_films=epoch_films or training.films_in(data),
            batch_size=batch_size,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            schedule=schedule,
            precision=precision,
            average=average,
            minutes=minutes,
            workers=workers,
            seed=seed,
            save_every_s=save_every_s,
        )
    )
    best = or_usage(
        lambda: training.run(
            training.Trainee(stage.value, method, height, width, view, randomised, close_up),
            training.films_of(data, seed, first_films, split, simulated),
            recipe,
            out,
            start_from,
            device,
        )
    )
    stdout.print(str(best), soft_wrap=True)


def export(
    stage: Annotated[Stage, typer.Argument(help="Which network.")],
    checkpoint: Annotated[
        list[Path],
        typer.Argument(help="best.safetensors of a training run; of close-ups of several, which answer together."),
    ],
    out: OutFolder,
    about: Annotated[str, typer.Option(help="For the card: on what and for how long it was trained.")] = "",
) -> None:
    """Write a trained network as ONNX with its card, after checking it against torch on inputs of the size that is read."""
    training = training_room()
    measured = or_usage(lambda: training.export(stage.value, checkpoint, out, about))
    for name, value in measured.items():
        stdout.print(f"{name} {value:.2e}")


def quantise(
    out: OutFolder,
    weights: WeightsFolder = None,
    films: Annotated[
        int, typer.Option(min=1, help="Simulated films whose passage sets the ranges of the layers.")
    ] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Of the films.")] = 1_001,
) -> None:
    """Write int8 files of exported networks, for --precision int8; into the folder of the weights, to be found beside them."""
    training = training_room()
    from lumbar.synthesis import simulate_film

    known = weights_of(weights)
    seen = in_progress(range(films), "reading")
    differences = or_usage(
        lambda: training.quantise(known, out, (simulate_film(seed, index).radiograph for index in seen))
    )
    for stage, difference in differences.items():
        stdout.print(f"{stage}: outputs change by {difference:.2%}")
