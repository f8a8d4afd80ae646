"""The command line. Results go to stdout, everything else to stderr; exit 0 done, 1 some inputs failed, 2 usage."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lumbar.anatomy import Posture, Side
from lumbar.radiograph import PixelSpacing, UnreadableFilm
from lumbar.whole_file import written_aside

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lumbar.pipeline import Reader
    from lumbar.reading import Reading

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Read lateral lumbar radiographs: corners, slip, angles, stability. Research use only; not a medical device.",
)

_BESIDE_FILMS = (".csv", ".html", ".json", ".txt")  # tables and notes in a study's folder need no word

Item = TypeVar("Item")
Made = TypeVar("Made")

_results = Console(width=None if sys.stdout.isatty() else 120)
_errors = Console(stderr=True, highlight=False)

OutFolder = Annotated[Path, typer.Option("--out", help="Folder for what is written; made if it is not there.")]
Spacing = Annotated[
    str | None, typer.Option(help="Pixel spacing in mm at the patient, ROW or ROW,COLUMN; overrides what a file says.")
]
Facing = Annotated[Side | None, typer.Option(help="Side of the film that is anterior; else it is found from the film.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of the networks; all by default.")]
WeightsFolder = Annotated[
    Path | None,
    typer.Option("--weights", help="Folder with weights as `lumbar export` writes them, instead of those shipped."),
]


def main() -> None:
    """Entry point of `lumbar`."""
    app()


@app.command()
def read(
    films: Annotated[list[Path], typer.Argument(metavar="FILM...", help="DICOM, PNG, JPEG or TIFF files.")],
    out: OutFolder,
    spacing: Spacing = None,
    facing: Facing = None,
    threads: Threads = None,
    weights: WeightsFolder = None,
) -> None:
    """Read each FILM and write its reading (JSON), overlay (PNG) and report (HTML)."""
    from lumbar.report import reading_table

    desk = _Desk.open(out, spacing, facing, threads, weights)
    for result in _with_progress(films, "reading", desk.read):
        if result is not None:
            _results.print(reading_table(result.reading))
    desk.finish()


@app.command()
def assess(
    out: OutFolder,
    study: Annotated[Path | None, typer.Argument(metavar="[STUDY]", help="A folder with two or three films.")] = None,
    flexion: Annotated[Path | None, typer.Option(help="The flexion film, instead of STUDY.")] = None,
    extension: Annotated[Path | None, typer.Option(help="The extension film.")] = None,
    neutral: Annotated[Path | None, typer.Option(help="The neutral film, if there is one.")] = None,
    spacing: Spacing = None,
    facing: Facing = None,
    threads: Threads = None,
    weights: WeightsFolder = None,
) -> None:
    """Compare flexion with extension: motion, slip, grade and stability of each level, as study.json and study.html."""
    named = {Posture.FLEXION: flexion, Posture.NEUTRAL: neutral, Posture.EXTENSION: extension}
    given = {posture: film for posture, film in named.items() if film is not None}
    if (study is None) == (not given):
        _usage("give either a STUDY folder or --flexion and --extension")
    if given and not {Posture.FLEXION, Posture.EXTENSION} <= set(given):
        _usage("--flexion and --extension are both needed")
    desk = _Desk.open(out, spacing, facing, threads, weights)
    if study is None:
        _assess(desk, list(given.values()), list(given))
    else:
        _assess(desk, _films_in(study), None)


@app.command()
def demo(out: OutFolder = Path("out"), threads: Threads = None) -> None:
    """Read and assess the study that comes with the package: a simulated patient in flexion, neutral and extension."""
    from lumbar.report import reading_table

    desk = _Desk.open(out, None, None, threads, None)
    results = _assess(desk, sorted((Path(__file__).parent / "examples" / "study").glob("*.dcm")), None, finish=False)
    for result in results:
        _results.print(reading_table(result.reading))
    _errors.print(f"pictures, reports and JSON are in {out}; start with {out / 'study.html'}", soft_wrap=True)
    desk.finish()


class FilmFormat(StrEnum):
    """How simulated films are written."""

    PNG = "png"
    DICOM = "dicom"


@app.command()
def synthesise(
    out: OutFolder,
    films: Annotated[int, typer.Option(min=0, help="How many single films.")] = 0,
    studies: Annotated[int, typer.Option(min=0, help="How many flexion-neutral-extension studies.")] = 0,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same films.")] = 0,
    height: Annotated[int, typer.Option(min=128, max=4096, help="Height of the films in pixels.")] = 1024,
    format: Annotated[FilmFormat, typer.Option(help="Of single films; studies are DICOM.")] = FilmFormat.PNG,
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
            _usage("--benchmark writes fixed sets: leave --films and --studies out")
        parts = {out / name: order for name, order in bench.PARTS.items()}
    elif films == studies == 0:
        _usage("give --films N, --studies N, or both; or --benchmark")
    else:
        parts = {out: Order(films, studies, seed, height, format)}
    for folder, order in parts.items():
        total = range(order.films + order.studies)
        steps = write(folder, order, workers)
        for _ in _with_progress(total, f"films in {folder}", partial(_next, steps)):
            pass
        next(steps, None)  # the tables
        if show:
            written = sorted((*folder.glob("film_*.png"), *folder.glob("film_*.dcm"), *folder.glob("study_*/*.dcm")))
            write_whole(folder / "sheet.png", _png(contact_sheet(written[:48])))
    if benchmark:
        for line in bench.compared(out):
            _results.print(line, soft_wrap=True)


def _next(steps: Iterator[int], _: int) -> int:
    return next(steps)


class Stage(StrEnum):
    """The two networks."""

    LOCALISER = "localiser"
    LANDMARKS = "landmarks"


@app.command()
def train(
    stage: Annotated[Stage, typer.Argument(help="Which network.")],
    out: OutFolder,
    data: Annotated[Path | None, typer.Option(help="Folder in BUU format; simulated films without it.")] = None,
    method: Annotated[str, typer.Option(help="Landmark method.")] = "lsld-net",
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
    start_from: Annotated[Path | None, typer.Option(help="Weights (.safetensors) to begin with.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, or auto.")] = "auto",
) -> None:
    """Train a network; a run that was killed goes on where it stood. The defaults are the paper's."""
    training = _training_room()
    recipe = _or_usage(
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
    best = _or_usage(lambda: training.run(stage.value, out, recipe, data, method, height, width, start_from, device))
    _results.print(str(best), soft_wrap=True)


@app.command()
def export(
    stage: Annotated[Stage, typer.Argument(help="Which network.")],
    checkpoint: Annotated[Path, typer.Argument(help="best.safetensors of a training run.")],
    out: OutFolder,
    about: Annotated[str, typer.Option(help="For the card: on what and for how long it was trained.")] = "",
) -> None:
    """Write a trained network as ONNX with its card, after checking it against torch on inputs of the size that is read."""
    training = _training_room()
    measured = _or_usage(lambda: training.export(stage.value, checkpoint, out, about))
    for name, value in measured.items():
        _results.print(f"{name} {value:.2e}")


@dataclass(frozen=True, slots=True)
class _Result:
    film: Path
    reading: Reading
    overlay: NDArray[np.uint8]


class _Desk:
    """Reads films one after the other, writes what belongs to each, and remembers what failed."""

    def __init__(self, out: Path, reader: Reader, spacing: PixelSpacing | None, facing: Side | None) -> None:
        self.out, self._reader, self._spacing, self._facing = out, reader, spacing, facing
        self._failed = False
        self._written: dict[str, Path] = {}

    @classmethod
    def open(
        cls, out: Path, spacing: str | None, facing: Side | None, threads: int | None, weights: Path | None
    ) -> _Desk:
        given = None if spacing is None else _or_usage(lambda: parse_spacing(spacing))
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            _usage(f"--out must be a folder that can be written to; got {out}: {problem.strerror}")
        from lumbar.pipeline import Reader
        from lumbar.runtime import FOLDER, load_weights

        networks = _or_usage(lambda: [load_weights(weights or FOLDER, stage) for stage in ("localiser", "landmarks")])
        return cls(out, Reader.of(networks[0], networks[1], threads), given, facing)

    def read(self, film: Path) -> _Result | None:
        """Read one film and write its files; None, and a line on stderr, where that failed."""
        try:
            return self._read(film)
        except UnreadableFilm as problem:
            self.fail(film, str(problem))
        except OSError as problem:
            self.fail(film, f"{problem.strerror or problem}; check the path, the disk and its permissions")
        except MemoryError:
            self.fail(film, "not enough memory for this film; export it smaller")
        return None

    def _read(self, film: Path) -> _Result:
        from lumbar.films import open_film
        from lumbar.report import draw_overlay, reading_page

        stem = film.stem
        if stem in self._written:
            raise UnreadableFilm(
                f"its reading would overwrite that of {self._written[stem]}", "rename it, or read it with another --out"
            )
        radiograph = open_film(film, self._spacing)
        source = "DICOM"
        if self._facing is not None:
            radiograph, source = radiograph.facing(self._facing), "--facing"
        reading = self._reader.read(radiograph, film.name, source)
        overlay = draw_overlay(radiograph, reading)
        write_whole(self.out / f"{stem}.overlay.png", _png(overlay))
        write_whole(self.out / f"{stem}.report.html", reading_page(reading, overlay).encode())
        write_whole(self.out / f"{stem}.reading.json", (reading.to_json() + "\n").encode())
        self._written[stem] = film
        return _Result(film, reading, overlay)

    def fail(self, what: Path | str, why: str) -> None:
        """One line, and exit code 1 in the end."""
        self._failed = True
        _errors.print(f"{what}: {why}", style="red", markup=False, soft_wrap=True)

    def finish(self) -> None:
        """Leave with exit code 1 if anything failed."""
        if self._failed:
            raise typer.Exit(1)


def _assess(
    desk: _Desk, films: Sequence[Path], postures: Sequence[Posture] | None, finish: bool = True
) -> list[_Result]:
    """Read the films, tell who is who (unless `postures` says), write study.json and study.html, print the table."""
    from lumbar.report import study_page, study_table
    from lumbar.study import assess_study, order_by_posture

    results = [result for result in _with_progress(films, "reading", desk.read) if result is not None]
    try:
        if postures is None:
            roles = order_by_posture([result.reading for result in results])._asdict()
        elif len(results) == len(films):
            roles = {posture.value: result.reading for posture, result in zip(postures, results, strict=True)}
        else:
            raise ValueError("a film of the study could not be read")
        found = assess_study(**roles)
    except ValueError as problem:
        desk.fail("study", f"{problem}")
        raise typer.Exit(1) from None
    overlays = {
        Posture(role): result.overlay
        for role, reading in roles.items()
        for result in results
        if result.reading is reading
    }
    write_whole(desk.out / "study.html", study_page(found, overlays).encode())
    write_whole(desk.out / "study.json", (found.to_json() + "\n").encode())
    _results.print(study_table(found))
    if finish:
        desk.finish()
    return results


def _films_in(folder: Path) -> list[Path]:
    """The files of a study's folder that are films by their content; the others are named and passed over."""
    from lumbar.films import is_film

    if not folder.is_dir():
        _usage(f"STUDY must be a folder; got {folder}")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    films = [path for path in files if is_film(path)]
    for path in files:
        if path not in films and path.suffix.lower() not in _BESIDE_FILMS:
            _errors.print(f"{path}: passed over, it is not a film", markup=False, soft_wrap=True)
    return films


def parse_spacing(text: str) -> PixelSpacing:
    """ROW or ROW,COLUMN in mm.

    >>> parse_spacing("0.2,0.25").column_mm
    0.25
    """
    try:
        lengths = [float(part) for part in text.split(",")]
        row, column = lengths * 2 if len(lengths) == 1 else lengths
        return PixelSpacing(row, column, "--spacing", "patient")
    except ValueError:
        raise ValueError(f"--spacing must be ROW or ROW,COLUMN, each between 0 and 100 mm; got {text!r}") from None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file aside and rename it: it is there as a whole or not at all."""
    with written_aside(path) as aside:
        aside.write_bytes(data)


def _png(picture: NDArray[np.uint8]) -> bytes:
    import cv2

    done, data = cv2.imencode(".png", picture[..., ::-1])
    assert done
    return bytes(data.tobytes())


def _with_progress(items: Sequence[Item], what: str, make: Callable[[Item], Made]) -> Iterable[Made]:
    """Make one thing after the other under a progress bar (none where stderr is no terminal)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_errors, transient=True, disable=not _errors.is_terminal) as bar:
        task = bar.add_task(what, total=len(items))
        for item in items:
            yield make(item)
            bar.advance(task)


def _training_room() -> ModuleType:
    try:
        from lumbar import training
    except ImportError as missing:
        _usage(
            f"training needs more packages ({missing.name} is missing); install them with: pip install 'lumbar[train]'"
        )
    return training


def _or_usage(make: Callable[[], Made]) -> Made:
    try:
        return make()
    except (ValueError, FileNotFoundError) as problem:
        _usage(str(problem))


def _usage(problem: str) -> NoReturn:
    _errors.print(f"lumbar: {problem}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(2)
