"""The rivals: how large they are, what they are trained towards, and that reading a perfect answer gives the landmarks back."""

import numpy as np
import pytest
import torch

from lumbar.baselines.farnet import DenseNet121, FARNet, ewc_error
from lumbar.baselines.heatmaps import gaussian_heatmaps, mean_over_present, present
from lumbar.baselines.hrnet_heatmap import HRNetHeatmap
from lumbar.baselines.stacked_hourglass import Hourglass, Residual, StackedHourglass
from lumbar.baselines.vertebra_focused import Combination, ResNet34, VertebraFocused
from lumbar.landmarks.heatmap_decoding import decode_peaks
from lumbar.methods import METHODS
from tests.networks_measured import frozen_forward, parameters
from tests.spines_on_crops import a_column

POSE_ESTIMATORS = ("hourglass-2", "hourglass-8", "hrnet", "farnet")


def points_of(seed: int, height: int = 256) -> torch.Tensor:
    return torch.from_numpy(a_column(seed, height)).float()[None]


@pytest.mark.parametrize(
    ("name", "ours", "published"),
    [
        ("hourglass-2", 6_575_020, None),
        ("hourglass-8", 25_457_200, 25.1e6),  # Sun et al. 2019, Table 1, with 17 joints
        ("hrnet", 9_562_260 + 18 * 22 + 22, None),  # Sun et al. count 28.5 M at width 32
        ("vertebra-focused", 24_206_411, None),
        ("farnet", 61_217_194, None),
        ("lsld-net-base", 9_801_385, None),
        ("lsld-net-without-sae", 9_815_119, None),
        ("lsld-net", 9_815_707, None),
    ],
)
def test_parameters(name, ours, published):
    assert parameters(METHODS[name]().build()) == ours
    if published is not None:
        assert ours == pytest.approx(published, rel=0.02)


def test_the_encoders_have_torchvisions_parameters_and_names_but_no_classifier():
    resnet, densenet = ResNet34(), DenseNet121()
    assert parameters(resnet) == 21_797_672 - (512 * 1000 + 1000)
    assert parameters(densenet) == 7_978_856 - (1024 * 1000 + 1000)
    assert {"layer2.0.downsample.1.running_var", "layer3.5.conv2.weight", "bn1.bias"} <= set(resnet.state_dict())
    assert {
        "conv0.weight",
        "denseblock3.denselayer24.conv2.weight",
        "transition2.norm.bias",
        "norm5.running_mean",
    } <= set(densenet.state_dict())


@pytest.mark.parametrize(
    ("network", "shapes"),
    [
        (StackedHourglass(2), [(2, 22, 24, 8)] * 2),
        (HRNetHeatmap(), [(2, 22, 24, 8)]),
        (VertebraFocused(), [(2, 1, 24, 8), (2, 2, 24, 8), (2, 8, 24, 8)]),
        (FARNet(), [(2, 22, 96, 32), (2, 22, 48, 16)]),
    ],
)
def test_maps_have_their_shapes_at_every_multiple_of_32(network, shapes):
    with torch.no_grad():
        assert [tuple(m.shape) for m in network.eval()(torch.zeros(2, 3, 96, 32))] == shapes


def test_every_map_has_a_name():
    for name in METHODS:
        method = METHODS[name]()
        assert method.name == name
        network = method.build().to("meta").eval()
        assert len(network(torch.zeros(1, 3, 64, 32, device="meta"))) == len(method.outputs)


@pytest.mark.parametrize(
    ("network", "shapes", "expected"),
    [
        (Residual(4, 8), [(1, 4, 8, 8)], [0.585671267]),
        (Hourglass(2, 8), [(1, 8, 8, 6)], [3.15799936]),
        (StackedHourglass(2), [(1, 3, 128, 64)], [0.000143658114, 7.05186586e-05]),
        (HRNetHeatmap(), [(1, 3, 64, 32)], [95647220400.0]),
        (Combination(8, 4), [(1, 8, 4, 4), (1, 4, 8, 8)], [0.13125293]),
        (ResNet34(), [(1, 3, 64, 32)], [0.638040386, 0.0898646617, 0.0143223678, 0.000694559938]),
        (VertebraFocused(), [(1, 3, 64, 32)], [0.520958662, 0.0262250067, 0.000257489679]),
        (DenseNet121(), [(1, 3, 64, 32)], [0.646113021, 0.17065697, 0.0250505418, 0.00261393836, 5.5258419e-05]),
        (FARNet(), [(1, 3, 64, 32)], [0.00148037824, 0.00341829518]),
    ],
)
def test_forward_values_stay_as_they_were(network, shapes, expected):
    assert frozen_forward(network, *shapes) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("stride", "sigma_cells", "shift_cells"), [(4, 1.0, 0.25), (4, 2.0, 0.25), (1, 3.2, 0.0)])
def test_an_ideal_heatmap_gives_the_landmark_back_within_its_cell(stride, sigma_cells, shift_cells):
    points = points_of(1)
    maps = gaussian_heatmaps(points, 256, 128, stride, sigma_cells)
    assert maps.shape == (1, 22, 256 // stride, 128 // stride)
    spine = decode_peaks(maps[0].numpy(), stride, shift_cells)
    # Within half a cell of the middle of the cell; the quarter towards the higher neighbour halves what is left.
    assert np.abs(spine.points_px - points[0].numpy()).max() <= stride * (0.5 - shift_cells) + 1e-3
    assert spine.confidence.min() > np.exp(-0.25 / sigma_cells**2) - 1e-6 and np.isnan(spine.covariance_px).all()


def test_a_pixels_middle_and_a_cells_middle_are_where_they_are():
    # Pixel 5.5 is the middle of the second cell of four pixels (4 to 7): the peak is there, and no neighbour is higher.
    points = torch.full((1, 22, 2), 5.5)
    maps = gaussian_heatmaps(points, 32, 32, 4, 1.0)[0].numpy()
    assert (maps[:, 1, 1] == 1).all() and np.isclose(maps[:, 1, 2], np.exp(-0.5)).all()
    assert (decode_peaks(maps, 4).points_px == 5.5).all()


def test_the_peak_moves_towards_its_higher_neighbour_but_not_along_the_border():
    maps = np.zeros((22, 4, 4))
    maps[:, 1, 2], maps[:, 1, 3], maps[:, 0, 2] = 0.8, 0.4, 0.2
    maps[0] = 0
    maps[0, 0, 0], maps[0, 0, 1] = 1.5, 0.5
    spine = decode_peaks(maps, 4)
    np.testing.assert_allclose(spine.points_px[1], [(2.75) * 4 - 0.5, (1.25) * 4 - 0.5])
    np.testing.assert_allclose(spine.points_px[0], [1.5, 1.5])
    assert spine.confidence[1] == pytest.approx(0.8) and spine.confidence[0] == 1


def test_a_flat_heatmap_says_that_its_landmark_is_absent():
    maps = np.full((22, 8, 8), 0.01)
    maps[3, 4, 4] = 0.9
    assert decode_peaks(maps, 4).present.tolist() == [i == 3 for i in range(22)]
    assert (decode_peaks(-maps, 4).confidence == 0).all()


@pytest.mark.parametrize("name", POSE_ESTIMATORS)
def test_absent_landmarks_cost_nothing(name):
    method = METHODS[name]()
    points = points_of(2, 128).clone()
    points[:, :4] = torch.nan
    points[:, 4:8, 0] = 64.0  # one pixel beyond the last
    shapes = {"farnet": [(128, 64), (64, 32)]}.get(name, [(32, 16)] * len(method.outputs))
    silent, loud = ([torch.zeros(1, 22, *s) for s in shapes] for _ in range(2))
    for maps in loud:
        maps[:, :8] = 7.0
    assert method.loss(tuple(silent), points, 128, 64)["total"] > 0
    assert method.loss(tuple(silent), points, 128, 64) == method.loss(tuple(loud), points, 128, 64)
    nobody = method.loss(tuple(loud), torch.full_like(points, torch.nan), 128, 64)
    assert nobody["total"] == 0


@pytest.mark.parametrize("name", POSE_ESTIMATORS)
def test_the_ideal_answer_costs_nothing_and_reads_right(name):
    method, points = METHODS[name](), points_of(3)
    stride, sigma = {"hourglass-2": (4, 1.0), "hourglass-8": (4, 1.0), "hrnet": (4, 2.0), "farnet": (1, 3.2)}[name]
    maps = [gaussian_heatmaps(points, 256, 128, stride, sigma)] * len(method.outputs)
    if name == "farnet":
        maps[1] = gaussian_heatmaps(points, 256, 128, 2, sigma)
    assert method.loss(tuple(maps), points, 256, 128)["total"] < 1e-8
    found = method.decode(tuple(m[0].numpy() for m in maps)).points_px
    assert np.linalg.norm(found - points[0].numpy(), axis=1).max() < 1.5


def test_losses_count_every_stack_and_are_as_precise_in_bfloat16():
    method, points = METHODS["hourglass-2"](), points_of(4)
    zero = torch.zeros(1, 22, 64, 32)
    parts = method.loss((zero, zero), points, 256, 128)
    assert parts["total"] == 2 * parts["last"]
    half = method.loss((zero.bfloat16(), zero.bfloat16()), points, 256, 128)
    assert half["total"].dtype == torch.float32 and half["total"] == parts["total"]


def test_the_exponential_weighted_centre_loss_by_hand():
    # Ao & Wu: 40 to the power of the target, times the squared error. sqrt(40) * 0.1^2 half way down the Gaussian.
    error = ewc_error(torch.tensor([0.9, 0.4, 0.1]), torch.tensor([1.0, 0.5, 0.0]))
    np.testing.assert_allclose(error, [0.4, 40**0.5 * 0.01, 0.01], rtol=1e-5)


def test_farnets_gaussian_is_the_same_share_of_every_film():
    method = METHODS["farnet"]()
    for height in (128, 256):
        points = points_of(5, height)
        maps = [gaussian_heatmaps(points, height, height // 2, stride, height / 80) for stride in (1, 2)]
        assert method.loss(tuple(maps), points, height, height // 2)["total"] < 1e-8


def test_the_mean_is_over_present_landmarks():
    error = torch.arange(22.0).reshape(1, 22, 1, 1).expand(2, 22, 3, 3)
    known = torch.zeros(2, 22, dtype=torch.bool)
    known[0, 2] = known[1, 6] = True
    assert mean_over_present(error, known) == 4
    assert mean_over_present(error, known & False) == 0


def test_a_landmark_belongs_to_the_input_up_to_the_edge_of_its_last_pixel():
    points = torch.tensor([[-0.5, 0], [-0.6, 0], [31.4, 63.4], [31.5, 0], [0, 63.5], [torch.nan, torch.nan]])
    assert present(points[None], 64, 32).tolist() == [[True, False, True, False, False, False]]


def test_vertebra_focused_weighs_its_three_parts_alike():
    method, points = METHODS["vertebra-focused"](), points_of(6)
    maps = (torch.full((1, 1, 64, 32), 0.1), torch.zeros(1, 2, 64, 32), torch.zeros(1, 8, 64, 32))
    parts = method.loss(maps, points, 256, 128)
    assert parts["total"] == pytest.approx(float(parts["heatmap"] + parts["centre"] + parts["corner"]), rel=1e-6)
