"""Routes of studies: the worklist, upload, one study, sign-off, export."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, HTTPException, Query, Request, Response, UploadFile
from fastapi import Path as PathParameter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from lumbar.anatomy import Side
from lumbar.assessment import CRITERIA, PAPER
from lumbar.films import of_other_patients, open_film
from lumbar.radiograph import UnreadableFilm
from lumbar.report import NoPdf
from lumbar.serving.annotation import write_annotations
from lumbar.serving.corrections import Version
from lumbar.serving.desk import CriteriaName, Desk, Id, Name, TheDesk
from lumbar.serving.dicom_export import NoDicom
from lumbar.serving.exports import EXPORTS
from lumbar.serving.store import NewFilm, Stale
from lumbar.serving.views import StudyView, Worklist, listed, study_view

router = APIRouter(prefix="/api/studies", tags=["studies"])

EXAMPLE = Path(__file__).parent.parent / "examples" / "study"

Status = Literal["waiting", "failed", "open", "signed", "changed"]
Format = Annotated[str, PathParameter(json_schema_extra={"enum": list(EXPORTS)})]
FilmId = Annotated[str, StringConstraints(pattern="^[0-9a-f]{32}$")]


class SignOff(BaseModel):
    """versions: of every film of the study, as they were seen."""

    model_config = ConfigDict(extra="forbid")
    versions: Annotated[dict[FilmId, Version], Field(min_length=1, max_length=10)]
    author: Name
    comment: Annotated[str, StringConstraints(max_length=2000, pattern=r"^[^\x00]*$", strip_whitespace=True)] = ""


@router.get("")
def worklist(
    desk: TheDesk,
    status: Annotated[list[Status] | None, Query(description="Only these.")] = None,
    name: Annotated[str, Query(max_length=200, description="Only names that contain this.")] = "",
    flagged: Annotated[bool | None, Query(description="Only studies with, or without, a quality flag.")] = None,
    offset: Annotated[int, Query(ge=0, le=1_000_000_000)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> Worklist:
    """Studies, the most doubtful of those that nobody signed first."""
    records = desk.store.studies()
    counts: dict[str, int] = {}
    for record in records:
        counts[record.status] = counts.get(record.status, 0) + 1
    wanted = [
        record
        for record in records
        if (not status or record.status in status)
        and name.lower() in record.study.name.lower()
        and (flagged is None or flagged == bool(record.flags or record.study.problem))
    ]
    return Worklist(len(wanted), counts, [listed(record) for record in wanted[offset : offset + limit]])


@router.post("", status_code=201)
def upload(
    request: Request,
    desk: TheDesk,
    films: Annotated[
        list[UploadFile], File(description="One to three films of one patient: DICOM, PNG, JPEG, TIFF or BMP.")
    ],
    author: Annotated[Name, Form()],
    name: Annotated[Name | None, Form(description="Of the study; else the first film's name.")] = None,
    spacing_mm: Annotated[
        float | None, Form(gt=0, lt=100, description="Pixel spacing at the patient, overriding the files.")
    ] = None,
    anterior: Annotated[Side | None, Form(description="Side of the films that is anterior; else it is found.")] = None,
) -> StudyView:
    """Keep films and have them read. What a file is its content says, not its name."""
    if desk.settings.annotate is not None:
        raise HTTPException(409, "films to annotate come from the folder; put them there and start again")
    if len(films) > desk.settings.limits.films:
        raise HTTPException(422, f"a study has one to {desk.settings.limits.films} films; got {len(films)}")
    author = desk.who(request, author)
    with tempfile.TemporaryDirectory() as folder:
        paths = []
        for i, film in enumerate(films):
            path = Path(folder) / str(i)
            with path.open("wb") as file:
                shutil.copyfileobj(film.file, file)
            paths.append(path)
        names = [plain_name(film.filename or "", i) for i, film in enumerate(films)]
        return _added(desk, paths, names, name or names[0], author, spacing_mm, anterior)


@router.post("/example", status_code=201)
def example(request: Request, desk: TheDesk, author: Annotated[Name, Query()]) -> StudyView:
    """Add the study that comes with the package: a simulated patient in flexion, neutral and extension."""
    if desk.settings.annotate is not None:
        raise HTTPException(409, "films to annotate come from the folder")
    paths = sorted(EXAMPLE.glob("*.dcm"))
    return _added(
        desk, paths, [path.name for path in paths], "Example (simulated)", desk.who(request, author), None, None
    )


@router.get("/{study_id}")
def study(study_id: Id, desk: TheDesk, criteria: CriteriaName = PAPER.name) -> StudyView:
    """One study with the newest version of every reading."""
    return study_view(desk.store, desk.store.study(study_id), CRITERIA[criteria])


@router.post("/{study_id}/sign-offs", status_code=201, responses={409: {"description": "A newer version exists."}})
def sign(study_id: Id, sign_off: SignOff, request: Request, desk: TheDesk) -> StudyView:
    """Stand for the study as it was seen; 409 where a film has a newer version, or is not read yet."""
    author = desk.who(request, sign_off.author)
    if desk.settings.annotate is not None:
        _annotated(desk, desk.settings.annotate, study_id, sign_off, author)
    desk.store.sign(study_id, sign_off.versions, author, sign_off.comment)
    return study_view(desk.store, desk.store.study(study_id))


@router.get("/{study_id}/export/{format}", response_class=Response)
def export(study_id: Id, format: Format, desk: TheDesk, criteria: CriteriaName = PAPER.name) -> Response:
    """The study as a file."""
    if format not in EXPORTS:
        raise HTTPException(404, f"format must be one of {', '.join(EXPORTS)}")
    made = EXPORTS[format]
    record = desk.store.study(study_id)
    try:
        data = made.make(desk.exported(record, criteria))
    except (NoPdf, NoDicom) as problem:
        raise HTTPException(501, str(problem)) from None
    except ValueError as problem:
        raise HTTPException(422, str(problem)) from None
    stem = re.sub(r"[^A-Za-z0-9._-]+", "_", record.study.name).strip("._")[:60] or "study"
    headers = {
        "content-disposition": f'attachment; filename="{stem}{made.suffix}"',
        "content-security-policy": "sandbox",
    }
    return Response(data, media_type=made.media_type, headers=headers)


def plain_name(sent: str, position: int) -> str:
    r"""A film's name for people: the last part of what the client sent, without anything that is not printed.

    >>> plain_name("../../etc/pass\x00wd", 0), plain_name("", 1)
    ('passwd', 'film_2')
    """
    last = re.split(r"[\\/]", sent)[-1]
    return "".join(c for c in last if c.isprintable())[:120].strip() or f"film_{position + 1}"


def _annotated(desk: Desk, folder: Path, study_id: str, sign_off: SignOff, author: str) -> None:
    """Write the files before the sign-off, so that what is signed is written, whenever the server is stopped."""
    films = desk.exported(desk.store.study(study_id)).films
    newest = {film.film.id: film.row.version for film in films}
    if sign_off.versions != newest:
        raise Stale(newest)
    try:
        write_annotations(folder, author, films)
    except ValueError as problem:
        raise HTTPException(422, str(problem)) from None


def _added(
    desk: Desk,
    paths: list[Path],
    names: list[str],
    name: str,
    author: str,
    spacing_mm: float | None,
    anterior: Side | None,
) -> StudyView:
    radiographs = []
    for path, film in zip(paths, names, strict=True):
        try:
            radiographs.append(open_film(path))
        except UnreadableFilm as problem:
            raise HTTPException(422, f"{film}: {problem}") from None
    if others := of_other_patients(paths):
        which = ", ".join(names[paths.index(Path(other))] for other in others)
        raise HTTPException(422, f"the films of a study must be of one patient; {which} say another patient id")
    new = []
    for path, film, radiograph in zip(paths, names, radiographs, strict=True):
        sha256 = desk.blobs.keep(path)
        desk.blobs.keep_pixels(sha256, radiograph)
        new.append(NewFilm(film, sha256, radiograph.width, radiograph.height, spacing_mm, anterior))
    study_id = desk.store.add_study(name, author, new)
    desk.queue.add(study_id)
    return study_view(desk.store, desk.store.study(study_id))
