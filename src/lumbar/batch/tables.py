"""A shard as Parquet, and all shards as tables: films, measurements, failures; studies and motions."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from lumbar.batch import studies
from lumbar.batch.job import SHARDS, Job
from lumbar.batch.place import Place
from lumbar.reading import NO_SPINE, Reading

READ, NOTHING_FOUND, FAILED = "read", "no spine", "failed"

_MEASUREMENT = [
    ("quantity", pa.string()), ("site", pa.string()), ("value", pa.float64()), ("unit", pa.string()),
    ("standard_error", pa.float64()), ("method", pa.string()), ("reason", pa.string()),
]  # fmt: skip
_FILM = [
    ("film", pa.string()), ("status", pa.string()), ("reason", pa.string()), ("confidence", pa.float64()),
    ("anterior", pa.string()), ("facing_source", pa.string()), ("posture", pa.string()), ("width", pa.int32()),
    ("height", pa.int32()), ("row_mm", pa.float64()), ("column_mm", pa.float64()), ("spacing_source", pa.string()),
    ("spacing_plane", pa.string()), ("warnings", pa.list_(pa.string())),
]  # fmt: skip
SCHEMA = pa.schema([*_FILM, ("measurements", pa.list_(pa.struct(_MEASUREMENT))), ("reading", pa.string())])
"""Of a shard: a row a film, with every measurement, and its whole reading as `lumbar read` writes it, in JSON."""

MEASUREMENTS = pa.schema([("film", pa.string()), *_MEASUREMENT])
_FILMS = pa.schema(_FILM)
_FAILURES = pa.schema([("film", pa.string()), ("reason", pa.string())])


@dataclass(frozen=True, slots=True)
class Counts:
    """How many films were read, showed no lumbar spine, or failed; how many studies were compared, or were not."""

    read: int = 0
    no_spine: int = 0
    failed: int = 0
    compared: int = 0
    not_compared: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    @property
    def films(self) -> int:
        """All films."""
        return self.read + self.no_spine + self.failed

    @property
    def studies(self) -> int:
        """All studies."""
        return self.compared + self.not_compared

    @classmethod
    def of(cls, films: Sequence[str], of_studies: Sequence[str] = ()) -> Counts:
        """Of rows with these statuses."""
        return cls(
            *(films.count(status) for status in (READ, NOTHING_FOUND, FAILED)),
            *(of_studies.count(status) for status in (studies.COMPARED, studies.NOT_COMPARED)),
        )


def row_of(name: str, reading: Reading) -> dict[str, Any]:
    """A film that was read."""
    spacing = reading.spacing
    found = NO_SPINE not in reading.warnings
    return {
        "film": name,
        "status": READ if found else NOTHING_FOUND,
        "reason": None if found else NO_SPINE,
        "confidence": reading.confidence,
        "anterior": str(reading.anterior),
        "facing_source": reading.facing_source,
        "posture": None if reading.posture is None else str(reading.posture),
        "width": reading.width,
        "height": reading.height,
        "row_mm": None if spacing is None else spacing.row_mm,
        "column_mm": None if spacing is None else spacing.column_mm,
        "spacing_source": None if spacing is None else spacing.source,
        "spacing_plane": None if spacing is None else spacing.plane,
        "warnings": list(reading.warnings),
        "measurements": [_measurement(entry.to_json()) for entry in reading.measurements],
        "reading": reading.to_json(),
    }


def _measurement(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: entry.get(name) for name, _ in _MEASUREMENT}


def row_of_failure(name: str, reason: str) -> dict[str, Any]:
    """A film that could not be read."""
    return {"film": name, "status": FAILED, "reason": reason, "warnings": [], "measurements": []}


def shard_file(films: Sequence[Mapping[str, Any]]) -> bytes:
    """The films' rows as a Parquet file; the same rows give the same bytes."""
    return _parquet(films, SCHEMA)


def studies_file(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The same of the studies' rows."""
    return _parquet(rows, studies.SCHEMA)


def _parquet(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> bytes:
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(list(rows), schema), sink, compression="zstd")
    return sink.getvalue()


def write_tables(job: Job) -> Counts:
    """films.csv, failures.csv, and measurements as CSV and Parquet, from all shards, one at a time; how many films are in them.

    Of a job by study studies.csv, and motions as CSV and Parquet, too. Raises ValueError where a shard is missing.
    """
    place, counts = job.settings.place, Counts()
    by_study = job.settings.criteria is not None
    with ExitStack() as open_files:
        films = _Table.begun(place, "films", _FILMS, open_files)
        failures = _Table.begun(place, "failures", _FAILURES, open_files)
        measurements = _Table.begun(place, "measurements", MEASUREMENTS, open_files, columns=True)
        if by_study:
            compared = _Table.begun(place, "studies", pa.schema(studies.STUDY), open_files)
            motions = _Table.begun(place, "motions", studies.MOTIONS, open_files, columns=True)
        for shard in job.shards():
            rows, of_studies = _rows(place, shard.file), _rows(place, shard.studies_file) if by_study else []
            counts += Counts.of([row["status"] for row in rows], [row["status"] for row in of_studies])
            films.add(rows)
            failures.add([row for row in rows if row["status"] == FAILED])
            measurements.add([{"film": row["film"], **entry} for row in rows for entry in row["measurements"]])
            if by_study:
                compared.add(of_studies)
                motions.add(studies.rows_of_motions(of_studies))
    return counts


@dataclass(frozen=True, slots=True)
class _Table:
    """A table that grows: a CSV, and Parquet beside it where `columns` is there."""

    schema: pa.Schema
    lines: Any
    columns: parquet.ParquetWriter | None

    @classmethod
    def begun(cls, place: Place, name: str, schema: pa.Schema, open_files: ExitStack, columns: bool = False) -> _Table:
        """An empty one, whose files are there once `open_files` is closed."""
        text = open_files.enter_context(place.written(f"{name}.csv"))
        lines = csv.writer(open_files.enter_context(text.open("w", newline="", encoding="utf-8")))
        lines.writerow(schema.names)
        if not columns:
            return cls(schema, lines, None)
        path = open_files.enter_context(place.written(f"{name}.parquet"))
        writer = parquet.ParquetWriter(path, schema, compression="zstd")
        return cls(schema, lines, open_files.enter_context(writer))

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add rows, of which only what the schema names is written; what a list holds is one text in the CSV."""
        for row in rows:
            cells = (row[name] for name in self.schema.names)
            self.lines.writerow(["; ".join(cell) if isinstance(cell, list) else cell for cell in cells])
        if self.columns is not None:
            self.columns.write_table(pa.Table.from_pylist(list(rows), self.schema))


def _rows(place: Place, file: str) -> list[dict[str, Any]]:
    data = place.read(f"{SHARDS}/{file}")
    if data is None:
        raise ValueError(f"{SHARDS}/{file} is missing: give the same command again")
    return parquet.read_table(io.BytesIO(data)).to_pylist()  # type: ignore[no-any-return]
