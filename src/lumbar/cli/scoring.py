"""`lumbar evaluate` and `lumbar compare`: what was found against what is true, and methods against each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lumbar.anatomy import Posture, Side
from lumbar.cli.terminal import (
    Device,
    Numbers,
    OutFolder,
    Precision,
    Processor,
    Threads,
    WeightsFolder,
    or_usage,
    reader_with,
    stderr,
    stdout,
    training_room,
    usage,
    with_progress,
    write_whole,
)
from lumbar.radiograph import Radiograph, UnreadableFilm

if TYPE_CHECKING:
    from lumbar.datasets import Case
    from lumbar.evaluation import ReadCase
    from lumbar.geometry import FloatArray

Find = Callable[[Radiograph], "FloatArray"]


def evaluate(
    data: Annotated[Path, typer.Argument(metavar="FOLDER", help="Films with their csv (BUU format), or studies.")],
    out: OutFolder,
    weights: WeightsFolder = None,
    run: Annotated[
        Path | None,
        typer.Option(help="best.safetensors of a training run: one look through the shipped localiser's box."),
    ] = None,
    split: Annotated[
        Path | None, typer.Option(help="Score only the test patients of these lists, from `lumbar dataset split`.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws the resamples of the intervals.")] = 0,
    threads: Threads = None,
    precision: Precision = Numbers.FP32,
    device: Device = Processor.CPU,
) -> None:
    """Score the shipped weights, others, or a training run on annotated films: JSON, Markdown, CSV and an HTML page."""
    from lumbar.evaluation import evaluate as score
    from lumbar.evaluation import evaluation_page, points_to_csv, tables_of

    if run is not None and weights is not None:
        usage("give --weights or --run, not both")
    studies = _studies_in(data)
    if studies and split is not None:
        usage("--split is for a folder of films; a folder of studies is scored whole")
    cases = [case for study in studies for case in study.values()] or _films_in(data, split)
    name, find, made = _trained(run) if run else _reader(weights, threads, precision, device)
    failed, read = False, {}
    for case, outcome in with_progress(cases, f"reading {data.name}", lambda case: (case, _read(case, find))):
        if isinstance(outcome, str):
            failed = True
            stderr.print(f"{case.name}: {outcome}", style="red", markup=False, soft_wrap=True)
        else:
            read[case.name] = outcome
    if not read:
        usage(f"none of the {len(cases)} films in {data} could be scored")
    whole = [{posture: read[case.name] for posture, case in study.items() if case.name in read} for study in studies]
    compared = [study for study in whole if {Posture.FLEXION, Posture.EXTENSION} <= set(study)]
    found = score(name, data.resolve().name, list(read.values()), compared, {**made, "seed": str(seed)}, seed)
    out.mkdir(parents=True, exist_ok=True)
    by_name = {case.name: case for case in cases}
    write_whole(out / "evaluation.json", (found.to_json() + "\n").encode())
    write_whole(out / "points.csv", points_to_csv(list(read.values())).encode())
    tables = tables_of(found)
    write_whole(out / "evaluation.md", "\n".join(table.markdown() for table in tables).encode())
    write_whole(out / "evaluation.csv", "\n".join(f"# {table.caption}\n{table.csv()}" for table in tables).encode())
    page = evaluation_page(found, list(read.values()), lambda case: by_name[case.film].radiograph().pixels)
    write_whole(out / "evaluation.html", page.encode())
    for table in tables:
        stdout.print(table.markdown(), markup=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def compare(
    evaluations: Annotated[
        list[Path], typer.Argument(metavar="EVALUATION...", help="evaluation.json files, or folders that hold some.")
    ],
    out: Annotated[Path | None, typer.Option(help="Also write the tables to this Markdown file.")] = None,
    reference: Annotated[str, typer.Option(help="The method that the others are tested against.")] = "lsld-net",
) -> None:
    """Print the paper's Tables I, II and III from evaluations, its figures beside ours."""
    from lumbar.evaluation import Evaluation, compared

    files = [file for path in evaluations for file in (sorted(path.rglob("*.json")) if path.is_dir() else [path])]
    if not files:
        usage("no evaluation was found; write some with `lumbar evaluate`")

    def load(file: Path) -> Evaluation:
        try:
            return Evaluation.from_json(file.read_text())
        except ValueError as problem:
            raise ValueError(f"{file}: {problem}") from None

    tables = or_usage(lambda: compared([load(file) for file in files], reference))
    text = "\n".join(table.markdown() for table in tables)
    if out is not None:
        write_whole(out, text.encode())
    stdout.print(text, markup=False, soft_wrap=True)


def _films_in(folder: Path, split: Path | None) -> Sequence[Case]:
    from lumbar.datasets import BuuFolder, Split

    cases = or_usage(lambda: BuuFolder.open(folder)).cases
    return cases if split is None else or_usage(lambda: Split.read(split, cases)).cases("test", cases)


def _studies_in(folder: Path) -> list[Mapping[Posture, Case]]:
    """The films of each study in `folder`; none where it holds films and no studies."""
    from lumbar.datasets import StudyFolder
    from lumbar.datasets.studies import study_folders_in

    if not folder.is_dir():
        usage(f"FOLDER must be a folder with films and their csv; got {folder}")
    if not study_folders_in(folder):
        return []
    return [study.films for study in or_usage(lambda: StudyFolder.open(folder)).studies]


def _read(case: Case, find: Find) -> ReadCase | str:
    """The case with what was found on it, or why it could not be scored."""
    from lumbar.evaluation import ReadCase

    try:
        film = case.open()
    except (UnreadableFilm, ValueError, OSError) as problem:
        return str(problem)
    radiograph = film.radiograph
    try:
        return ReadCase(
            case.name,
            case.patient,
            film.landmarks_px,
            find(radiograph),
            radiograph.height,
            radiograph.width,
            film.anterior,
            radiograph.spacing,
        )
    except ValueError as problem:
        return str(problem)


def _reader(
    weights: Path | None, threads: int | None, precision: Numbers, device: Processor
) -> tuple[str, Find, dict[str, str]]:
    """The whole story as `lumbar read` tells it: the facing is not given away."""
    reader = reader_with(weights, threads, precision, device)

    def find(radiograph: Radiograph) -> FloatArray:
        return reader.read(replace(radiograph, anterior=None)).landmarks.points_px

    options = ([] if weights is None else [f"--weights {weights.name}"]) + (
        [] if precision is Numbers.FP32 else [f"--precision {precision}"]
    )
    name = " ".join(["lumbar read", *options])
    return name, find, dict(reader.sha256)


def _trained(run: Path) -> tuple[str, Find, dict[str, str]]:
    """One look of a trained method, through the shipped localiser's box, at a film whose facing is known."""
    training = training_room()
    trained = or_usage(lambda: training.TrainedMethod.load(run))
    localiser = training.shipped_localiser()

    def find(radiograph: Radiograph) -> FloatArray:
        found: FloatArray = trained.landmarks(radiograph.facing(radiograph.anterior or Side.LEFT), localiser)
        return found

    return trained.name, find, {f"training {key}": value for key, value in trained.about.items()}
