"""The second stage's network: its parts, their sizes, what it is trained towards."""

import numpy as np
import pytest
import torch

from lumbar.methods import METHODS
from lumbar.networks.hrnet import WIDTHS, HRNet18
from lumbar.networks.lsldnet import DecoderStep, LSLDNet, MultiScaleAttention, SpatialAttentionEnhancement
from lumbar.networks.lsldnet_targets import focal_loss, lsld_loss, make_targets, naming_loss
from tests.every_method import every_method_but_slow
from tests.networks_measured import frozen_forward, parameters
from tests.spines_on_crops import a_column


def test_hrnet18_has_the_published_number_of_parameters_and_four_resolutions():
    network = HRNet18()
    assert parameters(network) == 9_562_260
    with torch.no_grad():
        maps = network.eval()(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape) for m in maps] == [(1, w, 16 // 2**i, 24 // 2**i) for i, w in enumerate(WIDTHS)]


def test_hrnet18_is_named_as_timm_names_it():
    names = set(HRNet18().state_dict())
    assert {
        "conv1.weight",
        "layer1.0.downsample.0.weight",
        "transition1.1.0.0.weight",
        "stage2.0.branches.1.3.bn2.bias",
    } <= names
    assert {
        "stage3.3.fuse_layers.2.0.0.0.weight",
        "stage4.2.fuse_layers.0.3.1.running_var",
        "transition3.3.0.1.weight",
    } <= names


def test_lsldnet_answers_with_three_maps_at_a_quarter_of_the_input():
    for channels, count in ((1, 9_815_707), (6, 9_815_707 + 5 * 65)):
        network = LSLDNet(channels).eval()
        assert parameters(network) == count
        with torch.no_grad():
            heatmap, centre, corner = network(torch.zeros(2, 3, 64, 32))
        assert heatmap.shape == (2, channels, 16, 8) and centre.shape == (2, 2, 16, 8) and corner.shape == (2, 8, 16, 8)
        assert ((heatmap > 0) & (heatmap < 1)).all()


def test_msam_weighs_channels_by_one_shared_layer_and_keeps_both_inputs():
    module = MultiScaleAttention(4)
    assert parameters(module) == (8 * 4 + 4) + 2 * (2 * 49)
    assert module(torch.zeros(1, 4, 8, 8), torch.ones(1, 4, 8, 8)).shape == (1, 8, 8, 8)
    # Eq. 2 by hand: with a shared FC of zero weight and bias b, T = sigmoid(2 b) everywhere.
    torch.nn.init.zeros_(module.fc.weight)
    torch.nn.init.constant_(module.fc.bias, 0.5)
    module.low = module.high = torch.nn.Identity()
    out = module(torch.full((1, 4, 2, 2), 3.0), torch.full((1, 4, 2, 2), 5.0))
    weight = 1 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(out[0, :, 0, 0].detach(), [3 * weight] * 4 + [5 * weight] * 4, rtol=1e-6)


def test_each_step_of_the_ablation_takes_one_part_of_the_attention_away():
    skips = WIDTHS[:3]
    assert parameters(LSLDNet(1)) - parameters(LSLDNet(1, "channel")) == len(skips) * 2 * (2 * 49)
    assert parameters(LSLDNet(1, "channel")) - parameters(LSLDNet(1, "none")) == sum(2 * w * w + w for w in skips)
    low, high = torch.randn(1, 18, 8, 8), torch.randn(1, 36, 4, 4)
    for attention in ("none", "channel", "channel+spatial"):
        assert DecoderStep(18, 36, attention)(low, high).shape == (1, 18, 8, 8)
    whole, plain = LSLDNet(1).state_dict(), LSLDNet(1, "none").state_dict()
    assert set(plain) < set(whole) and all(".attention." in name for name in set(whole) - set(plain))


def test_sae_halves_everything_when_its_convolution_is_silent():
    module = SpatialAttentionEnhancement()
    torch.nn.init.zeros_(module.conv.weight)
    x = torch.randn(1, 3, 5, 5)
    torch.testing.assert_close(module(x), x / 2)


@pytest.mark.parametrize(
    ("network", "shapes", "expected"),
    [
        (SpatialAttentionEnhancement(), [(1, 3, 8, 8)], [0.304642451]),
        (MultiScaleAttention(4), [(1, 4, 8, 8), (1, 4, 8, 8)], [0.157876636]),
        (HRNet18(), [(1, 3, 64, 32)], [126488260000.0, 171417946000.0, 151487241000.0, 252294565000.0]),
        (LSLDNet(1), [(1, 3, 64, 32)], [0.6796875, 2775089180.0, 47172420000.0]),
        (LSLDNet(1, "channel"), [(1, 3, 64, 32)], [0.515625, 2316324780.0, 51165560200.0]),
        (LSLDNet(1, "none"), [(1, 3, 64, 32)], [0.4453125, 5124461190.0, 95063636200.0]),
    ],
)
def test_forward_values_stay_as_they_were(network, shapes, expected):
    assert frozen_forward(network, *shapes) == pytest.approx(expected, rel=1e-5)


def test_targets_put_one_at_the_centre_cell_and_the_offsets_lead_to_the_corners():
    points = torch.from_numpy(a_column(1)).float()[None]
    targets = make_targets(points, 256, 128, heatmap_channels=6, reach=0)
    assert targets.heatmap.shape == (1, 6, 64, 32)
    assert (targets.heatmap == 1).sum() == 6
    assert targets.cells.shape == (1, 6, 1) and targets.weight.sum() == 6
    for level in range(6):
        y, x = divmod(int(targets.cells[0, level, 0]), 32)
        assert targets.heatmap[0, level, y, x] == 1
        offset = targets.centre_offset[0, level, 0]
        assert ((offset >= 0) & (offset < 1)).all()  # the paper's x/n - floor(x/n)
        corners = (torch.tensor([x, y]) + offset + targets.corner_offset[0, level].reshape(4, 2)) * 4 - 0.5
        known = targets.corner_known[0, level].reshape(4, 2).all(dim=1)
        rows = slice(4 * level, 4 * level + int(known.sum()))
        torch.testing.assert_close(corners[known], points[0, rows], atol=1e-3, rtol=0)


def test_s1_is_centred_on_its_endplate_and_its_lower_corners_are_not_learnt():
    points = torch.from_numpy(a_column(2)).float()[None]
    targets = make_targets(points, 256, 128, heatmap_channels=1, reach=0)
    assert targets.corner_known[0, 5].tolist() == [True] * 4 + [False] * 4
    y, x = divmod(int(targets.cells[0, 5, 0]), 32)
    middle = (points[0, 20:].mean(dim=0) + 0.5) / 4
    assert (x, y) == tuple(middle.floor().int().tolist())
    assert targets.heatmap.shape[1] == 1 and (targets.heatmap == 1).sum() == 6


def test_a_vertebra_outside_the_crop_is_not_learnt():
    points = torch.from_numpy(a_column(3)).float()[None].clone()
    points[:, :4, 1] -= 300
    points[:, 4:8] = torch.nan
    targets = make_targets(points, 256, 128, heatmap_channels=6, reach=1)
    assert targets.heatmap[0, :2].max() == 0 and targets.weight[0, :2].sum() == 0
    assert targets.weight[0, 2:].min() == 1


def test_a_larger_vertebra_has_a_wider_gaussian():
    points = torch.from_numpy(a_column(4)).float()[None]
    small = make_targets(points, 256, 128, 6, 0).heatmap.sum()
    large = make_targets(points * 2, 512, 256, 6, 0).heatmap.sum()
    assert large > 1.4 * small


def test_the_loss_is_one_five_one_and_vanishes_for_a_perfect_answer():
    points = torch.from_numpy(a_column(5)).float()[None]
    targets = make_targets(points, 256, 128, 6, 0)
    centre, corner = torch.zeros(1, 2, 64, 32), torch.zeros(1, 8, 64, 32)
    for level in range(6):
        y, x = divmod(int(targets.cells[0, level, 0]), 32)
        centre[0, :, y, x] = targets.centre_offset[0, level, 0]
        corner[0, :, y, x] = targets.corner_offset[0, level]
    sharp = (targets.heatmap == 1).float()
    perfect = lsld_loss((sharp, centre, corner), targets)
    assert perfect["total"] < 1e-3
    off = lsld_loss((sharp, centre + 0.1, corner + 0.2), targets)
    assert off["centre"] == pytest.approx(0.1, abs=1e-5) and off["corner"] == pytest.approx(0.2, abs=1e-5)
    assert off["total"] == pytest.approx(float(off["heatmap"] + 5 * off["centre"] + off["corner"]), rel=1e-5)


def test_focal_loss_forgives_cells_next_to_the_centre():
    target = torch.zeros(1, 1, 1, 3)
    target[..., 1], target[..., 0] = 1.0, 0.8
    near, far = torch.full((1, 1, 1, 3), 0.01), torch.full((1, 1, 1, 3), 0.01)
    near[..., 1] = far[..., 1] = 0.99
    near[..., 0], far[..., 2] = 0.6, 0.6
    assert focal_loss(near, target) < 0.1 * focal_loss(far, target)


def test_the_naming_loss_makes_places_compete():
    target = torch.zeros(1, 6, 1, 2)
    target[..., 0] = 1
    undecided, decided = torch.full((1, 6, 1, 2), 0.9), torch.tensor([0.9, 0.1]).expand(1, 6, 1, 2)
    assert naming_loss(undecided, target) == pytest.approx(np.log(2), rel=1e-4)
    assert naming_loss(decided, target) < 0.02


@pytest.mark.parametrize("name", every_method_but_slow("hrnet", "vertebra-focused", "lsld-net", "lsld-net-levels"))
def test_every_method_overfits_one_film(name):
    torch.manual_seed(0)
    method = METHODS[name]()
    network = method.build()
    points = torch.from_numpy(a_column(7, height=128)).float()[None]
    y, x = np.mgrid[0:128, 0:64]
    film = sum(np.exp(-((x - p[0]) ** 2 + (y - p[1]) ** 2) / 8) for p in points[0].numpy())
    image = torch.from_numpy(np.repeat(film[None, None], 3, axis=1)).float()
    # FARNet's squared errors over whole films are steadier under a step nearer to its paper's 1e-4.
    optimiser = torch.optim.Adam(network.parameters(), 5e-4 if name == "farnet" else 2e-3)

    def worst_error() -> float:
        with torch.no_grad():
            maps = network.train()(image)  # one film's own statistics
        spine = method.decode(tuple(m[0].numpy() for m in maps))
        return float(np.nan_to_num(np.linalg.norm(spine.points_px - points[0].numpy(), axis=1), nan=99.0).max())

    for step in range(1, 241):
        loss = method.loss(network.train()(image), points, 128, 64)["total"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 20 == 0 and worst_error() < 2.0:
            break
    assert worst_error() < 2.0
