"""Error bars fitted to films of one's own: they become as wide as the errors there, and travel with the weights."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import pytest

from lumbar.anatomy import Side, Vertebra, rows_of
from lumbar.calibration import WITH_CORNERS
from lumbar.evaluation.error_bars import ReadCorners, cross_fitted, fit_error_bars, normalised, within
from lumbar.films import open_film
from lumbar.landmarks import SpineLandmarks
from lumbar.landmarks.consensus import ErrorModel
from lumbar.landmarks.spine import endplate_depth
from lumbar.pipeline import Reader
from lumbar.reading import Reading
from lumbar.runtime import CORNER_ERRORS, FOLDER, errors_json, fitted_errors, sha256_of, weights_in
from lumbar.synthesis import simulate_film
from lumbar.synthesis.writing import Order, write
from tests.command import lumbar

IN_USE = ErrorModel(0.4, 0.006, {Vertebra.S1: 1.2})
TRUE = ErrorModel(1.5, 0.02, IN_USE.wider)
SPREAD = 0.015


film_of_truth = cache(partial(simulate_film, 31, 0))


def film_off_by(model: ErrorModel, index: int) -> ReadCorners:
    """A film whose corners are off as `model` says, with the error bars of the model in use."""
    rng = np.random.default_rng([7, index])
    film = film_of_truth()
    truth, depth = film.landmarks_px, endplate_depth(film.landmarks_px)
    wider = np.ones(22)
    wider[rows_of(Vertebra.S1)] = 1.2
    left_open = np.einsum("nij,nkj->nik", *2 * [rng.normal(0, SPREAD, (22, 2, 2))])
    scale = (wider * depth)[:, None, None] ** 2
    error = [rng.multivariate_normal((0, 0), c) for c in model.covariance(left_open, 1.0) * scale]
    found = SpineLandmarks(truth + error, IN_USE.covariance(left_open, 1.0) * scale, np.ones(22))
    read = ReadCorners.of(found, truth, IN_USE, film.anterior, film.radiograph.spacing, str(index))
    assert isinstance(read, ReadCorners)
    return read


def deviation(model: ErrorModel) -> float:
    """Of a coordinate, in depths, where the looks leave as much open as they do on average."""
    return float(np.sqrt(model.covariance(2 * SPREAD**2 * np.eye(2), 1.0)[0, 0]))


def test_error_bars_that_are_too_narrow_become_as_wide_as_errors_are():
    films = [film_off_by(TRUE, index) for index in range(40)]
    before, after = normalised(films, IN_USE), cross_fitted(films)
    for quantity in ("corners", "slip", "intervertebral_angle"):
        assert within(before[quantity]) < 0.6
        assert 0.85 < within(after[quantity]) < 0.95, quantity
    fitted, factor = fit_error_bars(films)
    assert 0.9 < factor < 1.1  # independent corners: nothing cancels that the likelihood does not know of
    assert deviation(fitted) == pytest.approx(deviation(TRUE), rel=0.1)
    assert fitted.least_deviation == pytest.approx(TRUE.least_deviation, rel=0.1)
    assert fitted.wider == IN_USE.wider


def test_error_bars_never_lose_a_direction():
    """Of a few films whose looks left one direction open, and whose corners are off in no other, the likelihood alone would make a line of them."""
    films = []
    for index in range(6):
        film, rng = film_off_by(IN_USE, index), np.random.default_rng(index)
        open_to = rng.normal(0, SPREAD, (22, 2)) * film.depth
        covariance = IN_USE.spread_share * np.einsum("ni,nj->nij", open_to, open_to)
        covariance += (IN_USE.least_deviation * film.depth) ** 2 * np.eye(2)
        found = SpineLandmarks(film.truth_px + rng.normal(0, 1, (22, 1)) * open_to, covariance, np.ones(22))
        read = ReadCorners.of(found, film.truth_px, replace(IN_USE, wider={}), film.anterior, None, str(index))
        assert isinstance(read, ReadCorners)
        films.append(read)
    fitted, _ = fit_error_bars(films)
    assert 0.0003 < fitted.least_deviation < 0.003


def test_right_error_bars_stay_as_they_are():
    fitted, _ = fit_error_bars([film_off_by(IN_USE, index) for index in range(40)])
    assert deviation(fitted) == pytest.approx(deviation(IN_USE), rel=0.1)


def test_films_without_an_answer_to_the_question_are_left_out():
    film = film_off_by(IN_USE, 0)

    def left_out(points: np.ndarray, truth: np.ndarray, covariance: np.ndarray = film.found.covariance_px) -> str:
        read = ReadCorners.of(SpineLandmarks(points, covariance, np.ones(22)), truth, IN_USE, Side.LEFT, None, "one")
        assert isinstance(read, str)
        return read

    points, truth = film.found.points_px, film.truth_px
    assert left_out(np.where(np.arange(22)[:, None] == 3, np.nan, points), truth) == "not read whole"
    assert left_out(points, truth, np.full((22, 2, 2), np.nan)) == "not read whole"
    assert left_out(points, np.full((22, 2), np.nan)) == "no corner is known"
    assert left_out(points + [0, 0.5 * film.depth], truth) == "names off by a level"


def test_corners_that_nobody_marked_do_not_count():
    film = film_off_by(IN_USE, 0)
    truth = film.truth_px.copy()
    truth[rows_of(Vertebra.S1)] = np.nan
    z = replace(film, truth_px=truth).normalised(IN_USE)
    assert [len(z[quantity]) for quantity in ("corners", "slip", "intervertebral_angle")] == [40, 4, 4]


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    list(write(folder, Order(6, 0, 5003, 512)))
    (folder / "broken.png").write_text("not a film")
    (folder / "broken.csv").write_bytes((folder / "film_00000.csv").read_bytes())
    return folder


@pytest.fixture(scope="module")
def calibrated(films, tmp_path_factory) -> Path:
    """The folder of weights that the command makes."""
    out = tmp_path_factory.mktemp("calibrated") / "weights"
    done = lumbar("calibrate", films, "--out", out, "--threads", 1)
    assert done.returncode == 1 and "broken" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert "6 of 7 films, of 6 patients" in done.stdout and f"give --weights {out}" in done.stdout
    assert "90 % intervals, in use, cover" in done.stdout and "fitted to the other half, cover" in done.stdout
    return out


def test_a_reading_with_these_weights_has_their_error_bars_and_says_so(films, calibrated, tmp_path):
    fitted = fitted_errors(weights_in(calibrated))
    assert fitted is not None and fitted != WITH_CORNERS.errors
    film = films / "film_00000.png"
    done = lumbar("read", film, "--weights", calibrated, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    usual = Reader.shipped(threads=1).read(open_film(film), film.name)
    own = Reading.from_json((tmp_path / "film_00000.reading.json").read_text())
    assert own.landmarks.points_px == pytest.approx(usual.landmarks.points_px, abs=0.01)
    assert set(own.weights) - set(usual.weights) == {CORNER_ERRORS}
    assert {**usual.weights, CORNER_ERRORS: own.weights[CORNER_ERRORS]} == own.weights
    shipped, depth = WITH_CORNERS.errors, endplate_depth(usual.landmarks.points_px)
    left_open = (
        usual.landmarks.covariance_px[0] - (shipped.least_deviation * depth) ** 2 * np.eye(2)
    ) / shipped.spread_share
    assert own.landmarks.covariance_px[0] == pytest.approx(fitted.covariance(left_open, depth), rel=0.02)
    assert sha256_of(weights_in(calibrated, "int8"))[CORNER_ERRORS] == own.weights[CORNER_ERRORS]
    assert fitted_errors(weights_in(calibrated, "int8")) == fitted


def test_error_bars_of_other_weights_are_refused(tmp_path):
    for file in FOLDER.glob("*"):
        if file.suffix in (".json", ".onnx"):
            (tmp_path / file.name).symlink_to(file)
    weights = weights_in(tmp_path)
    assert fitted_errors(weights) is None and CORNER_ERRORS not in sha256_of(weights)
    path = tmp_path / f"{CORNER_ERRORS}.json"
    path.write_text(errors_json(IN_USE, weights, {"films": 9}))
    assert fitted_errors(weights) == IN_USE
    said = json.loads(path.read_text())
    path.write_text(json.dumps({**said, "of_sha256": {**said["of_sha256"], "close-up": "0"}}))
    with pytest.raises(ValueError, match="was fitted to other weights than lie beside it"):
        Reader.of(weights, 1)
    for damaged in ("{", "{}", json.dumps({**said, "errors": {**said["errors"], "spread_share": -1}})):
        path.write_text(damaged)
        with pytest.raises(ValueError, match="holds no error bars"):
            fitted_errors(weights)


def test_too_few_films_are_refused(films, tmp_path):
    few = tmp_path / "few"
    few.mkdir()
    for name in ("film_00000.png", "film_00000.csv"):
        (few / name).write_bytes((films / name).read_bytes())
    done = lumbar("calibrate", few, "--out", tmp_path / "out", "--threads", 1)
    assert done.returncode == 2 and "at least 6 patients" in done.stderr and not list((tmp_path / "out").iterdir())
    (tmp_path / "file").touch()
    done = lumbar("calibrate", few, "--out", tmp_path / "file", "--threads", 1)
    assert done.returncode == 2 and "--out must be a folder" in done.stderr and len(done.stderr.splitlines()) == 1
