"""Close-ups of single bodies: the window, the answer, what is learnt from it, and a spine looked at again."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lumbar.anatomy import Vertebra, rows_of
from lumbar.landmarks.close_up import (
    DEPTH,
    KINDS,
    NO_BODY,
    SIZE,
    STRIDE,
    TARGET_SD,
    CloseUp,
    close_up_of,
    cut_close_up,
    decode,
)
from lumbar.landmarks.consensus import Consensus, ErrorModel, named_landmarks
from lumbar.landmarks.decoding import Candidates
from lumbar.landmarks.second_look import look_closer
from lumbar.networks.close_up_net import close_up_loss
from lumbar.synthesis import simulate_film
from lumbar.training.close_up_task import sample
from tests.spines import a_spine, on_film

CELLS = SIZE // STRIDE
EXACT = ErrorModel(1.0, 0.0)


@given(st.floats(-400, 400), st.floats(-400, 400), st.floats(-1.2, 1.2), st.floats(5, 300))
def test_the_endplate_lies_level_and_is_always_as_long(x, y, angle, length):
    endplate = np.array([[x, y], [x + length * np.cos(angle), y + length * np.sin(angle)]])
    anterior, posterior = close_up_of(endplate, "film").apply(endplate)
    assert posterior - anterior == pytest.approx([DEPTH, 0.0], abs=1e-6)
    assert (anterior + posterior)[0] / 2 == pytest.approx((SIZE - 1) / 2)


def test_an_endplate_of_no_length_is_refused():
    with pytest.raises(ValueError, match="must be two points"):
        close_up_of(np.ones((2, 2)), "film")


def gaussians(places: np.ndarray) -> np.ndarray:
    """Maps (4, CELLS, CELLS) before the softmax, as they are taught about places (4, 2) in pixels."""
    cells = (places + 0.5) / STRIDE - 0.5
    y, x = np.mgrid[:CELLS, :CELLS]
    return np.stack([-((x - cx) ** 2 + (y - cy) ** 2) / (2 * TARGET_SD**2) for cx, cy in cells])


def test_an_answer_is_read_finer_than_its_cells():
    places = np.array([[30.3, 41.1], [90.9, 40.0], [31.0, 85.7], [88.2, 86.4]])
    logits = np.zeros(len(KINDS))
    logits[2] = np.log(93.0)
    found = decode(gaussians(places), logits)
    assert found.corners == pytest.approx(places, abs=0.02)
    assert found.covariance == pytest.approx(
        np.tile(np.eye(2) * (TARGET_SD * STRIDE) ** 2, (4, 1, 1)), rel=0.05, abs=0.05
    )
    assert found.kinds == pytest.approx([0.01, 0.01, 0.93, 0.01, 0.01, 0.01, 0.01, 0.01])


def test_the_taught_map_costs_least_and_a_corner_that_is_absent_costs_nothing():
    places = np.array([[30.3, 41.1], [90.9, 40.0], [31.0, 85.7], [np.nan, np.nan]])
    maps = torch.from_numpy(gaussians(np.nan_to_num(places, nan=60.0))).float()[None].requires_grad_()
    kinds, truth = torch.zeros(1, len(KINDS)), torch.from_numpy(places).float()[None]
    loss = close_up_loss((maps, kinds), truth, torch.tensor([3]))
    loss["place"].backward()
    assert maps.grad[0, :3].abs().max() < 1e-4 and maps.grad[0, 3].abs().max() == 0
    elsewhere = close_up_loss((maps, kinds), truth + 4.0, torch.tensor([3]))
    assert elsewhere["place"] > loss["place"] + 1
    assert float(loss["kind"]) == pytest.approx(np.log(len(KINDS)))


def test_a_sample_shows_the_body_that_it_names():
    """Where a body is sampled, its endplate is near the place that every close-up has it in, and the picture is of that place."""
    film, rng = simulate_film(77, 0), np.random.default_rng(5)
    left = film.facing_left()
    seen = set()
    for _ in range(24):
        image, corners, kind = sample(film, rng)
        assert image.shape == (2, SIZE, SIZE) and abs(float(image[0].mean())) < 0.2
        seen.add(KINDS[kind])
        if KINDS[kind] in set(Vertebra):
            truth = left.landmarks_px[rows_of(Vertebra(KINDS[kind]))]
            assert np.linalg.norm(corners[1] - corners[0]) == pytest.approx(DEPTH, rel=0.6)
            assert np.isfinite(corners).sum() == np.isfinite(truth).sum()
        else:
            assert np.isnan(corners).all()
    assert {NO_BODY, "S1", "L3"} <= seen


def test_a_window_beyond_the_film_is_filled_and_still_answered():
    film = np.random.default_rng(0).random((60, 60)).astype(np.float32)
    outside = close_up_of(np.array([[500.0, 500.0], [520.0, 500.0]]), "film")
    assert np.isfinite(cut_close_up(film, outside)).all()


class Knowing:
    """Looks at a spine (22, 2) that it knows, and answers the body that is next to the middle of each close-up."""

    def __init__(self, points: np.ndarray) -> None:
        self.bodies = [points[rows_of(v)] for v in Vertebra]
        self.asked = 0

    def __call__(self, views):
        self.asked += len(views)
        return [self.answer(view) for view in views]

    def answer(self, view):
        kinds = np.full(len(KINDS), 0.01)
        ends = [view.apply(body[:2]) for body in self.bodies]
        expected = close_up_of(np.array([[0.0, 0.0], [DEPTH, 0.0]]), "any").apply([[0.0, 0.0], [DEPTH, 0.0]])
        apart = [np.linalg.norm(end - expected, axis=1).mean() / DEPTH for end in ends]
        nearest = int(np.argmin(apart))
        corners = np.full((4, 2), 60.0) + np.arange(4)[:, None]
        if apart[nearest] < 0.4:
            kinds[nearest] = 0.93
            placed = view.apply(self.bodies[nearest])
            corners[: len(placed)] = placed
        else:
            kinds[KINDS.index(NO_BODY)] = 0.93
        return CloseUp(corners, np.tile(np.eye(2) * ((TARGET_SD * STRIDE) ** 2 + 1.0), (4, 1, 1)), kinds)


TRUTH = on_film(a_spine({"L4/L5": 15}, {"L3/L4": 8, "L5/S1": 12}, sacral_slope_deg=35)).points_px


def seen(points: np.ndarray, without=(), error_px: float = 12.0) -> Consensus:
    """The spine as the whole spine's network may see it: every corner off by some pixels."""
    rng = np.random.default_rng(1)
    corners = np.full((6, 4, 2), np.nan)
    for i, v in enumerate(Vertebra):
        rows = rows_of(v)
        corners[i, : rows.stop - rows.start] = points[rows]
    corners[5, 2:] = corners[5, :2] + [0, 80]
    corners += rng.normal(0, error_px, corners.shape)
    centres = corners.mean(axis=1)
    centres[5] = corners[5, :2].mean(axis=0)
    keep = [i for i in range(6) if i not in without]
    found = Candidates(centres[keep], corners[keep], (np.eye(6) * 0.7 + 0.05)[keep])
    return Consensus(found, np.full((len(keep), 4, 2, 2), np.nan))


def test_a_second_look_places_every_corner():
    look = Knowing(TRUTH)
    landmarks = named_landmarks(look_closer(seen(TRUTH), look), EXACT)
    assert landmarks.points_px == pytest.approx(TRUTH, abs=1e-6)
    per_px = np.linalg.norm(TRUTH[0] - TRUTH[1]) / DEPTH  # film pixels a pixel of the close-up, of which 1 is left open
    assert landmarks.covariance_px[0] == pytest.approx(np.eye(2) * per_px**2, rel=0.05, abs=0.05)


@pytest.mark.parametrize("missed", [0, 2, 4, 5])
def test_a_body_that_was_missed_is_found_and_named(missed):
    """S1 too, which is looked for as one body further down."""
    landmarks = named_landmarks(look_closer(seen(TRUTH, [missed], error_px=4.0), Knowing(TRUTH)), EXACT)
    rows = rows_of(list(Vertebra)[missed])
    assert landmarks.present.all()
    assert landmarks.points_px[rows][:2] == pytest.approx(TRUTH[rows][:2], abs=1e-6)


def test_an_l5_that_has_slipped_far_down_a_steep_sacrum_keeps_its_name():
    """Its centre lies below the middle of S1's endplate on the film, so centres from top to bottom are not L1 to S1."""
    slipped = on_film(a_spine({"L5/S1": 75}, {"L5/S1": 12}, sacral_slope_deg=70)).points_px
    assert slipped[rows_of(Vertebra.L5)].mean(axis=0)[1] > slipped[rows_of(Vertebra.S1)].mean(axis=0)[1]
    landmarks = named_landmarks(look_closer(seen(slipped, error_px=4.0), Knowing(slipped)), EXACT)
    assert landmarks.points_px == pytest.approx(slipped, abs=1e-6)


def test_two_candidates_for_one_body_become_one():
    once = seen(TRUTH)
    a = once.candidates
    twice = Candidates(
        np.concatenate([a.centres, a.centres[2:3] + 9]),
        np.concatenate([a.corners, a.corners[2:3] + 9]),
        np.concatenate([a.scores, a.scores[2:3] * 0.5]),
    )
    found = look_closer(Consensus(twice, np.full((7, 4, 2, 2), np.nan)), Knowing(TRUTH)).candidates
    assert len(found) == 6
    assert np.diff(found.centres[:, 1]).min() > 0


def test_what_is_no_body_stays_where_it_was_and_loses_its_score():
    far = seen(TRUTH)
    a = far.candidates
    wrong = Candidates(a.centres + [400, 0], a.corners + [400, 0], a.scores)
    found = look_closer(Consensus(wrong, far.covariance), Knowing(TRUTH)).candidates
    assert np.sort(found.corners[:, 0, 0]) == pytest.approx(np.sort(wrong.corners[:, 0, 0]))
    assert found.scores.max() < 0.1 < wrong.scores.max()


def test_nothing_seen_is_nothing_to_look_at():
    empty = Consensus(Candidates(np.zeros((0, 2)), np.zeros((0, 4, 2)), np.zeros((0, 6))), np.zeros((0, 4, 2, 2)))
    look = Knowing(TRUTH)
    assert len(look_closer(empty, look).candidates) == 0 and look.asked == 0
