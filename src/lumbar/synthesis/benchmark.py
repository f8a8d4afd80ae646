"""lumbar-bench-1: a benchmark for who has no patients' films. Fixed sets of simulated films, made anew on any machine.

1,000 films to train on, 100 to choose by, 200 to test on, and 87 studies of flexion, neutral and extension.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from lumbar.synthesis.writing import MANIFEST, MOTIONS, Order

PARTS = {
    "training": Order(1000, 0, 1_001),
    "validation": Order(100, 0, 1_002),
    "test": Order(200, 0, 1_003),
    "studies": Order(0, 87, 1_004),
}
_PUBLISHED = "lumbar-bench-1.json"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Of one part: SHA-256 of the truth (tables and corners) and of all pixels, and the pixels' mean and deviation.

    Pixels come from floating-point arithmetic: another processor or another version of a library may round some differently
    and so change their digest, but not their mean.
    """

    films: int
    truth_sha256: str
    pixels_sha256: str
    mean: float
    deviation: float

    @classmethod
    def of(cls, folder: Path) -> Fingerprint:
        """Of a written part."""
        truth, pixels = hashlib.sha256(), hashlib.sha256()
        for table in (MANIFEST, MOTIONS):
            if (folder / table).exists():
                truth.update((folder / table).read_bytes())
        paths = sorted((*folder.glob("film_*.png"), *folder.glob("study_*/*.dcm")))
        means, squares = [], []
        for path in paths:
            truth.update(path.with_suffix(".csv").read_bytes())
            film = _stored(path)
            pixels.update(film.astype("<u2").tobytes())
            means.append(float(film.mean()))
            squares.append(float((film.astype(np.float64) ** 2).mean()))
        mean = float(np.mean(means))
        deviation = float(np.sqrt(np.mean(squares) - mean**2))
        return cls(len(paths), truth.hexdigest(), pixels.hexdigest(), round(mean, 2), round(deviation, 2))


def _stored(path: Path) -> NDArray[np.uint16]:
    """The pixels as they are stored (H, W), whatever a viewer makes of them."""
    stored = dcmread(path).pixel_array if path.suffix == ".dcm" else cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    return np.asarray(stored, np.uint16)


def published() -> dict[str, Fingerprint]:
    """The fingerprints of lumbar-bench-1, by part."""
    text = (files("lumbar.synthesis") / _PUBLISHED).read_text()
    return {name: Fingerprint(**entry) for name, entry in json.loads(text).items()}


def compared(folder: Path) -> Iterator[str]:
    """One line a part: whether what was written in `folder` is the published benchmark."""
    known = published()
    for name in PARTS:
        found, wanted = Fingerprint.of(folder / name), known.get(name)
        if wanted is None:
            yield f"{name}: not published; it is {json.dumps(asdict(found))}"
        elif found == wanted:
            yield f"{name}: {found.films} films, truth and pixels are those of lumbar-bench-1"
        elif found.truth_sha256 == wanted.truth_sha256 and abs(found.mean / wanted.mean - 1) < 1e-3:
            yield (
                f"{name}: {found.films} films, the truth is that of lumbar-bench-1; some pixels are rounded differently "
                f"(mean {found.mean} against {wanted.mean})"
            )
        else:
            yield f"{name}: NOT lumbar-bench-1: {json.dumps(asdict(found))} against {json.dumps(asdict(wanted))}"
