"""`lumbar evaluate`, `compare` and `calibrate`: what was found against what is true, methods against each other, error bars against errors."""

from __future__ import annotations

from collections import Counter
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
    in_progress,
    or_usage,
    reader_with,
    stderr,
    stdout,
    training_room,
    usage,
    weights_of,
    with_progress,
    write_whole,
)
from lumbar.radiograph import Radiograph, UnreadableFilm

if TYPE_CHECKING:
    from lumbar.datasets import Case
    from lumbar.evaluation import ReadCase
    from lumbar.evaluation.error_bars import ReadCorners
    from lumbar.geometry import FloatArray
    from lumbar.pipeline import Reader

LEAST_PATIENTS = 6
"""Fewer patients' films are not enough to fit error bars to. Our own choice."""

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


def calibrate(
    data: Annotated[Path, typer.Argument(metavar="FOLDER", help="Films with their csv (BUU format).")],
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the weights and their error bars, to be given as --weights.")
    ],
    weights: WeightsFolder = None,
    split: Annotated[
        Path | None,
        typer.Option(help="Fit to the validation patients of these lists alone, from `lumbar dataset split`."),
    ] = None,
    threads: Threads = None,
    device: Device = Processor.CPU,
) -> None:
    """Fit the error bars to annotated films of your own: a folder of the same weights whose errors, intervals and probabilities are of such films."""
    from lumbar.evaluation.error_bars import cross_fitted, fit_error_bars, normalised, within
    from lumbar.reading import installed_version
    from lumbar.runtime import CORNER_ERRORS, errors_json

    cases = _films_in(data, split, "validation")
    known = weights_of(weights)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        usage(f"--out must be a folder that can be written to; got {out}: {problem.strerror}")
    reader = reader_with(weights, threads, Numbers.FP32, device)
    used, failed = _read_corners(reader, cases, data.name)
    patients = len({film.patient for film in used})
    if patients < LEAST_PATIENTS:
        usage(
            f"error bars need films of at least {LEAST_PATIENTS} patients that are read whole and named right; got {patients}"
        )
    fitted, _ = fit_error_bars(used)
    covered = {"in use": normalised(used, reader.calibration.errors), "fitted to the other half": cross_fitted(used)}
    shares = {name: {quantity: within(z) for quantity, z in of.items()} for name, of in covered.items()}
    for name, of in shares.items():
        told = ", ".join(f"{100 * share:.0f} % of {quantity}" for quantity, share in of.items())
        stdout.print(f"90 % intervals, {name}, cover {told}", markup=False, soft_wrap=True)
    for file in sorted({file for each in known.values() for file in each.path.parent.glob(f"{each.path.stem}.*")}):
        if not (out / file.name).exists() or not file.samefile(out / file.name):
            write_whole(out / file.name, file.read_bytes())
    about = {"films": len(used), "patients": patients, "of": data.resolve().name}
    made = {"software_version": installed_version(), "covered_by_90_percent_intervals": shares}
    write_whole(out / f"{CORNER_ERRORS}.json", errors_json(fitted, known, {**about, **made}).encode())
    stdout.print(f"{out / CORNER_ERRORS}.json: give --weights {out}", markup=False, soft_wrap=True)
    if failed:
        raise typer.Exit(1)


def _read_corners(reader: Reader, cases: Sequence[Case], what: str) -> tuple[list[ReadCorners], bool]:
    """The films that error bars can be fitted to; whether any could not be read, which a line on stderr names."""
    from lumbar.evaluation.error_bars import ReadCorners

    failed, left_out, used = False, Counter[str](), list[ReadCorners]()
    model = reader.calibration.errors
    for case in in_progress(cases, f"reading {what}"):
        try:
            film = case.open()
        except (UnreadableFilm, ValueError, OSError) as problem:
            failed = True
            stderr.print(f"{case.name}: {problem}", style="red", markup=False, soft_wrap=True)
            continue
        found = reader.read(replace(film.radiograph, anterior=None)).landmarks
        read = ReadCorners.of(found, film.landmarks_px, model, film.anterior, film.radiograph.spacing, case.patient)
        if isinstance(read, str):
            left_out[read] += 1
        else:
            used.append(read)
    patients = len({film.patient for film in used})
    told = "".join(f", {count} {why}" for why, count in sorted(left_out.items()))
    stdout.print(f"{len(used)} of {len(cases)} films, of {patients} patients{told}", markup=False, soft_wrap=True)
    return used, failed


def _films_in(folder: Path, split: Path | None, part: str = "test") -> Sequence[Case]:
    from lumbar.datasets import BuuFolder, Split

    cases = or_usage(lambda: BuuFolder.open(folder)).cases
    return cases if split is None else or_usage(lambda: Split.read(split, cases)).cases(part, cases)


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
