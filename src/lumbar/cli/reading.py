"""`lumbar read`, `lumbar assess` and `lumbar demo`: films and studies in, readings out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from lumbar.anatomy import Posture, Side
from lumbar.assessment import CRITERIA, PAPER, StabilityCriteria
from lumbar.cli.export import Export
from lumbar.cli.terminal import (
    Deidentify,
    Device,
    DicomOut,
    Facing,
    Numbers,
    OutFolder,
    Pdf,
    Precision,
    Processor,
    Spacing,
    Threads,
    WeightsFolder,
    in_progress,
    or_usage,
    png,
    reader_with,
    stderr,
    stdout,
    usage,
    with_progress,
    write_whole,
)
from lumbar.radiograph import PixelSpacing, Radiograph, UnreadableFilm

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lumbar.pipeline import Reader
    from lumbar.reading import Reading

Done = TypeVar("Done")

_BESIDE_FILMS = (".csv", ".html", ".json", ".txt")  # tables and notes in a study's folder need no word


def read(
    films: Annotated[list[Path], typer.Argument(metavar="FILM...", help="DICOM, PNG, JPEG or TIFF files.")],
    out: OutFolder,
    spacing: Spacing = None,
    facing: Facing = None,
    threads: Threads = None,
    weights: WeightsFolder = None,
    precision: Precision = Numbers.FP32,
    device: Device = Processor.CPU,
    pdf: Pdf = False,
    dicom_out: DicomOut = False,
    deidentify: Deidentify = False,
) -> None:
    """Read each FILM and write its reading (JSON), overlay (PNG) and report (HTML)."""
    from lumbar.report import reading_table

    desk = _Desk.open(
        out, spacing, facing, reader_with(weights, threads, precision, device), pdf, dicom_out, deidentify
    )
    for result in with_progress(films, "reading", desk.read):
        if result is not None:
            stdout.print(reading_table(result.reading))
    desk.finish()


def assess(
    out: OutFolder,
    study: Annotated[Path | None, typer.Argument(metavar="[STUDY]", help="A folder with two or three films.")] = None,
    flexion: Annotated[Path | None, typer.Option(help="The flexion film, instead of STUDY.")] = None,
    extension: Annotated[Path | None, typer.Option(help="The extension film.")] = None,
    neutral: Annotated[Path | None, typer.Option(help="The neutral film, if there is one.")] = None,
    criteria: Annotated[str, typer.Option(help="By what a level is called unstable; see `lumbar criteria`.")] = "paper",
    spacing: Spacing = None,
    facing: Facing = None,
    threads: Threads = None,
    weights: WeightsFolder = None,
    precision: Precision = Numbers.FP32,
    device: Device = Processor.CPU,
    pdf: Pdf = False,
    dicom_out: DicomOut = False,
    deidentify: Deidentify = False,
) -> None:
    """Compare flexion with extension: motion, slip, grade and stability of each level, as study.json and study.html."""
    named = {Posture.FLEXION: flexion, Posture.NEUTRAL: neutral, Posture.EXTENSION: extension}
    given = {posture: film for posture, film in named.items() if film is not None}
    if (study is None) == (not given):
        usage("give either a STUDY folder or --flexion and --extension")
    if given and not {Posture.FLEXION, Posture.EXTENSION} <= set(given):
        usage("--flexion and --extension are both needed")
    judged_by = criteria_called(criteria)
    desk = _Desk.open(
        out, spacing, facing, reader_with(weights, threads, precision, device), pdf, dicom_out, deidentify
    )
    if study is None:
        _assess(desk, list(given.values()), list(given), judged_by)
    else:
        _assess(desk, _films_in(study), None, judged_by)


def criteria() -> None:
    """List the criteria of stability: their rules, their sources, and what speaks against them."""
    from lumbar.assessment import COUNTER_EVIDENCE

    for entry in CRITERIA.values():
        stdout.print(f"{entry.name}: {entry.in_words()}", markup=False, soft_wrap=True)
        stdout.print(f"    {entry.source}. {entry.remark}".rstrip(), markup=False, soft_wrap=True)
    stdout.print(COUNTER_EVIDENCE, markup=False, soft_wrap=True)
    stdout.print("Formulas and drawings: docs/definitions.md", soft_wrap=True)


def demo(out: OutFolder = Path("out"), threads: Threads = None) -> None:
    """Read and assess the study that comes with the package: a simulated patient in flexion, neutral and extension."""
    from lumbar.report import reading_table

    desk = _Desk.open(out, None, None, reader_with(None, threads, Numbers.FP32, Processor.CPU), False)
    results = _assess(
        desk, sorted((Path(__file__).parent.parent / "examples" / "study").glob("*.dcm")), None, PAPER, finish=False
    )
    for result in results:
        stdout.print(reading_table(result.reading))
    stderr.print(f"pictures, reports and JSON are in {out}; start with {out / 'study.html'}", soft_wrap=True)
    desk.finish()


@dataclass(frozen=True, slots=True)
class _Result:
    film: Path
    reading: Reading
    overlay: NDArray[np.uint8]


class _Desk:
    """Reads films one after the other, writes what belongs to each, and remembers what failed."""

    def __init__(
        self,
        out: Path,
        reader: Reader,
        spacing: PixelSpacing | None,
        facing: Side | None,
        pdf: bool,
        export: Export,
    ) -> None:
        self.out, self._reader, self._spacing, self._facing, self._pdf = out, reader, spacing, facing, pdf
        self.export = export
        self._failed = False
        self._written: dict[str, Path] = {}

    @classmethod
    def open(
        cls,
        out: Path,
        spacing: str | None,
        facing: Side | None,
        reader: Reader,
        pdf: bool,
        dicom_out: bool = False,
        deidentify: bool = False,
    ) -> _Desk:
        given = None if spacing is None else or_usage(lambda: parse_spacing(spacing))
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            usage(f"--out must be a folder that can be written to; got {out}: {problem.strerror}")
        export = Export.of(dicom_out, deidentify)
        return cls(out, reader, given, facing, pdf, export)

    def read(self, film: Path) -> _Result | None:
        """Read one film and write its files; None, and a line on stderr, where that failed."""

        def one(film: Path) -> _Result:
            radiograph = self._open(film)
            return self._write(film, radiograph, self._reader.read(radiograph, self.export.name(film), self._source))

        return self.tried(film, one)

    def read_together(self, films: Sequence[Path]) -> list[_Result]:
        """Read the films of one patient, whose vertebrae get the same names on all, and write their files; failures as in `read`."""
        opened = {film: radiograph for film in films if (radiograph := self.tried(film, self._open)) is not None}
        names = [self.export.name(film) for film in opened]
        readings = self._reader.read_together(
            list(opened.values()), names, self._source, lambda radiographs: in_progress(radiographs, "reading")
        )
        by_film = dict(zip(opened, readings, strict=True))
        results = [self.tried(film, lambda film: self._write(film, opened[film], by_film[film])) for film in opened]
        return [result for result in results if result is not None]

    def tried(self, film: Path, act: Callable[[Path], Done]) -> Done | None:
        """What `act` makes of the film; None, and a line on stderr, where it fails."""
        try:
            return act(film)
        except UnreadableFilm as problem:
            self.fail(film, str(problem))
        except OSError as problem:
            self.fail(film, f"{problem.strerror or problem}; check the path, the disk and its permissions")
        except MemoryError:
            self.fail(film, "not enough memory for this film; export it smaller")
        return None

    @property
    def _source(self) -> str:
        return "DICOM" if self._facing is None else "--facing"

    def _open(self, film: Path) -> Radiograph:
        from lumbar.films import open_film

        if film.stem in self._written:
            raise UnreadableFilm(
                f"its reading would overwrite that of {self._written[film.stem]}",
                "rename it, or read it with another --out",
            )
        radiograph = open_film(film, self._spacing)
        self._written[film.stem] = film
        return radiograph if self._facing is None else radiograph.facing(self._facing)

    def _write(self, film: Path, radiograph: Radiograph, reading: Reading) -> _Result:
        from lumbar.report import draw_overlay, reading_page

        overlay, stem = draw_overlay(radiograph, reading), Path(reading.film).stem
        write_whole(self.out / f"{stem}.overlay.png", png(overlay))
        pdf = self.report(f"{stem}.report", reading_page(reading, overlay))
        write_whole(self.out / f"{stem}.reading.json", (reading.to_json() + "\n").encode())
        self.export.write_results(film, self.out, reading, overlay, pdf)
        return _Result(film, reading, overlay)

    def report(self, stem: str, page: str) -> bytes | None:
        """Write a page as HTML and, where that was asked for, as PDF, which is returned."""
        from lumbar.report import NoPdf, as_pdf

        write_whole(self.out / f"{stem}.html", page.encode())
        if not self._pdf:
            return None
        try:
            pdf = as_pdf(page)
        except NoPdf as problem:
            usage(str(problem))
        write_whole(self.out / f"{stem}.pdf", pdf)
        return pdf

    def fail(self, what: Path | str, why: str) -> None:
        """One line, and exit code 1 in the end."""
        self._failed = True
        stderr.print(f"{what}: {why}", style="red", markup=False, soft_wrap=True)

    def finish(self) -> None:
        """Leave with exit code 1 if anything failed."""
        if self._failed:
            raise typer.Exit(1)


def _assess(
    desk: _Desk,
    films: Sequence[Path],
    postures: Sequence[Posture] | None,
    criteria: StabilityCriteria,
    finish: bool = True,
) -> list[_Result]:
    """Read the films, tell who is who (unless `postures` says), write study.json and study.html, print the table."""
    from lumbar.films import of_other_patients, why_no_study
    from lumbar.postures import order_by_posture
    from lumbar.report import study_page, study_table
    from lumbar.study import assess_study

    if others := of_other_patients(films):
        desk.fail("study", why_no_study([Path(other).name for other in others]))
        raise typer.Exit(1)
    results = desk.read_together(films)
    try:
        told_by = "given"
        if postures is None:
            roles, told_by = order_by_posture([result.reading for result in results])._asdict(), "lordosis"
        elif len(results) == len(films):
            roles = {posture.value: result.reading for posture, result in zip(postures, results, strict=True)}
        else:
            raise ValueError("a film of the study could not be read")
        found = assess_study(**roles, criteria=criteria, told_by=told_by)
    except ValueError as problem:
        desk.fail("study", f"{problem}")
        raise typer.Exit(1) from None
    overlays = {
        Posture(role): result.overlay
        for role, reading in roles.items()
        for result in results
        if result.reading is reading
    }
    desk.report("study", study_page(found, overlays))
    write_whole(desk.out / "study.json", (found.to_json() + "\n").encode())
    if desk.export.dicom:
        read = {Posture(role): reading for role, reading in roles.items() if reading is not None}
        paths = {p: next(r.film for r in results if r.reading is reading) for p, reading in read.items()}
        desk.tried(Path("study"), lambda _: desk.export.write_study(found, read, paths, desk.out))
    stdout.print(study_table(found))
    if finish:
        desk.finish()
    return results


def _films_in(folder: Path) -> list[Path]:
    """The files of a study's folder that are films by their content; the others are named and passed over."""
    from lumbar.films import is_film

    if not folder.is_dir():
        usage(f"STUDY must be a folder; got {folder}")
    files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    films = [path for path in files if is_film(path)]
    for path in files:
        if path not in films and path.suffix.lower() not in _BESIDE_FILMS:
            stderr.print(f"{path}: passed over, it is not a film", markup=False, soft_wrap=True)
    return films


def criteria_called(name: str) -> StabilityCriteria:
    """The set of criteria that --criteria names; ends the command where there is none."""
    if name not in CRITERIA:
        usage(f"--criteria must be one of {', '.join(CRITERIA)}; got {name!r}")
    return CRITERIA[name]


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
