"""Views of corners: the window, what is learnt from it, and a spine whose corners are looked at once more."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumbar.anatomy import LANDMARKS, Corner, Vertebra, rows_of
from lumbar.geometry import Affine2D
from lumbar.landmarks import third_look
from lumbar.landmarks.close_up import STRIDE, TARGET_SD
from lumbar.landmarks.consensus import Consensus, ErrorModel, named_landmarks
from lumbar.landmarks.corner_view import DEPTH, SIZE, corner_view, cut_corners
from lumbar.landmarks.decoding import Candidates
from lumbar.landmarks.third_look import SHARE, look_at_corners
from lumbar.networks.close_up_net import CloseUpNet
from lumbar.networks.corner_net import CornerNet
from lumbar.pipeline import Reader
from lumbar.runtime import CLOSE_UP, CORNER, FOLDER, weights_in
from lumbar.synthesis import simulate_film
from lumbar.training import Recipe
from lumbar.training.corner_task import corner_task, sample
from lumbar.training.exported import load_exported
from lumbar.training.seen import SeenByCloseUps
from lumbar.training.stream import Films
from tests.spines import a_spine, on_film

MIDDLE = (SIZE - 1) / 2
TRUTH = on_film(a_spine({"L4/L5": 15}, {"L3/L4": 8, "L5/S1": 12}, sacral_slope_deg=35)).points_px
ALL = np.arange(6)


@given(st.floats(-400, 400), st.floats(-400, 400), st.floats(-1.2, 1.2), st.floats(5, 300))
def test_every_corner_is_seen_as_a_superior_anterior_one(x, y, angle, length):
    """In the middle of its view, the rest of the body below and to the right of it, and its endplate of the same length."""
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * length
    body = np.array([[0.0, 0.0], [1.0, 0.0], [0.02, 0.8], [1.02, 0.8]]) @ turn.T + [x, y]
    for row in range(4):
        seen = corner_view(body[row], body[:2], row, "film").apply(body)
        assert seen[row] == pytest.approx([MIDDLE, MIDDLE])
        assert (seen[3 - row] - seen[row] > [0.9 * DEPTH, 0.7 * DEPTH]).all()
        assert np.linalg.norm(seen[0] - seen[1]) == pytest.approx(DEPTH)


def test_an_endplate_of_no_length_is_refused():
    with pytest.raises(ValueError, match="must be two points"):
        corner_view(np.ones(2), np.ones((2, 2)), 0, "film")


@pytest.mark.parametrize(("row", "posterior", "inferior"), [(0, -1, -1), (1, 1, -1), (2, -1, 1), (3, 1, 1)])
def test_the_view_shows_the_film_twice_and_tells_which_corner_it_is(row, posterior, inferior):
    film = np.zeros((300, 300), np.float32)
    film[:, 150:] = 1.0
    view = Affine2D(np.eye(2), MIDDLE - np.array([150.0, 150.0]), "film", "corner")
    landmark = 8 + row  # of L3
    near, around, which, other = (seen := cut_corners(film, {landmark: view}))[landmark]
    assert not np.delete(seen, landmark, axis=0).any()
    assert near[:, :31].max() < near[:, 33:].min() and around[:, :31].max() < around[:, 33:].min()
    assert (which == posterior).all() and (other == inferior).all()


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_sample_shows_the_corners_whose_places_it_gives(mirrored):
    """Whichever way the film faces: each in its view, off by what was drawn; now and then upper or lower bodies are missing, and single corners."""
    film, rng = simulate_film(77, 0), np.random.default_rng(5)
    film = film.mirrored() if mirrored else film
    off, whole = [], 0
    for _ in range(40):
        images, places = sample(film, rng)
        assert images.shape == (22, 4, SIZE, SIZE) and images.dtype == places.dtype == np.float32
        seen = np.isfinite(places[:, 0])
        assert (seen == images.any(axis=(1, 2, 3))).all()
        assert np.abs(images[seen, 0].mean(axis=(1, 2))).max() < 0.2
        for image, (_, corner) in zip(images[seen], [LANDMARKS[i] for i in np.nonzero(seen)[0]], strict=True):
            row = list(Corner).index(corner)
            assert (image[2] == (1 if row % 2 else -1)).all() and (image[3] == (1 if row >= 2 else -1)).all()
        bodies = {LANDMARKS[i][0] for i in np.nonzero(seen)[0]}
        whole += len(bodies) == 6
        assert len(bodies) >= 3 and (Vertebra.L1 in bodies or Vertebra.S1 in bodies)
        off += (np.abs(places[seen] - MIDDLE).max(axis=1) / DEPTH).tolist()
    assert 24 <= whole <= 38
    assert 0.005 < np.median(off) < 0.06 and max(off) < 0.3


def test_a_film_with_few_marks_is_trained_on_whatever_is_left_out():
    """One body, of which samples leave out upper or lower bodies and single corners, is never all left out; none is refused."""
    film, rng = simulate_film(77, 0), np.random.default_rng(5)
    few = np.full((22, 2), np.nan)
    few[20:] = film.landmarks_px[20:]
    assert all(np.isfinite(sample(replace(film, landmarks_px=few), rng)[1]).any() for _ in range(60))
    with pytest.raises(ValueError, match="must have a vertebra whose superior endplate is marked"):
        sample(replace(film, landmarks_px=np.full((22, 2), np.nan)), rng)


def test_where_close_ups_have_looked_most_samples_show_corners_where_they_see_them():
    """Off in their views as far as those are off, the view's middle being there; a body they do not see is not shown."""
    film, rng = simulate_film(77, 0).facing_left(), np.random.default_rng(5)
    depth = np.linalg.norm(film.landmarks_px[0] - film.landmarks_px[1])
    away = film.landmarks_px + 0.1 * depth * np.array([1.0, 0.0])
    away[rows_of(Vertebra.L3)] = np.nan
    seen = replace(film, seen_px=away)
    shown = [sample(seen, rng)[1] for _ in range(60)]
    off = np.array([np.nanmedian(np.linalg.norm(places - MIDDLE, axis=1)) / DEPTH for places in shown])
    as_seen = off > 0.07
    assert 27 <= as_seen.sum() <= 51  # two of three
    assert 0.095 < np.median(off[as_seen]) < 0.115 and np.ptp(off[as_seen]) > 0.03
    assert not any(np.isfinite(places[rows_of(Vertebra.L3)]).any() for places in np.array(shown)[as_seen])
    assert any(np.isfinite(places[rows_of(Vertebra.L3)]).any() for places in np.array(shown)[~as_seen])
    nothing = replace(film, seen_px=np.full((22, 2), np.nan))
    assert all(np.isfinite(sample(nothing, rng)[1]).any() for _ in range(20))


def test_films_that_close_ups_place_badly_are_shown_more_often():
    film = simulate_film(77, 0)
    depth = np.linalg.norm(film.landmarks_px[0] - film.landmarks_px[1])

    def shown(off: float) -> int:
        """How many films are opened for ninety samples."""
        placed = replace(film, seen_px=film.landmarks_px + off * depth * np.array([0.0, 1.0]))
        opened = []
        films = Films(lambda index: opened.append(index) or placed, lambda index: placed, 1)
        task = corner_task(Recipe(batch_size=1, workers=0), films)
        batches = task.batches(0)
        for _ in range(90):
            next(batches)
        return len(opened)

    often, sometimes, seldom = (shown(off) for off in (0.005, 0.027, 0.06))
    assert often > sometimes > seldom


@pytest.mark.parametrize("mirrored", [False, True])
def test_close_ups_that_ship_see_the_corners_of_a_film_and_remember_it(mirrored):
    film = simulate_film(77, 1)
    film = film.mirrored() if mirrored else film
    network = Counting(CloseUpNet())
    load_exported(network.network, FOLDER / "close-up.onnx", [torch.randn(16, 2, 128, 128)])
    look = SeenByCloseUps(network)
    once, again = look(film), look(film)
    depth = np.linalg.norm(film.landmarks_px[0] - film.landmarks_px[1])
    assert np.linalg.norm(once.seen_px - film.landmarks_px, axis=1).max() < 0.05 * depth
    assert network.asked == 2 and (once.seen_px == again.seen_px).all()
    assert once.mirrored().seen_px == pytest.approx(film.mirrored().landmarks_px, abs=0.05 * depth)
    unmarked = look(replace(film, landmarks_px=np.full((22, 2), np.nan)))
    assert network.asked == 2 and np.isnan(unmarked.seen_px).all()


class Counting(torch.nn.Module):
    """A network that counts how often it is asked."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network, self.asked = network, 0

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.asked += 1
        return self.network(images)


def test_corners_hear_of_one_another_and_of_none_that_is_not_there():
    """A corner's map changes with what another shows; what a missing corner's view would show changes nothing, and at first all are by themselves."""
    torch.manual_seed(0)
    network = CornerNet().eval()
    films = torch.randn(2, 22, 4, SIZE, SIZE)
    films[1] = films[0]
    films[1, 5, :2] = torch.randn(2, SIZE, SIZE)
    others = [i for i in range(22) if i != 5]
    with torch.no_grad():
        one, other = network(films)
        assert (one[others] == other[others]).all() and not torch.allclose(one[5], other[5])
        torch.nn.init.normal_(network.hear.weight)
        one, other = network(films)
        assert min(float((one[i] - other[i]).abs().max()) for i in others) > 1e-5
        films[:, 5, 2:] = 0  # the channels that tell which corner it is
        one, other = network(films)
        torch.testing.assert_close(one[others], other[others])


def seen(points: np.ndarray, error_px: float, covariance: np.ndarray) -> Consensus:
    """The spine as close-ups may have placed it, every corner off by some pixels."""
    corners = np.full((6, 4, 2), np.nan)
    for i, vertebra in enumerate(Vertebra):
        rows = rows_of(vertebra)
        corners[i, : rows.stop - rows.start] = points[rows]
    corners[5, 2:] = corners[5, :2] + [0, 80]
    corners += np.random.default_rng(1).normal(0, error_px, corners.shape)
    return Consensus(
        Candidates(corners.mean(axis=1), corners, np.eye(6)), np.tile(covariance, (6, 4, 1, 1)).astype(float)
    )


class Knowing:
    """Answers each view with the corner of a spine (22, 2) that is nearest to its middle, its map wider than taught by `wider` pixels squared."""

    def __init__(self, points: np.ndarray, wider: float = 0.0) -> None:
        self.points, self.wider, self.asked = points, wider, 0

    def __call__(self, views):
        self.asked += len(views)
        answers = {}
        for landmark, view in views.items():
            places = view.apply(self.points)
            nearest = places[np.linalg.norm(places - MIDDLE, axis=1).argmin()]
            answers[landmark] = nearest, np.eye(2) * ((TARGET_SD * STRIDE) ** 2 + self.wider)
        return answers


def test_a_corner_is_the_mean_of_both_looks_and_wider_where_they_disagree(monkeypatch):
    """Worked: off by d, the close-up left 9 px^2 open and the corner's view nothing: half way, 4.5 I + d d' / 4."""
    monkeypatch.setattr(third_look, "SHARE", 0.5)
    before, look = seen(TRUTH, 3.0, 9 * np.eye(2)), Knowing(TRUTH)
    after = look_at_corners(before, ALL, look)
    assert look.asked == len(TRUTH)
    for i, vertebra in enumerate(Vertebra):
        rows = rows_of(vertebra)
        for row, true in enumerate(TRUTH[rows]):
            apart = true - before.candidates.corners[i, row]
            assert after.candidates.corners[i, row] == pytest.approx(true - apart / 2, abs=1e-6)
            assert after.covariance[i, row] == pytest.approx(4.5 * np.eye(2) + np.outer(apart, apart) / 4, abs=1e-6)
    open_px = named_landmarks(after, ErrorModel(1.0, 0.0), ALL).covariance_px
    assert (np.linalg.eigvalsh(open_px) > 4.4).all()


def test_what_the_view_leaves_open_counts_in_the_films_pixels():
    """All of it by the view's share, where the close-up left nothing open."""
    before = seen(TRUTH, 0.0, np.zeros((2, 2)))
    after = look_at_corners(before, ALL, Knowing(TRUTH, wider=8.0))
    per_px = np.linalg.norm(TRUTH[0] - TRUTH[1]) / DEPTH  # film pixels a pixel of L1's views
    assert after.covariance[0] == pytest.approx(np.tile(np.eye(2) * SHARE * 8.0 * per_px**2, (4, 1, 1)), rel=1e-6)


def test_bodies_without_a_name_and_corners_without_an_error_bar_stay():
    """And the corners below S1's endplate, which are none."""
    before = seen(TRUTH, 3.0, np.eye(2))
    before.covariance[2, 3] = np.nan
    named = np.array([0, -1, 2, 3, 4, 5])
    look = Knowing(TRUTH)
    after = look_at_corners(before, named, look)
    moved = np.abs(after.candidates.corners - before.candidates.corners).max(axis=2) > 0
    assert not moved[1].any() and not moved[2, 3] and not moved[5, 2:].any()
    assert moved.sum() == look.asked == 22 - 4 - 1
    nothing = np.full(6, -1)
    assert look_at_corners(before, nothing, look) is before


def test_the_third_look_moves_corners_a_little_and_names_and_confidence_not_at_all():
    weights = weights_in(FOLDER)
    without = Reader.of({stage: each for stage, each in weights.items() if stage != CORNER}, 1)
    film = simulate_film(4242, 3).radiograph
    before, after = (reader.read(film).landmarks for reader in (without, Reader.of(weights, 1)))
    depth = np.linalg.norm(before.points_px[0] - before.points_px[1])
    off = np.linalg.norm(after.points_px - before.points_px, axis=1) / depth
    assert 0 < np.median(off) < 0.02 and off.max() < 0.1
    assert (after.confidence == before.confidence).all()


def test_a_corner_network_needs_a_close_up_beside_it():
    with pytest.raises(ValueError, match="corner must have a close_up beside it"):
        Reader.of({stage: each for stage, each in weights_in(FOLDER).items() if stage != CLOSE_UP}, 1)
