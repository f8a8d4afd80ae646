"""Maps -> candidates -> names -> 22 landmarks."""

import numpy as np
import pytest

from lumbar.geometry import Affine2D
from lumbar.landmarks import SpineLandmarks
from lumbar.landmarks.consensus import ErrorModel, agree, named_landmarks
from lumbar.landmarks.decoding import (
    STRIDE,
    Candidates,
    find_candidates,
    find_level_candidates,
    name_by_level,
    name_by_order,
    to_landmarks,
)
from tests.spines_on_crops import a_column


def perfect_maps(points: np.ndarray, channels: int = 6, h: int = 64, w: int = 32) -> tuple[np.ndarray, ...]:
    """What a perfect network would answer for landmarks in input pixels."""
    corners = np.concatenate([points, np.full((2, 2), np.nan)]).reshape(6, 4, 2)
    corners[5, 2:] = corners[5, :2] + [0, 30]
    cells = (corners + 0.5) / STRIDE
    heat, centre, corner = np.zeros((channels, h, w)), np.zeros((2, h, w)), np.zeros((8, h, w))
    y, x = np.mgrid[0:h, 0:w]
    for level, four in enumerate(cells):
        middle = four[:2].mean(axis=0) if level == 5 else four.mean(axis=0)
        cell = np.floor(middle)
        channel = level if channels == 6 else 0
        heat[channel] = np.maximum(heat[channel], np.exp(-((x - cell[0]) ** 2 + (y - cell[1]) ** 2) / 4))
        near = (abs(x - cell[0]) <= 1) & (abs(y - cell[1]) <= 1)
        for axis, grid in enumerate((x, y)):
            centre[axis][near] = middle[axis] - grid[near]
        corner[:, near] = (four - middle).ravel()[:, None]
    return heat, centre, corner


@pytest.mark.parametrize("seed", range(5))
def test_a_perfect_network_gives_the_corners_back_exactly(seed):
    points = a_column(seed)
    found = find_level_candidates(perfect_maps(points))
    spine = to_landmarks(found, name_by_level(found))
    np.testing.assert_allclose(spine.points_px, points, atol=1e-6)
    assert (spine.confidence > 0.99).all()


def test_the_papers_single_heatmap_is_named_by_order():
    points = a_column(1)
    found = find_candidates(*perfect_maps(points, channels=1))
    spine = to_landmarks(found, name_by_order(found))
    np.testing.assert_allclose(spine.points_px, points, atol=1e-6)


def test_the_papers_naming_shifts_when_a_seventh_body_is_stronger_and_ours_does_not():
    points = a_column(2)
    heat, centre, corner = perfect_maps(points)
    one_channel = np.maximum(heat.max(axis=0, keepdims=True) * 0.9, 0)
    one_channel[0, 4, 16] = 1.0  # T12, brighter than all
    by_order = find_candidates(one_channel, centre, corner)
    assert name_by_order(by_order)[0] == 0  # it is taken for L1
    heat[:, 4, 16] = 0.2  # T12 answers a little to every name
    by_level = find_level_candidates((heat, centre, corner))
    assert name_by_level(by_level)[0] == 1


def test_a_doubtful_body_is_named_by_its_neighbours():
    points = a_column(3)
    heat, centre, corner = perfect_maps(points)
    heat[2], heat[1] = heat[2] * 0.3, np.maximum(heat[1], heat[2] * 0.5)  # L3 looks more like an L2
    found = find_level_candidates((heat, centre, corner))
    spine = to_landmarks(found, name_by_level(found))
    np.testing.assert_allclose(spine.points_px, points, atol=1e-6)


def test_an_absent_vertebra_leaves_nan_and_the_others_named():
    points = a_column(4)
    heat, centre, corner = perfect_maps(points)
    heat[0] = 0
    found = find_level_candidates((heat, centre, corner))
    spine = to_landmarks(found, name_by_level(found))
    assert np.isnan(spine.points_px[:4]).all()
    np.testing.assert_allclose(spine.points_px[4:], points[4:], atol=1e-6)


def test_an_empty_heatmap_has_no_candidates_and_no_names():
    found = find_level_candidates((np.zeros((6, 64, 32)), np.zeros((2, 64, 32)), np.zeros((8, 64, 32))))
    assert len(found) == 0 and (name_by_level(found) == -1).all()
    assert not to_landmarks(found, name_by_level(found)).present.any()


def test_windows_that_disagree_on_a_name_are_outvoted():
    points = a_column(5)
    window = (0.0, 0.0, 127.0, 255.0)
    right = find_level_candidates(perfect_maps(points))
    shifted = Candidates(right.centres, right.corners, np.roll(right.scores, -1, axis=1) * 0.8)
    spine = named_landmarks(agree([(right, window), (right, window), (shifted, window)]), ErrorModel(1.0, 0.02))
    np.testing.assert_allclose(spine.points_px, points, atol=1e-6)


def test_corners_are_the_median_of_the_windows_and_their_spread_is_the_covariance():
    points = a_column(6)
    window = (0.0, 0.0, 127.0, 255.0)
    found = find_level_candidates(perfect_maps(points))
    moved = [found.mapped(Affine2D(np.eye(2), np.array([dx, 0.0]), "crop", "crop")) for dx in (-1.0, 0.0, 1.0)]
    spine = named_landmarks(agree([(look, window) for look in moved]), ErrorModel(1.0, 0.0))
    np.testing.assert_allclose(spine.points_px, points, atol=1e-6)
    np.testing.assert_allclose(spine.covariance_px[:, 0, 0], 1.0, atol=1e-6)
    np.testing.assert_allclose(spine.covariance_px[:, 1, 1], 0.0, atol=1e-6)


def test_a_spine_may_be_implausible_but_not_half_a_point():
    points = np.full((22, 2), np.nan)
    assert not SpineLandmarks.exact(points).present.any()
    points[3, 0] = 1.0
    with pytest.raises(ValueError, match="NaN"):
        SpineLandmarks.exact(points)
    with pytest.raises(ValueError, match="confidence"):
        SpineLandmarks(np.zeros((22, 2)), np.zeros((22, 2, 2)), np.full(22, 2.0))
