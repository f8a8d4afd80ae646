"""The first stage's network: its parts, its size, what it is trained towards, and how its answer is read."""

import numpy as np
import pytest
import torch

from lumbar.localisation.decoding import best_box
from lumbar.networks.detection_loss import assign, ciou, detection_loss, side_loss
from lumbar.networks.yolov8 import BINS, SPPF, C2f, Head, PathAggregation, cell_centres, yolov8n
from tests.networks_measured import frozen_forward, parameters


def test_yolov8n_has_the_published_number_of_parameters():
    assert parameters(yolov8n(classes=1)) == 3_011_043


def test_in_training_it_answers_with_three_scales_of_distributions_and_class_logits():
    maps = yolov8n(classes=2).train()(torch.zeros(2, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(2, 4 * BINS + 2, 64 // s, 96 // s) for s in (8, 16, 32)]


def test_in_evaluation_it_answers_with_a_box_and_scores_for_every_cell():
    with torch.no_grad():
        out = yolov8n(classes=2).eval()(torch.zeros(2, 3, 64, 96))
    assert out.shape == (2, 4 + 2, 8 * 12 + 4 * 6 + 2 * 3)
    assert (out[:, 2] > out[:, 0]).all() and (out[:, 3] > out[:, 1]).all()
    assert (out[:, 4:] < 0.02).all()  # an untrained network claims nothing


def test_cells_are_centred_where_their_pixels_are():
    points, strides = cell_centres([torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1)])
    assert points[:, :4].T.tolist() == [[3.5, 3.5], [11.5, 3.5], [3.5, 11.5], [11.5, 11.5]]
    assert strides.tolist() == [8, 8, 8, 8, 16, 32]


@pytest.mark.parametrize(
    ("part", "shapes", "expected"),
    [
        (C2f(8, 8, 2, shortcut=True), [(1, 8, 8, 8)], [0.397836697]),
        (SPPF(8), [(1, 8, 8, 8)], [0.390358115]),
        (
            PathAggregation((8, 16, 32), 1),
            [(1, 8, 16, 16), (1, 16, 8, 8), (1, 32, 4, 4)],
            [0.390232624, 0.367879547, 0.391419751],
        ),
        (Head(8, 16, 8, 2, 8), [(1, 8, 8, 8)], [0.238385531]),
        (yolov8n(2), [(1, 3, 64, 64)], [0.307546172, 0.249782563, 0.0276119038]),
    ],
    ids=["c2f", "sppf", "neck", "head", "whole"],
)
def test_forward_values_stay_as_they_were(part, shapes, expected):
    assert frozen_forward(part, *shapes, training=True) == pytest.approx(expected, rel=1e-5)


def test_a_box_agrees_with_itself_best_and_less_the_further_it_is():
    box = torch.tensor([0.0, 0, 10, 10])
    near, far = torch.tensor([2.0, 0, 12, 10]), torch.tensor([40.0, 0, 50, 10])
    assert 1 >= ciou(box, box) > ciou(box, near) > 0 > ciou(box, far)


def test_the_distribution_loss_is_least_at_the_true_distance():
    """A side 3.25 strides away: three quarters at bin 3, one quarter at bin 4."""
    perfect = torch.full((BINS,), -30.0)
    perfect[3], perfect[4] = np.log(0.75), np.log(0.25)
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    assert side_loss(perfect, torch.tensor(3.25)) == pytest.approx(entropy, rel=1e-4)
    assert side_loss(torch.zeros(BINS), torch.tensor(3.25)) == pytest.approx(np.log(BINS), rel=1e-4)


def test_the_cells_that_agree_best_inside_the_box_answer_for_it():
    points = torch.tensor([[1.0, 5, 9, 50], [5.0, 5, 5, 5]])
    share = assign(
        torch.full((1, 4), 0.5), torch.tensor([[0.2, 0.9, 0.3, 0.9]]), points, torch.tensor([[0.0, 0, 10, 10]])
    )
    assert share[0, 1] == pytest.approx(0.9) and share[0, 3] == 0
    assert 0 < share[0, 0] < share[0, 2] < 0.01


def test_an_image_without_the_object_asks_for_low_scores_alone():
    maps = [torch.zeros(1, 4 * BINS + 2, n, n, requires_grad=True) for n in (8, 4, 2)]
    parts = detection_loss(maps, torch.tensor([[8.0, 8, 56, 56]]), torch.tensor([0]), torch.tensor([False]))
    assert parts["box"] == 0 and parts["side"] == 0 and parts["class"] > 0


def test_it_overfits_one_film():
    torch.manual_seed(0)
    network = yolov8n(classes=2)
    image = torch.zeros(1, 3, 64, 64)
    image[:, :, 10:50, 20:44] = 1
    box, label = torch.tensor([[19.5, 9.5, 43.5, 49.5]]), torch.tensor([1])
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    for _ in range(60):
        loss = detection_loss(network.train()(image), box, label, torch.tensor([True]))["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        found = network.boxes(network.train()(image))[0].numpy()  # one film's own statistics
    edges, score, kind = best_box(found)
    np.testing.assert_allclose(edges, box[0], atol=2)
    assert score > 0.5 and kind == 1


def test_boxes_that_say_the_same_are_averaged_and_others_are_not():
    output = np.array([[0, 0, 100, 100, 0.6], [2, 0, 102, 100, 0.3], [300, 0, 400, 100, 0.5]], dtype=float).T
    edges, score, kind = best_box(output)
    np.testing.assert_allclose(edges, [2 / 3, 0, 100 + 2 / 3, 100])
    assert (score, kind) == (0.6, 0)
