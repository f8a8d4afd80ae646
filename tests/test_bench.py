"""lumbar-bench-1: fixed sets, told apart from anything else by their fingerprints."""

from dataclasses import replace

import numpy as np
import pytest

from lumbar.synthesis import benchmark
from lumbar.synthesis.benchmark import PARTS, Fingerprint, compared, published
from lumbar.synthesis.writing import Order, write

TINY = {"test": Order(2, 0, 1_003, 128), "studies": Order(0, 1, 1_004, 128)}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    home = tmp_path_factory.mktemp("bench")
    for name, order in TINY.items():
        list(write(home / name, order))
    return home


def test_the_benchmark_has_the_films_that_its_card_names():
    counts = {name: (order.films, order.studies) for name, order in PARTS.items()}
    assert counts == {"training": (1000, 0), "validation": (100, 0), "test": (200, 0), "studies": (0, 87)}
    assert len({order.seed for order in PARTS.values()}) == 4  # no film stands in two parts


def test_every_part_is_published():
    known = published()
    assert {name: known[name].films for name in PARTS} == {
        "training": 1000,
        "validation": 100,
        "test": 200,
        "studies": 261,
    }


def test_the_same_films_have_the_same_fingerprint_and_others_have_not(written, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "PARTS", TINY)
    prints = {name: Fingerprint.of(written / name) for name in TINY}
    assert [prints[name].films for name in TINY] == [2, 3]
    monkeypatch.setattr(benchmark, "published", lambda: prints)
    assert all("truth and pixels are those of lumbar-bench-1" in line for line in compared(written))
    rounded = replace(prints["test"], pixels_sha256="0" * 64)
    monkeypatch.setattr(benchmark, "published", lambda: {**prints, "test": rounded})
    assert "the truth is that of lumbar-bench-1; some pixels are rounded differently" in next(compared(written))
    other = replace(prints["test"], truth_sha256="0" * 64)
    monkeypatch.setattr(benchmark, "published", lambda: {**prints, "test": other})
    assert "NOT lumbar-bench-1" in next(compared(written))


def test_the_truth_does_not_hang_on_the_height_of_the_films(tmp_path):
    """Corners, in mm about S1, are the same at another resolution."""
    from lumbar.synthesis.film import simulate

    def in_mm(height: int) -> np.ndarray:
        film = simulate(1_003, 3, height, photographs=0.0)
        points = film.annotated.landmarks_px * film.beam.pixel_mm
        return points - points[-1]

    np.testing.assert_allclose(in_mm(128), in_mm(256), atol=0.8)
