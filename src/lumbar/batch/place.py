"""A folder on a disk or in an object store, and files of either kind at hand as local ones."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from lumbar.whole_file import written_aside


@dataclass(frozen=True, slots=True)
class Place:
    """Where a job's files go: `url` is a path, or what fsspec reads, such as s3://bucket/folder.

    A file is there as a whole or not at all: on a disk it is written aside and renamed, an object store keeps whole objects.
    """

    url: str

    def path(self, name: str) -> str:
        """Of the file `name` in this place."""
        return f"{self.url.rstrip('/')}/{name}"

    def names(self, folder: str) -> set[str]:
        """Of the files in a folder of this place; none where there is no such folder."""
        system, root = _at(self.path(folder))
        system.invalidate_cache(root)
        try:
            return {entry.rsplit("/", 1)[-1] for entry in system.ls(root, detail=False)}
        except FileNotFoundError:
            return set()

    def read(self, name: str) -> bytes | None:
        """The file's content; None where it is not there."""
        system, path = _at(self.path(name))
        try:
            return bytes(system.cat_file(path))
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Write the file, in place of an earlier one."""
        with self.written(name) as aside:
            aside.write_bytes(data)

    @contextmanager
    def written(self, name: str) -> Iterator[Path]:
        """A local path to write to; its file becomes `name` at the end, and is removed where that is not reached."""
        system, path = _at(self.path(name))
        if isinstance(system, LocalFileSystem):
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            with written_aside(Path(path)) as aside:
                yield aside
        else:
            with tempfile.TemporaryDirectory() as folder:
                aside = Path(folder) / "file"
                yield aside
                system.makedirs(path.rsplit("/", 1)[0], exist_ok=True)
                system.put_file(str(aside), path)


@contextmanager
def at_hand(path: str) -> Iterator[Path]:
    """The file at a path or URL as a local file, copied for the time being where it is not one."""
    system, plain = _at(path)
    if isinstance(system, LocalFileSystem):
        yield Path(plain)
        return
    handle, name = tempfile.mkstemp(suffix=Path(plain).suffix)
    os.close(handle)
    try:
        system.get_file(plain, name)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


def _at(path: str) -> tuple[Any, str]:
    return fsspec.core.url_to_fs(path)  # type: ignore[no-any-return]
