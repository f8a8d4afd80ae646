"""What training does to a film: drawn once, applied to pixels and points alike."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumbar.anatomy import Side
from lumbar.crop import cut, standardised
from lumbar.geometry import letterbox
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.radiograph import Radiograph
from lumbar.training.augmentation import Appearance, Contrast, crop_window
from lumbar.training.stream import visible_only
from tests.spines import a_spine, on_film


def a_dotted_film(points: np.ndarray, height: int = 1500, width: int = 1200) -> np.ndarray:
    """Black, with a bright disc of 9 pixels at each point."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    film = np.zeros((height, width), np.float32)
    for px, py in points:
        film[(x - px) ** 2 + (y - py) ** 2 < 20] = 1
    return film


def centroid_near(image: np.ndarray, at: np.ndarray, reach: int = 3) -> np.ndarray:
    x, y = np.round(at).astype(int)
    rows, columns = np.mgrid[y - reach : y + reach + 1, x - reach : x + reach + 1]
    weight = image[rows, columns]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


POINTS = on_film(a_spine(angle_deg={"L4/L5": 10, "L5/S1": 15}, sacral_slope_deg=35)).points_px


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), fill=st.floats(0.4, 0.95))
def test_points_move_with_the_pixels(seed, fill):
    window = crop_window(POINTS, 512, 256, fill, np.random.default_rng(seed))
    crop, _ = cut(a_dotted_film(POINTS), window, 512, 256)
    for at in window.apply(POINTS):
        if (at > 8).all() and (at < [248, 504]).all():
            np.testing.assert_allclose(centroid_near(crop, at), at, atol=0.6)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), fill=st.floats(0.4, 0.95))
def test_a_crop_is_never_squashed(seed, fill):
    linear = crop_window(POINTS, 512, 256, fill, np.random.default_rng(seed)).linear
    np.testing.assert_allclose(linear @ linear.T, np.eye(2) * abs(np.linalg.det(linear)), atol=1e-9)


def test_the_spine_takes_the_share_that_was_asked_for():
    inside = crop_window(POINTS, 512, 256, 0.6, np.random.default_rng(0), roll_deg=0).apply(POINTS)
    assert np.ptp(inside[:, 1]) == pytest.approx(0.6 * 512, rel=1e-6)


def test_a_mirrored_film_keeps_the_names_of_its_corners():
    film = AnnotatedFilm(Radiograph(a_dotted_film(POINTS), anterior=Side.LEFT), POINTS)
    turned = film.mirrored()
    assert turned.anterior is Side.RIGHT
    np.testing.assert_allclose(
        centroid_near(turned.radiograph.pixels, turned.landmarks_px[0]), turned.landmarks_px[0], atol=0.5
    )
    np.testing.assert_allclose(turned.facing_left().landmarks_px, POINTS)
    np.testing.assert_array_equal(turned.facing_left().radiograph.pixels, film.radiograph.pixels)


def test_what_lies_outside_the_film_is_the_mean_of_what_lies_inside():
    pixels = np.random.default_rng(0).random((100, 50), dtype=np.float32)
    view = letterbox((-0.5, -0.5, 49.5, 99.5), 64, 64, "film", "crop")
    crop = standardised(*cut(pixels, view, 64, 64))
    assert (
        (crop[:, :15] == 0).all()
        and abs(crop[:, 17:47].mean()) < 0.02
        and crop[:, 17:47].std() == pytest.approx(1, abs=0.1)
    )


def test_the_same_contrast_gives_the_same_picture():
    crop = np.random.default_rng(0).random((8, 8), dtype=np.float32)
    contrast = Contrast.draw(np.random.default_rng(1))
    one, two = (contrast.apply(crop, np.random.default_rng(2)) for _ in range(2))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("seed", range(12))
def test_another_appearance_is_another_picture_with_the_edges_where_they_were(seed):
    """Drawn once it is the same again; a bright square on grey still stands out along its edge, if nothing is in the way."""
    crop = np.full((96, 48), 0.3, np.float32)
    crop[30:60, 12:36] = 0.8
    seen = replace(Appearance.draw(np.random.default_rng(seed)), patches=np.zeros((0, 6)))
    one, two = (seen.apply(crop, np.random.default_rng(2)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == crop.shape and one.dtype == np.float32 and np.isfinite(one).all()
    assert np.abs(one - crop).mean() > 0.02
    steps = np.abs(np.diff(one[36:54].mean(axis=0)))
    assert max(steps[8:15].max(), steps[32:39].max()) > 2 * np.median(steps[17:30])


def test_things_in_the_way_hide_what_is_behind_them_and_nothing_else():
    crop = np.tile(np.linspace(0, 1, 48, dtype=np.float32), (96, 1))
    free = replace(
        Appearance.draw(np.random.default_rng(1)), contrast=Contrast(1.0, 0.0, 0.0, False), patches=np.zeros((0, 6))
    )
    hidden = replace(free, patches=np.array([[0.25, 0.25, 1.0, 1.0, 0.5, 0.0]]))
    one, other = (seen.apply(crop, np.random.default_rng(2)) for seen in (free, hidden))
    behind = np.zeros(crop.shape, bool)
    behind[24:46, 12:28] = True
    assert (other[behind] == np.float32(0.5)).all()
    np.testing.assert_array_equal(one[~behind], other[~behind])


def test_a_ghost_is_fainter_than_what_is_there_and_lies_where_it_is_moved():
    crop = np.full((96, 48), 0.1, np.float32)
    crop[20:30, 10:20] = 0.9
    moved = np.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.25]])  # half a crop to the right, a quarter down
    plain = replace(
        Appearance.draw(np.random.default_rng(1)), contrast=Contrast(1.0, 0.0, 0.0, False), patches=np.zeros((0, 6)),
        kernel=None, shade=np.zeros((2, 2)), tone=np.linspace(0, 1, 6), sharpened=0.0, equalised=0.0, coarse=1.0,
    )  # fmt: skip
    seen = replace(plain, ghost=moved, ghost_share=0.3).apply(crop, np.random.default_rng(2))
    bone, ghost, rest = seen[22:28, 12:18].mean(), seen[46:52, 36:42].mean(), seen[70:90, 2:10].mean()
    assert bone == pytest.approx(1, abs=0.01) and ghost == pytest.approx(3 / 7, abs=0.01)
    assert rest == pytest.approx(0, abs=0.01)


def test_corners_far_outside_the_crop_are_not_asked_for():
    points = np.full((22, 2), 50.0)
    points[0] = [-40, 50]
    points[1] = [-10, 50]
    seen = visible_only(points, 100, 100)
    assert np.isnan(seen[0]).all() and not np.isnan(seen[1:]).any()
