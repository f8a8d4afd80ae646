"""The training loop: it learns, it can be killed and goes on, it chooses by landmark error, and what it exports says the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from lumbar.datasets import BuuFolder
from lumbar.landmarks import SpineLandmarks, corner_view
from lumbar.methods import METHODS
from lumbar.networks.close_up_net import CloseUpNet
from lumbar.networks.yolov8 import yolov8n
from lumbar.runtime import OnnxFunction, load_weights
from lumbar.synthesis.writing import Order, write
from lumbar.training import Recipe, Trainee, checkpoint, export, films_in, films_of, run
from lumbar.training.exported import load_exported
from lumbar.training.landmark_task import landmark_figures
from lumbar.training.onnx_export import TOLERANCE, compare, export_onnx
from lumbar.training.runs import SHIPPED
from lumbar.training.stream import Films
from tests import ranks_in_step
from tests.every_method import every_method_but_slow
from tests.spines_on_crops import a_column


def a_recipe(**changes) -> Recipe:
    return Recipe(**{"epochs": 1, "epoch_films": 4, "batch_size": 2, "workers": 0, "precision": "fp32", **changes})


def step_of(path: Path) -> int:
    return int(json.loads(checkpoint.read_tensors(path)[1]["progress"])["step"])


def tiny(method: str) -> Trainee:
    return Trainee("landmarks", method, 64, 32)


@pytest.fixture(scope="module")
def films(buu_folder) -> Films:
    return films_of(buu_folder, 0)


@pytest.fixture(scope="module")
def buu_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("buu")
    list(write(folder, Order(4, 0, 11, 256)))
    return folder


def test_a_run_leaves_weights_a_log_and_pictures(tmp_path, films):
    best = run(tiny("lsld-net"), films, a_recipe(), tmp_path)
    tensors, about = checkpoint.read_tensors(best)
    assert (
        about["method"] == "lsld-net"
        and (about["height"], about["width"]) == ("64", "32")
        and float(about["error"]) <= 0.5
    )
    assert "encoder.conv1.weight" in tensors
    (log,) = (tmp_path / "tensorboard").iterdir()
    assert b"predictions" in log.read_bytes()


def test_a_second_run_goes_on_where_the_first_stopped(tmp_path, films):
    run(Trainee("localiser", height=64), films, a_recipe(), tmp_path)
    first = step_of(tmp_path / "last.safetensors")
    run(Trainee("localiser", height=64), films, a_recipe(epochs=2), tmp_path)
    assert (first, step_of(tmp_path / "last.safetensors")) == (2, 4)


def test_simulated_films_are_spread_among_those_of_a_folder_and_choose_no_weights(films, buu_folder):
    mixed = films_of(buu_folder, 0, simulated=0.25)
    of_folder = [
        any(np.array_equal(mixed.training(i).landmarks_px, film(buu_folder, k)) for k in range(4)) for i in range(8)
    ]
    assert of_folder == [True, True, True, False] * 2
    first = [mixed.training(i).landmarks_px for i in (0, 1, 2, 4)]
    assert all(np.array_equal(a, films.training(i).landmarks_px) for i, a in enumerate(first))
    assert mixed.held_out == films.held_out
    np.testing.assert_array_equal(mixed.validation(0).landmarks_px, films.validation(0).landmarks_px)
    with pytest.raises(ValueError, match="give data, too; got 0.5"):
        films_of(None, 0, simulated=0.5)


def film(folder: Path, index: int) -> np.ndarray:
    return BuuFolder.open(folder)[index].landmarks_px


@pytest.mark.parametrize(
    ("stage", "height"), [("localiser", 64), ("landmarks", 64), ("close-up", None), ("corner", None)]
)
def test_samples_that_look_like_no_film_are_trained_on_and_choose_no_weights(films, stage, height):
    plain, randomised = (
        Trainee(stage, height=height, randomised=share).task(a_recipe(batch_size=8), films)[0] for share in (0.0, 1.0)
    )
    assert not torch.equal(next(plain.batches(0))[0], next(randomised.batches(0))[0])
    (_, shown), (_, also_shown) = (task.validate(plain.network.eval()) for task in (plain, randomised))
    np.testing.assert_array_equal(shown, also_shown)


def test_corners_learn_from_what_close_ups_see(tmp_path, films):
    """Close-ups look in the processes that make samples, and at the films that weights are chosen by; other stages have none to learn from."""
    recipe, shown = a_recipe(batch_size=8, workers=1), {}
    for close_up in (None, SHIPPED):
        places = next(Trainee("corner", close_up=close_up).task(recipe, films)[0].batches(0))[1]
        shown[close_up] = np.linalg.norm(places[..., :2] - (corner_view.SIZE - 1) / 2, axis=-1) / corner_view.DEPTH
    assert np.nanmedian(shown[SHIPPED]) < 0.05 and not np.array_equal(*shown.values(), equal_nan=True)
    best = run(Trainee("corner", close_up=SHIPPED), films, a_recipe(workers=1, learning_rate=1e-12), tmp_path, SHIPPED)
    assert float(checkpoint.read_tensors(best)[1]["median"]) < 0.05
    with pytest.raises(ValueError, match="close_up is for the stage corner alone; got it with landmarks"):
        Trainee("landmarks", close_up=SHIPPED)


def test_a_killed_run_leaves_a_checkpoint_that_goes_on(tmp_path, buu_folder):
    """kill -9 in the midst of a run; the same command then ends it."""
    command = [sys.executable, "-m", "lumbar", "train", "landmarks", "--out", str(tmp_path), "--data", str(buu_folder)]
    command += (
        "--height 64 --width 32 --epoch-films 4 --workers 0 --precision fp32 --device cpu --save-every-s 0".split()
    )
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    going = subprocess.Popen(
        [*command, "--epochs", "1000"], env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    last = tmp_path / "last.safetensors"
    until = time.monotonic() + 120
    while not last.exists() and time.monotonic() < until:
        time.sleep(0.2)
    going.send_signal(signal.SIGKILL)
    going.wait()
    stood_at = step_of(last)
    epochs = stood_at // 2 + 1
    subprocess.run([*command, "--epochs", str(epochs)], env=environment, check=True, capture_output=True)
    assert step_of(last) == 2 * epochs > stood_at
    assert not list(tmp_path.glob("*.part"))


def test_a_checkpoint_brings_everything_back(tmp_path):
    torch.manual_seed(0)
    network, average = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    network(torch.ones(1, 3)).sum().backward()
    optimiser.step()
    checkpoint.save(tmp_path / "c.safetensors", network, average, optimiser, checkpoint.Progress(7, 1.5, 0.25))
    other, other_average = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    other_optimiser = torch.optim.AdamW(other.parameters(), 1e-2)
    progress = checkpoint.load(tmp_path / "c.safetensors", other, other_average, other_optimiser)
    assert progress == checkpoint.Progress(7, 1.5, 0.25)
    for net, opt in ((network, optimiser), (other, other_optimiser)):
        opt.zero_grad()
        net(torch.ones(1, 3)).pow(2).sum().backward()
        opt.step()
    torch.testing.assert_close(network.weight, other.weight, rtol=0, atol=0)
    torch.testing.assert_close(average.weight, other_average.weight, rtol=0, atol=0)


def test_films_of_a_folder_are_counted_and_an_empty_folder_is_refused(tmp_path, buu_folder):
    assert films_in(buu_folder) == 4 and films_in(None) == 350
    with pytest.raises(ValueError, match="holds no film"):
        films_in(tmp_path)


@pytest.mark.parametrize(
    ("trainee", "changes", "message"),
    [
        (Trainee("landmarks", height=100), {}, "height must be a multiple of 32; got 100"),
        (tiny("lsld"), {}, "method must be one of hourglass-2, .*lsld-net-levels; got 'lsld'"),
        (tiny("lsld-net"), {"device": "tpu"}, "device must be auto, cpu or cuda; got 'tpu'"),
        (tiny("lsld-net"), {"start_from": Path("nowhere")}, "no weights at nowhere"),
        (tiny("lsld-net"), {"start_from": Path("nowhere.onnx")}, "no weights at nowhere.onnx"),
        (Trainee("corner", close_up=Path("nowhere.onnx")), {}, "no weights at nowhere.onnx"),
    ],
)
def test_what_is_not_allowed_is_named(tmp_path, films, trainee, changes, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run(trainee, films, a_recipe(), tmp_path, **changes)


def test_weights_are_chosen_by_landmark_error_and_missing_corners_count():
    truth = a_column(0)
    moved, lost = truth + [3.0, 0.0], truth.copy()
    lost[:4] = np.nan
    perfect, off, partly = (
        landmark_figures([SpineLandmarks(p, np.full((22, 2, 2), np.nan), np.ones(22))], [truth])
        for p in (truth, moved, lost)
    )
    assert perfect["error"] == 0 < off["error"] < partly["error"] == pytest.approx(0.5 * 4 / 22)
    assert partly["missed"] == pytest.approx(4 / 22)


def test_a_level_shift_is_counted_by_film():
    truth = a_column(0)
    shifted = truth.copy()
    shifted[4:20] = truth[:16]
    shifted[:4] = truth[:4] - (truth[4:8] - truth[:4])
    figures = landmark_figures([SpineLandmarks(shifted, np.full((22, 2, 2), np.nan), np.ones(22))], [truth])
    assert figures["shifted"] == 1


@pytest.mark.parametrize("name", every_method_but_slow("lsld-net-levels"))
def test_onnx_says_what_torch_says(tmp_path, name):
    torch.manual_seed(1)
    method = METHODS[name]()
    measured = export_onnx(method.build(), tmp_path / "n.onnx", (3, 96, 64), method.outputs, {"method": name})
    assert measured["difference_to_torch"] <= TOLERANCE
    weights = json.loads((tmp_path / "n.json").read_text())
    assert (weights["height"], weights["width"], weights["method"]) == (96, 64, name)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["n.json", "n.onnx"]


def test_the_localisers_onnx_says_what_torch_says(tmp_path):
    torch.manual_seed(1)
    measured = export_onnx(yolov8n(2), tmp_path / "n.onnx", (3, 64, 64), ("boxes",), {})
    assert measured["difference_to_torch"] <= TOLERANCE
    assert b".py" not in (tmp_path / "n.onnx").read_bytes()  # nothing of the machine that it was exported on


def test_a_network_that_differs_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr("lumbar.training.onnx_export.compare", lambda *_: 1.0)
    with pytest.raises(ValueError, match="ONNX differs from torch"):
        export_onnx(yolov8n(1), tmp_path / "n.onnx", (3, 64, 64), ("boxes",), {})
    assert list(tmp_path.iterdir()) == []


def test_comparing_notices_a_difference(tmp_path):
    one, other = yolov8n(1), yolov8n(1).eval()
    export_onnx(one, tmp_path / "n.onnx", (3, 64, 64), ("boxes",), {})
    with torch.no_grad():
        other.load_state_dict(one.state_dict())
        other.heads[0].sides[-1].bias[:4] += 0.5
    assert compare(one, tmp_path / "n.onnx", (3, 64, 64)) < 1e-3 < compare(other, tmp_path / "n.onnx", (3, 64, 64))


def test_a_trained_network_is_exported_with_its_card(tmp_path, films):
    best = run(tiny("lsld-net-levels"), films, a_recipe(), tmp_path / "run")
    export("landmarks", best, tmp_path / "weights", "four simulated films")
    weights = load_weights(tmp_path / "weights", "landmarks")
    assert weights.card["about"] == "four simulated films" and float(weights.card["validation"]["error"]) <= 0.5
    heatmap, centre, corner = OnnxFunction(weights.path, 1)(np.zeros((1, 3, 64, 32), np.float32))
    assert heatmap.shape == (1, 6, 16, 8) and centre.shape == (1, 2, 16, 8) and corner.shape == (1, 8, 16, 8)


def test_a_close_up_network_is_trained_and_exported(tmp_path, films):
    best = run(Trainee("close-up"), films, a_recipe(), tmp_path / "run")
    measured = export("close-up", best, tmp_path / "weights", "four simulated films")
    assert measured["difference_to_torch"] <= TOLERANCE
    corners, kinds = OnnxFunction(tmp_path / "weights" / "close-up.onnx", 1)(np.zeros((3, 2, 128, 128), np.float32))
    assert corners.shape == (3, 4, 64, 64) and kinds.shape == (3, 8)
    with pytest.raises(ValueError, match="128 x 128 pixels: leave height and width out; got 256"):
        run(Trainee("close-up", height=256), films, a_recipe(), tmp_path / "run")


def test_a_corner_network_is_trained_and_exported(tmp_path, films):
    best = run(Trainee("corner"), films, a_recipe(), tmp_path / "run")
    measured = export("corner", best, tmp_path / "weights", "four simulated films")
    assert measured["difference_to_torch"] <= TOLERANCE
    (maps,) = OnnxFunction(tmp_path / "weights" / "corner.onnx", 1)(np.zeros((3, 22, 4, 64, 64), np.float32))
    assert maps.shape == (3, 22, 32, 32)
    with pytest.raises(ValueError, match="a corner has 64 x 64 pixels: leave height and width out; got 256"):
        run(Trainee("corner", height=256), films, a_recipe(), tmp_path / "run")


def test_close_up_networks_that_answer_together_are_one_file(tmp_path, films):
    """Its probabilities are the mean of theirs, and training can go on from the first."""
    paths = [run(Trainee("close-up"), films, a_recipe(seed=seed), tmp_path / str(seed)) for seed in (1, 2)]
    measured = export("close-up", paths, tmp_path / "weights", "two")
    assert measured["difference_to_torch"] <= TOLERANCE
    close_ups = torch.randn(3, 2, 128, 128)
    networks = []
    for path in paths:
        networks.append(CloseUpNet().eval())
        networks[-1].load_state_dict(checkpoint.read_tensors(path)[0])
    with torch.no_grad():
        shares = [[part.flatten(2 if part.ndim > 2 else 1).softmax(-1) for part in net(close_ups)] for net in networks]
    together = OnnxFunction(tmp_path / "weights" / "close-up.onnx", 1)(close_ups.numpy())
    for found, one, other in zip(together, *shares, strict=True):
        assert np.exp(found).reshape(one.shape) == pytest.approx((one + other).numpy() / 2, rel=1e-2, abs=1e-7)
        assert not np.allclose(one, other, rtol=0.05)
    again = CloseUpNet()
    load_exported(again, tmp_path / "weights" / "close-up.onnx", [torch.randn(16, 2, 128, 128)])
    with torch.no_grad():
        first, back = (network.eval()(close_ups)[0] for network in (networks[0], again))
    assert back.numpy() == pytest.approx(first.numpy(), rel=1e-2, abs=1e-2)
    with pytest.raises(ValueError, match="for the stage close-up alone; got landmarks"):
        export("landmarks", paths, tmp_path / "weights", "two")


@pytest.mark.parametrize(("stage", "untrained"), [("close-up", 0.3), ("corner", 0.1)])
def test_training_goes_on_from_the_weights_that_ship(tmp_path, films, stage, untrained):
    """At a rate that moves nothing, corners are found as by weights that were trained, where new ones know nothing."""
    recipe = a_recipe(learning_rate=1e-12)
    error = {}
    for start in (SHIPPED, None):
        best = run(Trainee(stage), films, recipe, tmp_path / str(start), start)
        error[start] = float(checkpoint.read_tensors(best)[1]["median"])
    assert error[SHIPPED] < 0.05 < untrained < error[None]


def test_an_exported_network_comes_back_and_says_the_same_while_it_is_trained(tmp_path):
    """With bias before the batch norm or none, and statistics that are far from 0 and 1."""
    torch.manual_seed(0)

    def build() -> torch.nn.Sequential:
        first, second = torch.nn.Conv2d(3, 8, 3, bias=False), torch.nn.Conv2d(8, 2, 1)
        return torch.nn.Sequential(first, torch.nn.BatchNorm2d(8), torch.nn.ReLU(), second, torch.nn.BatchNorm2d(2))

    network, films = build(), 3 * torch.randn(8, 3, 64, 64) + 1
    for _ in range(200):
        network(films)
    export_onnx(network, tmp_path / "n.onnx", (3, 64, 64), ("out",), {})
    again = build()
    load_exported(again, tmp_path / "n.onnx", films.split(4))
    with torch.no_grad():
        torch.testing.assert_close(again.eval()(films), network.eval()(films), rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(again.train()(films), network.eval()(films), rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="holds other weights than this network's"):
        load_exported(torch.nn.Conv2d(3, 8, 3), tmp_path / "n.onnx", films.split(4))
    (tmp_path / "no.onnx").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"no.onnx is not an ONNX file"):
        load_exported(again, tmp_path / "no.onnx", films.split(4))


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
def test_onnx_says_what_torch_says_on_the_papers_input_size(tmp_path, name):
    method = METHODS[name]()
    assert (
        export_onnx(method.build(), tmp_path / "n.onnx", (3, 1024, 512), method.outputs, {})["difference_to_torch"]
        <= TOLERANCE
    )


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        *map(str, arguments),
    ]
    return subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=240
    )


def test_two_processes_in_step_learn_what_one_learns_from_all_samples(tmp_path):
    """The mean of the gradients of half a batch each is that of the batch."""
    ranks_in_step.run(tmp_path / "one")
    done = torchrun(Path(__file__).parent / "ranks_in_step.py", tmp_path / "two")
    assert done.returncode == 0, done.stderr
    one, first, second = (torch.load(tmp_path / path) for path in ("one/rank-0.pt", "two/rank-0.pt", "two/rank-1.pt"))
    for name, weights in one.items():
        assert torch.equal(first[name], second[name])
        assert torch.allclose(weights, first[name], atol=1e-5)
    assert not torch.allclose(one["bias"], torch.zeros(2))


def test_the_command_trains_under_torchrun_and_goes_on(tmp_path, buu_folder):
    options = [
        "--data",
        buu_folder,
        "--out",
        tmp_path,
        "--height",
        64,
        "--width",
        32,
        "--epoch-films",
        8,
        "--batch-size",
        2,
        "--workers",
        0,
        "--device",
        "cpu",
    ]
    for epochs, steps in ((1, 2), (2, 4)):
        done = torchrun("-m", "lumbar", "train", "landmarks", *options, "--epochs", epochs)
        assert done.returncode == 0, done.stderr
        assert step_of(tmp_path / "last.safetensors") == steps
