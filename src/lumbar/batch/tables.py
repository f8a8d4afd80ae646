"""A shard as Parquet, and all shards as tables: films, measurements, failures."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from lumbar.batch.job import SHARDS, Job
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


@dataclass(frozen=True, slots=True)
class Counts:
    """How many films were read, showed no lumbar spine, or failed."""

    read: int = 0
    no_spine: int = 0
    failed: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(self.read + other.read, self.no_spine + other.no_spine, self.failed + other.failed)

    @property
    def films(self) -> int:
        """All of them."""
        return self.read + self.no_spine + self.failed

    @classmethod
    def of(cls, statuses: Sequence[str]) -> Counts:
        """Of so many rows."""
        return cls(statuses.count(READ), statuses.count(NOTHING_FOUND), statuses.count(FAILED))


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


def shard_file(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """The rows as a Parquet file; the same rows give the same bytes."""
    sink = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(list(rows), SCHEMA), sink, compression="zstd")
    return sink.getvalue()


def write_tables(job: Job) -> Counts:
    """films.csv, failures.csv, and measurements as CSV and Parquet, from all shards, one at a time; how many films are in them.

    Raises ValueError where a shard is missing.
    """
    place, counts = job.settings.place, Counts()
    with ExitStack() as open_files:
        texts = {}
        for name in ("films.csv", "failures.csv", "measurements.csv"):
            path = open_files.enter_context(place.written(name))
            texts[name] = csv.writer(open_files.enter_context(path.open("w", newline="", encoding="utf-8")))
        scalars = [name for name, _ in _FILM if name != "warnings"]
        texts["films.csv"].writerow([*scalars, "warnings"])
        texts["failures.csv"].writerow(["film", "reason"])
        texts["measurements.csv"].writerow(MEASUREMENTS.names)
        path = open_files.enter_context(place.written("measurements.parquet"))
        with parquet.ParquetWriter(path, MEASUREMENTS, compression="zstd") as columns:
            for rows in _shards(job):
                counts += Counts.of([row["status"] for row in rows])
                for row in rows:
                    texts["films.csv"].writerow([*(row[name] for name in scalars), "; ".join(row["warnings"])])
                    if row["status"] == FAILED:
                        texts["failures.csv"].writerow([row["film"], row["reason"]])
                every = [{"film": row["film"], **entry} for row in rows for entry in row["measurements"]]
                texts["measurements.csv"].writerows([entry.values() for entry in every])
                columns.write_table(pa.Table.from_pylist(every, MEASUREMENTS))
    return counts


def _shards(job: Job) -> Iterator[list[dict[str, Any]]]:
    for shard in job.shards():
        data = job.settings.place.read(f"{SHARDS}/{shard.file}")
        if data is None:
            raise ValueError(f"{SHARDS}/{shard.file} is missing: give the same command again")
        yield parquet.read_table(io.BytesIO(data)).to_pylist()
