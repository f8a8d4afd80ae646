"""The words and the frames that everything else stands on."""

import numpy as np
import pytest

from lumbar.anatomy import LANDMARK_INDEX, LANDMARKS, LEVELS, Corner, Level, Side, Vertebra, corners_of, rows_of
from lumbar.crop import cut, standardised
from lumbar.geometry import Affine2D, letterbox, signed_angle_deg
from lumbar.radiograph import PixelSpacing, Radiograph, film_to_anatomical


def test_there_are_22_landmarks_four_a_vertebra_and_two_on_s1():
    assert len(LANDMARKS) == 22
    assert [len(corners_of(v)) for v in Vertebra] == [4, 4, 4, 4, 4, 2]
    assert LANDMARKS[0] == (Vertebra.L1, Corner.SUPERIOR_ANTERIOR)
    assert LANDMARKS[21] == (Vertebra.S1, Corner.SUPERIOR_POSTERIOR)
    for vertebra in Vertebra:
        rows = range(22)[rows_of(vertebra)]
        assert [LANDMARKS[i] for i in rows] == [(vertebra, c) for c in corners_of(vertebra)]
        assert all(LANDMARK_INDEX[LANDMARKS[i]] == i for i in rows)


def test_levels_join_neighbours_only():
    assert [str(level) for level in LEVELS] == ["L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"]
    with pytest.raises(ValueError, match="next one below"):
        Level(Vertebra.L3, Vertebra.L5)


def test_maps_of_frames_that_do_not_meet_cannot_be_composed():
    film_to_crop = Affine2D.scaling(2, 2, "film", "crop")
    with pytest.raises(ValueError, match="must start in 'crop'"):
        film_to_crop.then(Affine2D.identity("film", "anatomical"))


def test_an_affine_map_and_its_inverse_cancel():
    turned = Affine2D(np.array([[0.3, -1.2], [0.7, 0.4]]), np.array([5.0, -2.0]), "film", "crop")
    points = np.array([[1.0, 2.0], [-3.0, 9.5]])
    np.testing.assert_allclose(turned.inverse.apply(turned.apply(points)), points, atol=1e-12)
    both = turned.then(turned.inverse)
    assert (both.source, both.target) == ("film", "film")
    np.testing.assert_allclose(both.linear, np.eye(2), atol=1e-12)


def test_mirroring_exchanges_the_first_and_the_last_column():
    flip = Affine2D.mirror(100, "film", "film")
    assert flip.apply([[0, 7], [99, 7]]).tolist() == [[99, 7], [0, 7]]


def test_covariance_turns_with_its_points():
    rng = np.random.default_rng(0)
    to = Affine2D(np.array([[2.0, 0.5], [-1.0, 1.5]]), np.array([3.0, 4.0]), "film", "crop")
    cloud = rng.multivariate_normal([1, 2], [[2.0, 0.6], [0.6, 1.0]], 200_000)
    np.testing.assert_allclose(
        to.apply_covariance([[2.0, 0.6], [0.6, 1.0]]), np.cov(to.apply(cloud).T), rtol=0.02, atol=0.05
    )


@pytest.mark.parametrize("window", [(-0.5, -0.5, 299.5, 99.5), (10.0, 20.0, 60.0, 220.0)])
def test_letterboxing_never_changes_an_angle_and_keeps_the_window_inside(window):
    fit = letterbox(window, 256, 128, "film", "crop")
    assert fit.linear[0, 0] == fit.linear[1, 1] and fit.linear[0, 1] == fit.linear[1, 0] == 0
    low, high = fit.apply([window[:2], window[2:]])
    assert (low >= -0.5 - 1e-9).all() and (high <= np.array([127.5, 255.5]) + 1e-9).all()
    size = high - low
    assert np.isclose(size[0], 128) or np.isclose(size[1], 256)


def test_a_crop_shows_a_bright_spot_where_the_map_says():
    film = np.zeros((600, 400), np.float32)
    film[284:324, 184:224] = 1.0  # centred on (203.5, 303.5)
    view = letterbox((100.0, 100.0, 350.0, 600.0), 128, 64, "film", "crop")
    crop, inside = cut(film, view, 128, 64)
    y, x = np.mgrid[0:128, 0:64]
    centre = np.array([(crop * x).sum(), (crop * y).sum()]) / crop.sum()
    np.testing.assert_allclose(centre, view.apply([203.5, 303.5]), atol=0.1)
    assert inside.mean() > 0.9


def test_a_coarse_crop_averages_and_does_not_alias():
    stripes = np.tile(np.array([0.0, 1.0], np.float32), (800, 400))
    crop, inside = cut(stripes, letterbox((-0.5, -0.5, 799.5, 799.5), 100, 100, "film", "crop"), 100, 100)
    assert np.abs(crop[inside] - 0.5).max() < 0.05


def test_what_lies_outside_the_film_is_zero_to_the_network():
    film = np.random.default_rng(0).random((50, 50)).astype(np.float32)
    crop, inside = cut(film, letterbox((-50.0, -50.0, 100.0, 100.0), 96, 96, "film", "crop"), 96, 96)
    seen = standardised(crop, inside)
    assert not seen[~inside].any()
    assert abs(seen[inside].mean()) < 1e-5 and abs(seen[inside].std() - 1) < 0.02


def test_anterior_is_plus_x_whichever_way_the_patient_faces():
    left = film_to_anatomical(Side.LEFT, 0.5, 0.5).apply([[0, 0], [10, 0]])
    right = film_to_anatomical(Side.RIGHT, 0.5, 0.5).apply([[0, 0], [10, 0]])
    assert left[0, 0] > left[1, 0] and right[1, 0] > right[0, 0]
    assert signed_angle_deg([1, 0], [0, 1]) == 90


def test_a_film_must_be_grey_in_zero_to_one_and_cannot_be_written_to():
    with pytest.raises(ValueError, match="float32"):
        Radiograph(np.zeros((4, 4)))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        Radiograph(np.full((4, 4), np.nan, np.float32))
    film = Radiograph(np.zeros((4, 6), np.float32))
    with pytest.raises(ValueError):
        film.pixels[0, 0] = 1
    assert (film.height, film.width, film.aspect) == (4, 6, 1.0)


@pytest.mark.parametrize("bad", [0.0, -0.1, float("nan"), 1e9])
def test_an_impossible_pixel_spacing_is_refused_by_name(bad):
    with pytest.raises(ValueError, match="row_mm"):
        PixelSpacing(bad, 0.2, "--spacing", "patient")


def test_a_mapped_covariance_is_symmetric_to_the_last_bit():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(200, 2, 2))
    mapped = Affine2D(rng.normal(size=(2, 2)), np.zeros(2), "a", "b").apply_covariance(roots @ roots.swapaxes(1, 2))
    assert np.array_equal(mapped, mapped.swapaxes(1, 2))
