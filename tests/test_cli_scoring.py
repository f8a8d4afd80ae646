"""`lumbar evaluate`, `compare` and `dataset` as others script against them."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from lumbar.cli.data import FormatName
from lumbar.datasets import FORMATS
from lumbar.methods import METHODS
from lumbar.synthesis.writing import Order, write
from lumbar.training import TrainedMethod, checkpoint
from lumbar.windows import View
from tests.command import lumbar


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    list(write(folder, Order(3, 0, 4242, 384)))
    return folder


def a_run(folder: Path, view: View = View.BOX) -> Path:
    """A network that was never trained, as a training run leaves it."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    network = METHODS["lsld-net"]().build()
    about = {"method": "lsld-net", "height": "64", "width": "32", "view": view.value, "step": "0"}
    checkpoint.write_tensors(folder / "best.safetensors", network.state_dict(), about)
    return folder / "best.safetensors"


@pytest.fixture(scope="module")
def evaluated(films, tmp_path_factory):
    """An untrained run scored on a folder in which one film is broken."""
    broken = tmp_path_factory.mktemp("data")
    for path in films.iterdir():
        shutil.copy(path, broken)
    (broken / "film_00001.csv").write_text("1,2,3\n")
    out = tmp_path_factory.mktemp("scored")
    return out, lumbar("evaluate", broken, "--run", a_run(out / "run"), "--out", out / "report")


def test_a_film_that_cannot_be_scored_costs_one_line_and_not_the_others(evaluated):
    out, done = evaluated
    assert done.returncode == 1
    assert "film_00001.png: film_00001.csv: row 1 must start with four numbers" in done.stderr
    assert "Traceback" not in done.stderr
    document = json.loads((out / "report" / "evaluation.json").read_text())
    assert document["films"]["films"] == 2 and document["method"] == "lsld-net"
    assert document["made"]["training step"] == "0" and len(document["made"]["commit"]) >= 7


def test_an_evaluation_is_json_markdown_csv_points_and_a_page(evaluated):
    out, done = evaluated
    names = {"evaluation.json", "evaluation.md", "evaluation.csv", "evaluation.html", "points.csv"}
    assert {path.name for path in (out / "report").iterdir()} == names
    assert len((out / "report" / "points.csv").read_text().splitlines()) == 1 + 2 * 22
    assert "names off by a level" in done.stdout


def test_compare_prints_the_papers_figures_beside_ours(evaluated, tmp_path):
    out, _ = evaluated
    done = lumbar("compare", out / "report", "--out", tmp_path / "tables.md")
    assert done.returncode == 0, done.stderr
    assert "Table I on" in done.stdout and "[7.1]" in done.stdout and "[7.1]" in (tmp_path / "tables.md").read_text()


def test_compare_names_a_file_that_is_no_evaluation(tmp_path):
    (tmp_path / "other.json").write_text("{}")
    done = lumbar("compare", tmp_path)
    assert done.returncode == 2 and "other.json: this is not an evaluation" in done.stderr


def test_a_network_for_whole_films_is_shown_whole_films(films, tmp_path):
    from lumbar.anatomy import Side
    from lumbar.films import open_film

    def no_box(*_: object) -> None:
        raise AssertionError("the localiser must not be asked")

    trained = TrainedMethod.load(a_run(tmp_path, View.FILM))
    assert trained.name == "lsld-net on whole films"
    film = open_film(films / "film_00000.png").facing(Side.LEFT)
    assert trained.landmarks(film, no_box).shape == (22, 2)


def test_a_split_is_drawn_trained_by_and_scored_by(films, tmp_path):
    done = lumbar("dataset", "split", films, "--validation", 1, "--test", 1, "--out", tmp_path / "lists")
    assert done.returncode == 0 and "train 1, validation 1, test 1 patients" in done.stdout
    done = lumbar(
        "train", "landmarks", "--data", films, "--split", tmp_path / "lists", "--out", tmp_path / "run", "--height", 64,
        "--epochs", 1, "--epoch-films", 2, "--workers", 0, "--device", "cpu",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    done = lumbar(
        "evaluate",
        films,
        "--split",
        tmp_path / "lists",
        "--run",
        tmp_path / "run" / "best.safetensors",
        "--out",
        tmp_path / "e",
    )
    assert done.returncode == 0, done.stderr
    tested = (tmp_path / "lists" / "test.txt").read_text().split()
    lines = json.loads((tmp_path / "e" / "evaluation.json").read_text())["lines"]
    assert [line["patient"] for line in lines] == tested


def test_training_by_a_split_never_opens_a_test_film(films, tmp_path):
    for path in films.iterdir():
        shutil.copy(path, tmp_path)
    lists = tmp_path / "lists"
    assert lumbar("dataset", "split", tmp_path, "--validation", 1, "--test", 1, "--out", lists).returncode == 0
    tested = (lists / "test.txt").read_text().strip()
    (tmp_path / f"{tested}.csv").write_text("1,2,3\n")  # whoever opens it fails
    run = ("train", "landmarks", "--data", tmp_path, "--height", 64, "--epochs", 1, "--epoch-films", 24, "--workers", 0)
    apart = lumbar(*run, "--split", lists, "--out", tmp_path / "apart", "--device", "cpu")
    assert apart.returncode == 0, apart.stderr
    assert lumbar(*run, "--out", tmp_path / "all", "--device", "cpu").returncode != 0


def test_a_malformed_table_of_motions_is_named_and_not_passed_over(tmp_path):
    (tmp_path / "study_00000").mkdir()
    (tmp_path / "study_00000" / "flexion.png").write_bytes(b"")
    (tmp_path / "motions.csv").write_text("study,site\nstudy_00000,L4/L5\n")
    done = lumbar("evaluate", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 2 and "motions.csv: row 2" in done.stderr


def test_dataset_check_says_what_is_wrong_and_counts_what_is_there(films, tmp_path):
    good = lumbar("dataset", "check", films)
    assert "pairs: 3 of 3" in good.stdout
    for path in films.iterdir():
        shutil.copy(path, tmp_path)
    (tmp_path / "film_00002.csv").unlink()
    done = lumbar("dataset", "check", tmp_path)
    assert done.returncode == 1 and "film_00002.png: no csv" in done.stdout


def test_dataset_convert_goes_there_and_back(films, tmp_path):
    done = lumbar("dataset", "convert", films, tmp_path / "all.json", "--from", "buu", "--to", "coco")
    assert done.returncode == 0 and "3 films" in done.stdout, done.stderr
    assert len(json.loads((tmp_path / "all.json").read_text())["annotations"]) == 3


def test_the_command_line_takes_every_format():
    assert set(FormatName) == set(FORMATS)
