"""Films of spines that never were: the same from the same seed, with a truth that holds."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from lumbar.anatomy import LANDMARK_INDEX, Corner, Posture, Side, Vertebra, rows_of
from lumbar.films import open_film
from lumbar.landmarks.table import read_landmarks
from lumbar.synthesis import simulate_film, simulate_study
from lumbar.synthesis.spine import draw_bend, draw_spine
from lumbar.synthesis.writing import manifest_writer, write_film, write_study


def digest_of(seed: int, index: int) -> str:
    film = simulate_film(seed, index, height=256)
    return f"{film.radiograph.pixels.sum():.4f} {film.landmarks_px.sum():.6f} {film.anterior}"


def test_a_film_is_a_function_of_seed_and_index_in_any_process():
    code = "from tests.test_synthesis import digest_of; print(digest_of(5, 3))"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert other == digest_of(5, 3) != digest_of(5, 4)


@pytest.mark.parametrize("index", range(12))
def test_all_corners_lie_on_the_film_and_in_order(index):
    film = simulate_film(1, index, height=256)
    points = film.landmarks_px
    assert (points > 0).all() and (points < [film.radiograph.width, film.radiograph.height]).all()
    centres = np.array([points[rows_of(v)].mean(axis=0) for v in Vertebra])
    assert (np.diff(centres[:, 1]) > 0).all()  # from L1 down to S1
    towards_anterior = -1 if film.anterior is Side.LEFT else 1
    assert ((points[0::4] - points[1::4])[:, 0] * towards_anterior > 0).all()


def test_films_face_both_ways():
    sides = {simulate_film(2, index, height=128).anterior for index in range(12)}
    assert sides == {Side.LEFT, Side.RIGHT}


def test_the_corners_are_where_the_bone_is():
    """Seen over many films, bodies are brighter than the discs between them: as they are on real films."""
    brighter = 0
    for index in range(30):
        film = simulate_film(3, index, height=384).facing_left()
        points, pixels = film.landmarks_px, film.radiograph.pixels
        l3, l4 = points[rows_of(Vertebra.L3)], points[rows_of(Vertebra.L4)]
        body, disc = l3.mean(axis=0), np.concatenate([l3[2:], l4[:2]]).mean(axis=0)
        near = [pixels[int(p[1]) - 2 : int(p[1]) + 3, int(p[0]) - 2 : int(p[0]) + 3].mean() for p in (body, disc)]
        brighter += near[0] > near[1]
    assert brighter >= 21  # inverted films, gas and markers take the rest


def test_sacral_slope_and_disc_angles_are_those_of_people():
    """Means of 400 spines against the 45 annotated films of BUU-LSPINE: sacral slope 37.5 deg, L5/S1 15.8, L1/L2 5.9."""
    spines = [draw_spine(np.random.default_rng([9, i])) for i in range(400)]
    assert np.mean([s.sacral_slope for s in spines]) == pytest.approx(37.5, abs=2)
    assert np.mean([s.segments[0].disc_angle for s in spines]) == pytest.approx(15.8, abs=1)
    assert np.mean([s.segments[4].disc_angle for s in spines]) == pytest.approx(5.9, abs=1)


def test_bones_keep_their_shape_when_the_patient_bends():
    bends = draw_bend(np.random.default_rng(1), draw_spine(np.random.default_rng(0)))

    def sides(posture):
        corners = bends[posture].landmarks()[rows_of(Vertebra.L3)]
        return [np.linalg.norm(a - b) for a in corners for b in corners]

    np.testing.assert_allclose(sides(Posture.FLEXION), sides(Posture.EXTENSION), rtol=1e-9)


def test_a_study_bends_one_patient():
    films = simulate_study(4, 0, height=256)
    assert list(films) == [Posture.FLEXION, Posture.NEUTRAL, Posture.EXTENSION]
    index = [
        LANDMARK_INDEX[v, c]
        for v in (Vertebra.L1, Vertebra.S1)
        for c in (Corner.SUPERIOR_ANTERIOR, Corner.SUPERIOR_POSTERIOR)
    ]

    def lordosis(film):
        a, b, c, d = film.landmarks_px[index]
        u, v = a - b, c - d
        return abs(np.degrees(np.arctan2(u[0] * v[1] - u[1] * v[0], u @ v)))

    assert lordosis(films[Posture.FLEXION]) < lordosis(films[Posture.EXTENSION])


def test_a_written_film_is_read_back_with_its_corners(tmp_path):
    (row,) = write_film(tmp_path, 7, 2)
    film = simulate_film(7, 2).facing_left()
    np.testing.assert_allclose(open_film(tmp_path / row["film"]).pixels, film.radiograph.pixels, atol=0.02)
    np.testing.assert_allclose(read_landmarks(tmp_path / "film_00002.csv"), film.landmarks_px, atol=0.006)
    assert float(row["row_mm"]) == pytest.approx(film.radiograph.spacing.row_mm) and row["anterior"] == "left"


def test_a_written_study_carries_spacing_posture_and_facing(tmp_path):
    rows = write_study(tmp_path, 7, 0)
    assert len(rows) == 3
    for row in rows:
        film = open_film(tmp_path / row["film"])
        assert film.posture == row["posture"] and film.anterior is Side.LEFT
        assert film.spacing.plane == "patient" and film.spacing.row_mm == pytest.approx(float(row["row_mm"]), rel=1e-5)


def test_the_manifest_holds_the_truth_of_every_measurement(tmp_path):
    with manifest_writer(tmp_path / "manifest.csv") as add:
        add(write_film(tmp_path, 7, 0))
    (row,) = csv.DictReader((tmp_path / "manifest.csv").read_text().splitlines())
    assert abs(float(row["slip L4/L5"])) < 100 and abs(float(row["intervertebral_angle L5/S1"])) < 60
    assert row["sagittal_displacement_wall L5/S1"] == ""


def test_a_manifest_that_was_not_finished_is_not_there(tmp_path):
    with pytest.raises(RuntimeError), manifest_writer(tmp_path / "manifest.csv"):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
