"""int8 weights: nearly the answers of fp32, never those of other networks."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest

from lumbar.landmarks.spine import endplate_depth
from lumbar.networks.close_up_net import CloseUpNet, CloseUpNets
from lumbar.pipeline import Reader
from lumbar.radiograph import Radiograph
from lumbar.runtime import FOLDER, QUANTISED, load_weights, weights_in
from lumbar.synthesis import simulate_film
from lumbar.training import quantise
from lumbar.training.onnx_export import export_onnx
from lumbar.training.quantisation import heads
from tests.command import lumbar

EXAMPLE = Path(__file__).parent.parent / "src" / "lumbar" / "examples" / "study"


def test_in_int8_corners_are_where_they_are_in_fp32():
    fp32, int8 = Reader.shipped(1), Reader.shipped(1, "int8")
    apart = []
    for index in range(3, 6):
        film = simulate_film(4242, index).radiograph
        one, other = (reader.read(film).landmarks for reader in (fp32, int8))
        apart.append(np.linalg.norm(one.points_px - other.points_px, axis=1) / endplate_depth(one.points_px))
        assert abs(one.confidence.mean() - other.confidence.mean()) < 0.05
    assert not np.isnan(apart).any()
    assert np.median(apart) < 0.005 and np.max(apart) < 0.05


def test_a_reading_says_which_file_made_it(tmp_path):
    done = lumbar("read", EXAMPLE / "neutral.dcm", "--out", tmp_path, "--precision", "int8", "--threads", 1)
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "neutral.reading.json").read_text())["weights"]
    fp32, int8 = weights_in(FOLDER), weights_in(FOLDER, "int8")
    assert said == {stage: weights.sha256 for stage, weights in int8.items()}
    assert {stage for stage in said if said[stage] != fp32[stage].sha256} == set(QUANTISED)


def test_int8_weights_of_other_networks_are_refused(tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "weights")
    with (folder / "close-up.onnx").open("ab") as file:
        file.write(b"\0")
    load_weights(folder, "landmarks", "int8")
    with pytest.raises(ValueError, match="are those of others: write them with `lumbar quantise`"):
        load_weights(folder, "close-up", "int8")
    (folder / "landmarks.int8.json").unlink()
    with pytest.raises(FileNotFoundError, match="no int8 weights for landmarks"):
        load_weights(folder, "landmarks", "int8")
    with pytest.raises(ValueError, match="precision must be one of fp32, int8; got 'int4'"):
        load_weights(folder, "landmarks", "int4")


def test_quantising_gives_a_smaller_file_whose_outputs_are_near(tmp_path):
    weights = weights_in(FOLDER)
    differences = quantise(weights, tmp_path, [simulate_film(4242, 3).radiograph])
    assert set(differences) == set(QUANTISED) and all(0 < value < 0.1 for value in differences.values())
    for stage in QUANTISED:
        assert (tmp_path / f"{stage}.int8.onnx").stat().st_size < 0.65 * weights[stage].path.stat().st_size
        assert json.loads((tmp_path / f"{stage}.int8.json").read_text())["of_sha256"] == weights[stage].sha256
    blank = Radiograph(np.zeros((300, 200), np.float32))
    with pytest.raises(ValueError, match="must show lumbar spines"):
        quantise(weights, tmp_path / "none", [blank])
    assert not (tmp_path / "none").exists()


def test_the_heads_of_networks_that_answer_together_all_stay_in_fp32(tmp_path):
    network = CloseUpNets([CloseUpNet(), CloseUpNet()])
    export_onnx(network, tmp_path / "close-up.onnx", (2, 128, 128), ("corners", "kinds"), {})
    model = onnx.load(tmp_path / "close-up.onnx")
    weight_of = {node.name: node.input[1] for node in model.graph.node if node.op_type == "Conv"}
    last = {"up.0.first", "up.0.second", "up.0.shortcut", "maps"}
    assert {weight_of[name] for name in heads(model, 4)} == {f"networks.{i}.{of}.weight" for i in (0, 1) for of in last}
