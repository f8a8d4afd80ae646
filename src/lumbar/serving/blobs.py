"""Films on disk by the SHA-256 of their bytes, and their pixels as PNG for the desk."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from lumbar.radiograph import Radiograph
from lumbar.whole_file import written_aside


class Blobs:
    """A folder that only its owner may enter; files in it are written aside and renamed, and never change."""

    def __init__(self, folder: Path) -> None:
        self._films, self._pixels = folder / "films", folder / "pixels"
        for home in (folder, self._films, self._pixels):
            home.mkdir(mode=0o700, parents=True, exist_ok=True)

    def keep(self, source: Path) -> str:
        """Copy a film in; its SHA-256."""
        with source.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if not (home := self.film(sha256)).is_file():
            with written_aside(home) as aside:
                shutil.copyfile(source, aside)
        return sha256

    def film(self, sha256: str) -> Path:
        """Where the film lies. Raises ValueError for anything but 64 hexadecimal digits: no path is made of what a client says."""
        return self._films / _checked(sha256)

    def pixels(self, sha256: str, open_it: Callable[[], Radiograph]) -> Path:
        """The film's pixels as a grey PNG, made on first asking."""
        home = self._pixels / f"{_checked(sha256)}.png"
        if not home.is_file():
            self.keep_pixels(sha256, open_it())
        return home

    def keep_pixels(self, sha256: str, radiograph: Radiograph) -> None:
        """Write the pixels of a film that is open already."""
        with written_aside(self._pixels / f"{_checked(sha256)}.png") as aside:
            aside.write_bytes(grey_png(radiograph))


def grey_png(radiograph: Radiograph) -> bytes:
    """8 bits where that loses nothing, else 16."""
    grey = radiograph.pixels * np.float32(255)
    eight = np.rint(grey)
    depth = (
        eight.astype(np.uint8)
        if np.abs(grey - eight).max() < 1e-3
        else np.rint(radiograph.pixels * 65535.0).astype(np.uint16)
    )
    done, data = cv2.imencode(".png", depth, [cv2.IMWRITE_PNG_COMPRESSION, 3])
    assert done
    return bytes(data.tobytes())


def _checked(sha256: str) -> str:
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError(f"sha256 must be 64 hexadecimal digits; got {sha256!r}")
    return sha256
