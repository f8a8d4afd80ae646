"""What is wrong with a data set, before anybody trains on it: a line for each thing; none stops the check."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lumbar.anatomy import Posture, Side
from lumbar.datasets.buu_lspine import cases_of, corner_tables_in, film_folder
from lumbar.datasets.case import Case
from lumbar.datasets.doubts import doubts_about_points, doubts_about_rows, doubts_about_spacing
from lumbar.datasets.spacing_tables import SpacingTables
from lumbar.datasets.studies import StudyFolder, films_of_study, study_folders_in
from lumbar.films import open_film
from lumbar.landmarks.table import read_labels, read_landmarks
from lumbar.radiograph import PixelSpacing, UnreadableFilm


@dataclass(frozen=True, slots=True)
class Finding:
    """file: the path within the data set, or the folder's name. what: what is wrong, and what to do; one line."""

    file: str
    what: str

    def __str__(self) -> str:
        """Such as "0417-F-062Y1.csv: row 2 must start with four numbers"."""
        return f"{self.file}: {self.what}"


@dataclass(frozen=True, slots=True)
class Inspection:
    """What came of opening one case: its spacing as it would be used, None where unknown, and what was found."""

    case: Case
    spacing: PixelSpacing | None
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """The films of a folder, with a csv or without, and what the names and tables alone tell to be wrong."""

    cases: tuple[Case, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """All findings, what belongs to the folder first, and the inspections for `summary`."""

    findings: tuple[Finding, ...]
    inspections: tuple[Inspection, ...]

    def summary(self) -> tuple[str, ...]:
        """Lines about what there is: pairs, patients, sexes, ages, spacings."""
        cases = [inspection.case for inspection in self.inspections]
        patients = {case.patient: case for case in cases}.values()
        sexes = Counter(case.sex or "unknown" for case in patients)
        ages = sorted(case.age for case in patients if case.age is not None)
        spacings = sorted(i.spacing.row_mm for i in self.inspections if i.spacing is not None)
        sources = Counter(i.spacing.source.split(" (")[0] for i in self.inspections if i.spacing is not None)
        about_spacings = f", {spacings[0]:.3g} to {spacings[-1]:.3g} mm from {', '.join(sources)}" if spacings else ""
        about_ages = f"{ages[0]} to {ages[-1]} years, median {ages[len(ages) // 2]}; " if ages else ""
        return (
            f"pairs: {sum(case.table is not None for case in cases)} of {len(cases)} lateral films have a csv",
            f"patients: {len(patients)}",
            f"sexes: {', '.join(f'{sex} {count}' for sex, count in sorted(sexes.items())) or 'none'}",
            f"ages: {about_ages}{len(patients) - len(ages)} unknown",
            f"spacings: {len(spacings)} of {len(cases)} films{about_spacings}",
            f"findings: {len(self.findings)}",
        )


def check(folder: Path, each: Callable[[Sequence[Case]], Iterable[Case]] = lambda cases: cases) -> Checked:
    """Everything that is wrong with the data set in `folder`, films in BUU's format or studies; opens every film.

    each: what goes through the cases, such as a progress bar. Raises ValueError where `folder` is no folder.
    """
    survey = survey_folder(folder)
    inspections = tuple(inspect(case) for case in each(survey.cases))
    findings = [*survey.findings, *_unknown_spacings(folder, inspections)]
    findings += [finding for inspection in inspections for finding in inspection.findings]
    return Checked(tuple(findings), inspections)


def survey_folder(folder: Path) -> Survey:
    """What names, tables and the bytes of the files tell; no film is decoded.

    Raises ValueError where `folder` is no folder.
    """
    home, found = film_folder(folder), []
    spacings = SpacingTables()
    try:
        spacings = SpacingTables.beside(home)
    except (ValueError, OSError) as problem:
        found.append(Finding(folder.resolve().name, f"{problem}; no table of spacings is used"))
    cases = list(cases_of(home, spacings))
    found += [
        Finding(path.name, "no film of this name; the csv is not used")
        for path in corner_tables_in(home)
        if path.stem not in {case.film.stem for case in cases}
    ]
    for study in study_folders_in(folder):
        try:
            films = films_of_study(study, spacings)
        except ValueError as problem:
            found.append(Finding(study.name, str(problem)))
            continue
        cases += films.values()
        found += [
            Finding(study.name, f"no {posture} film")
            for posture in (Posture.FLEXION, Posture.EXTENSION)
            if posture not in films
        ]
    if study_folders_in(folder):
        found += _doubts_about_motions(folder)
    if not cases:
        found.append(
            Finding(folder.resolve().name, "no film, and no study of films named flexion, neutral and extension")
        )
    found += [*_without_csv(folder, cases), *_repeated(cases)]
    return Survey(tuple(cases), tuple(found))


def inspect(case: Case) -> Inspection:
    """Open the film and its csv and look at them together."""
    spacing, size, points = case.spacing, None, None
    found: list[Finding] = []
    try:
        radiograph = open_film(case.film, case.spacing)
        spacing, size = radiograph.spacing, (radiograph.width, radiograph.height)
        if radiograph.anterior is Side.RIGHT:
            found.append(Finding(case.name, "the file says that its anterior is on the right; mirror it to face left"))
        if case.posture is not None and radiograph.posture not in (None, case.posture):
            found.append(Finding(case.name, f"the file says that it is a {radiograph.posture} film"))
    except UnreadableFilm as problem:
        found.append(Finding(case.name, str(problem)))
    except (OSError, MemoryError) as problem:
        found.append(Finding(case.name, f"the film cannot be opened: {problem or 'not enough memory'}"))
    if case.table is not None:
        table = str(Path(case.name).with_name(case.table.name))
        try:
            found += [Finding(table, doubt) for doubt in doubts_about_rows(case.table)]
            points = read_landmarks(case.table)
            found += [Finding(table, doubt) for doubt in doubts_about_points(points, size)]
            read_labels(case.table)
        except (ValueError, OSError) as problem:
            found.append(Finding(table, str(problem).removeprefix(f"{case.table.name}: ")))
    if points is not None and spacing is not None:
        found += [Finding(case.name, doubt) for doubt in doubts_about_spacing(points, spacing)]
    return Inspection(case, spacing, tuple(found))


def _doubts_about_motions(folder: Path) -> list[Finding]:
    try:
        StudyFolder.open(folder)
    except (ValueError, OSError) as problem:
        return [Finding(folder.resolve().name, str(problem))]
    return []


def _without_csv(folder: Path, cases: Sequence[Case]) -> list[Finding]:
    alone = [case for case in cases if case.table is None]
    if alone and len(alone) == len(cases):
        return [Finding(folder.resolve().name, f"none of the {len(cases)} films has a csv of the same name beside it")]
    return [Finding(case.name, "no csv of the same name beside it; the film is not used") for case in alone]


def _repeated(cases: Sequence[Case]) -> list[Finding]:
    """The same content under two names, one csv for two films, several films of one patient."""
    by_content: dict[str, Case] = {}
    by_table: dict[Path, Case] = {}
    by_patient: dict[str, Case] = {}
    found = []
    for case in cases:
        try:
            with case.film.open("rb") as file:
                first = by_content.setdefault(hashlib.file_digest(file, "sha256").hexdigest(), case)
        except OSError:
            first = case  # told when it is opened
        if first is not case:
            found.append(Finding(case.name, f"its content is that of {first.name}, byte for byte; remove one"))
        if case.table is not None and (other := by_table.setdefault(case.table, case)) is not case:
            found.append(Finding(case.name, f"its csv is also that of {other.name}; rename one of the films"))
        elif case.posture is None and (other := by_patient.setdefault(case.patient, case)) is not case:
            found.append(
                Finding(case.name, f"patient {case.patient} has another film, {other.name}; keep them in one part")
            )
    return found


def _unknown_spacings(folder: Path, inspections: Sequence[Inspection]) -> list[Finding]:
    unknown = [inspection.case for inspection in inspections if inspection.spacing is None]
    if unknown and len(unknown) == len(inspections):
        every = f"no pixel spacing for any of {len(unknown)} films"
        return [Finding(folder.resolve().name, f"{every}: put their table beside them, or do without mm")]
    return [Finding(case.name, "no pixel spacing") for case in unknown]
