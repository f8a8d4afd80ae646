"""The commands as others script against them: what is written, what is said, how they leave."""

import csv
import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from lumbar.reading import Reading
from lumbar.study import StudyAssessment
from lumbar.synthesis.writing import Order, write
from tests.command import lumbar

EXAMPLE = Path(__file__).parent.parent / "src" / "lumbar" / "examples" / "study"


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    list(write(folder, Order(2, 0, 5002, 768)))
    return folder


@pytest.fixture(scope="module")
def read_films(films, tmp_path_factory):
    """Both films read into one folder."""
    out = tmp_path_factory.mktemp("out")
    return out, lumbar("read", films / "film_00000.png", films / "film_00001.png", "--out", out, "--threads", 1)


def test_each_film_gets_its_reading_overlay_and_report(read_films):
    out, done = read_films
    assert done.returncode == 0, done.stderr
    names = [f"film_0000{i}.{kind}" for i in (0, 1) for kind in ("overlay.png", "reading.json", "report.html")]
    assert sorted(p.name for p in out.iterdir()) == sorted(names)
    assert "L4/L5" in done.stdout and "film_00001.png" in done.stdout and done.stderr == ""


def test_the_json_is_what_others_script_against(read_films):
    out, _ = read_films
    document = json.loads((out / "film_00000.reading.json").read_text())
    assert list(document["vertebrae"]) == ["L1", "L2", "L3", "L4", "L5", "S1"]
    four = {"superior_anterior", "superior_posterior", "inferior_anterior", "inferior_posterior"}
    assert set(document["vertebrae"]["L3"]) == four and len(document["vertebrae"]["S1"]) == 2
    assert document["anterior"] in ("left", "right") and len(document["box"]) == 4
    for entry in document["measurements"]:
        assert set(entry) in (
            {"quantity", "site", "value", "unit", "standard_error", "method"},
            {"quantity", "site", "reason"},
        )
    assert len(document["weights"]["landmarks"]) == 64
    assert Reading.from_json((out / "film_00000.reading.json").read_text()).film == "film_00000.png"


def test_the_overlay_is_a_picture_and_the_report_holds_it(read_films):
    out, _ = read_films
    picture = cv2.imread(str(out / "film_00000.overlay.png"))
    assert picture.shape[2] == 3 and np.ptp(picture.astype(int), axis=2).max() > 100
    assert "data:image/jpeg;base64," in (out / "film_00000.report.html").read_text()


def test_png_films_have_no_mm_until_a_spacing_is_given(films, read_films, tmp_path):
    out, _ = read_films
    without = Reading.from_json((out / "film_00000.reading.json").read_text())
    assert "give --spacing" in without.measured("sagittal_displacement_endplate", "L4/L5").reason
    done = lumbar("read", films / "film_00000.png", "--out", tmp_path, "--spacing", "0.2,0.2", "--threads", 1)
    assert done.returncode == 0
    reading = Reading.from_json((tmp_path / "film_00000.reading.json").read_text())
    assert (
        reading.measured("sagittal_displacement_endplate", "L4/L5").unit == "mm"
        and reading.spacing.source == "--spacing"
    )


def bad_inputs(folder: Path) -> dict[str, str]:
    """Name -> what its line must say, after the files were made in `folder`."""
    noise = np.random.default_rng(0).integers(0, 255, (400, 300), dtype=np.uint8)
    (folder / "text.png").write_text("not a picture")
    (folder / "empty.png").write_bytes(b"")
    Image.fromarray(noise).save(folder / "whole.png")
    (folder / "cut.png").write_bytes((folder / "whole.png").read_bytes()[:5000])
    (folder / "whole.png").unlink()
    Image.fromarray(noise[:1, :1]).save(folder / "dot.png")
    Image.new("1", (20_000, 20_000)).save(folder / "huge.png")
    (folder / "folder.png").mkdir()
    dicom = sorted(EXAMPLE.glob("*.dcm"))[0]
    (folder / "cut.dcm").write_bytes(dicom.read_bytes()[:40_000])
    frames = dcmread(dicom)
    frames.NumberOfFrames, frames.Rows, frames.Columns = 2, 100, 100
    frames.PixelData = bytes(2 * 100 * 100 * 2)
    frames.save_as(folder / "frames.dcm")
    return {
        "text.png": "neither DICOM nor",
        "empty.png": "empty",
        "cut.png": "",
        "dot.png": "1 x 1",
        "huge.png": "pixels",
        "folder.png": "folder",
        "missing.png": "",
        "cut.dcm": "",
        "frames.dcm": "2 frames",
    }


def test_bad_input_gets_one_clear_line_and_does_not_cost_the_good_input_beside_it(films, tmp_path):
    expected = bad_inputs(tmp_path)
    out = tmp_path / "out"
    done = lumbar(
        "read", *(tmp_path / name for name in expected), films / "film_00000.png", "--out", out, "--threads", 1
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(expected), done.stderr
    for line, (name, words) in zip(lines, expected.items(), strict=True):
        assert line.startswith(f"{tmp_path / name}: ") and words in line and re.search(r"[;,] ", line), line
    assert sorted(p.name for p in out.iterdir()) == [
        f"film_00000.{k}" for k in ("overlay.png", "reading.json", "report.html")
    ]


def test_a_film_without_a_spine_is_an_answer(tmp_path):
    Image.fromarray(np.zeros((500, 400), np.uint8)).save(tmp_path / "blank.png")
    done = lumbar("read", tmp_path / "blank.png", "--out", tmp_path / "out", "--threads", 1)
    assert done.returncode == 0 and "no lumbar spine found" in done.stdout
    document = json.loads((tmp_path / "out" / "blank.reading.json").read_text())
    assert document["box"] is None and document["vertebrae"]["L1"]["superior_anterior"] is None


def test_two_films_of_one_name_do_not_overwrite_each_other(films, tmp_path):
    shutil.copy(films / "film_00000.png", tmp_path / "film_00001.png")
    done = lumbar(
        "read", films / "film_00001.png", tmp_path / "film_00001.png", "--out", tmp_path / "out", "--threads", 1
    )
    assert done.returncode == 1 and "would overwrite" in done.stderr
    assert json.loads((tmp_path / "out" / "film_00001.reading.json").read_text())["film"] == "film_00001.png"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["read"], "Missing argument"),
        (["read", "x.png"], "--out"),
        (["read", "x.png", "--out", "{out}", "--spacing", "wide"], "--spacing must be ROW or ROW,COLUMN"),
        (["read", "x.png", "--out", "{out}", "--facing", "up"], "--facing"),
        (["read", "x.png", "--out", "{out}", "--weights", "{out}"], "no weights for localiser"),
        (["serve", "--data", "{out}/desk", "--weights", "{out}"], "no weights for localiser"),
        (["assess", "--out", "{out}"], "give either a STUDY folder"),
        (["assess", "--out", "{out}", "--flexion", "f.dcm"], "both needed"),
        (["assess", "nowhere", "--out", "{out}"], "STUDY must be a folder"),
        (["synthesise", "--out", "{out}"], "give --films N"),
        (["train", "landmarks", "--out", "{out}", "--method", "magic"], "method must be one of hourglass-2"),
        (["train", "landmarks", "--out", "{out}", "--schedule", "steep"], "schedule must be one of"),
        (["export", "landmarks", "nowhere.safetensors", "--out", "{out}"], "no weights at nowhere.safetensors"),
    ],
)
def test_wrong_usage_is_named_and_leaves_with_2(tmp_path, arguments, words):
    done = lumbar(*(a.format(out=tmp_path) for a in arguments))
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_study_is_assessed(tmp_path):
    list(write(tmp_path, Order(0, 4, 3, 256)))
    out = tmp_path / "out"
    done = lumbar("assess", tmp_path / "study_00003", "--out", out, "--threads", 1)
    assert done.returncode == 0, done.stderr
    document = json.loads((out / "study.json").read_text())
    assert [level["site"] for level in document["levels"]] == ["L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"]
    contract = {"site", "translation_mm", "angulation_deg", "slip_percent", "grade", "verdict", "probability"}
    for level in document["levels"]:
        assert contract <= set(level) and level["verdict"] in ("stable", "unstable", "undetermined")
        assert isinstance(level["translation_mm"], float) and 0 <= level["probability"] <= 1
    assert document["films"] == {"flexion": "flexion.dcm", "neutral": "neutral.dcm", "extension": "extension.dcm"}
    assert StudyAssessment.from_json((out / "study.json").read_text()).levels
    assert (out / "study.html").read_text().count("<img") == 3


def test_films_of_a_study_can_be_named(tmp_path):
    list(write(tmp_path, Order(0, 4, 3, 256)))
    home = tmp_path / "study_00003"
    films = ["--flexion", home / "flexion.dcm", "--extension", home / "extension.dcm"]
    done = lumbar("assess", *films, "--out", tmp_path / "out", "--threads", 1)
    assert done.returncode == 0 and "neutral" not in json.loads((tmp_path / "out" / "study.json").read_text())["films"]


def test_a_study_that_lacks_a_film_says_so(tmp_path):
    list(write(tmp_path, Order(0, 4, 3, 256)))
    (tmp_path / "study_00003" / "flexion.dcm").write_bytes(b"")
    done = lumbar("assess", tmp_path / "study_00003", "--out", tmp_path / "out", "--threads", 1)
    assert done.returncode == 1 and "flexion.dcm" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out" / "study.json").exists()


def test_the_demo_reads_the_study_that_comes_with_the_package(tmp_path):
    done = lumbar("demo", "--out", tmp_path, "--threads", 1)
    assert (
        done.returncode == 0
        and "P(unstable)" in done.stdout
        and str(tmp_path / "study.html") in done.stderr.replace("\n", "")
    )
    study = json.loads((tmp_path / "study.json").read_text())
    assert all(isinstance(level["translation_mm"], float) for level in study["levels"])


def test_films_and_studies_are_written_with_their_manifest(tmp_path):
    assert lumbar("synthesise", "--films", 2, "--studies", 1, "--seed", 5, "--out", tmp_path).returncode == 0
    rows = list(csv.DictReader((tmp_path / "manifest.csv").read_text().splitlines()))
    assert [row["film"] for row in rows[:2]] == ["film_00000.png", "film_00001.png"] and len(rows) == 5
    for row in rows:
        assert (tmp_path / row["film"]).with_suffix(".csv").is_file()
        assert row["row_mm"] == "" if row["photograph"] == "1" else float(row["row_mm"]) > 0


def test_films_of_two_patients_are_no_study(tmp_path):
    for film in EXAMPLE.glob("*.dcm"):
        shutil.copy(film, tmp_path)
    other = dcmread(tmp_path / "extension.dcm")
    other.PatientID = "SOMEBODY-ELSE"
    other.save_as(tmp_path / "extension.dcm")
    done = lumbar("assess", tmp_path, "--out", tmp_path / "out", "--threads", 1)
    assert done.returncode == 1 and not (tmp_path / "out" / "study.json").exists()
    assert "must be of one patient" in done.stderr and "SOMEBODY-ELSE" not in done.stderr


def test_the_criteria_are_listed_and_an_unknown_one_is_named(tmp_path):
    listed = lumbar("criteria").stdout
    assert "white-panjabi: translation > 4.5 mm or > 15 % of the endplate" in listed and "Hayes 1989" in listed
    done = lumbar("assess", EXAMPLE, "--criteria", "mine", "--out", tmp_path)
    assert done.returncode == 2 and "--criteria must be one of paper, ama-5" in done.stderr
