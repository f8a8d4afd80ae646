"""Any film in: the content of a file decides how it is read, and a given spacing overrides the file's own."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import FileMetaDataset, dcmread, dcmwrite

from lumbar.anatomy import Side
from lumbar.dicom import write_dx
from lumbar.films import open_film
from lumbar.radiograph import PixelSpacing, Radiograph, UnreadableFilm

GREY = np.round(np.linspace(0, 255, 48 * 40)).reshape(48, 40).astype(np.uint8)
GIVEN = PixelSpacing(0.2, 0.2, "--spacing", "patient")


def a_dicom(path: Path) -> Path:
    write_dx(
        path,
        Radiograph((GREY / 255).astype(np.float32), anterior=Side.LEFT),
        imager_spacing_mm=0.15,
        source_to_detector_mm=1200,
        source_to_object_mm=1000,
        series_description="lateral, neutral",
        study_uid="1.2.3",
        patient_id="SIM",
        patient_name="Nobody",
        seed=1,
    )
    return path


def a_picture(path: Path, kind: str = "PNG") -> Path:
    Image.fromarray(GREY).save(path, format=kind)
    return path


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_a_picture_is_read_whatever_its_name(tmp_path: Path, kind: str) -> None:
    for name in ("film.dcm", "film.jpg", "film"):
        np.testing.assert_allclose(open_film(a_picture(tmp_path / name, kind)).pixels, GREY / 255, atol=1e-6)


def test_a_dicom_file_is_read_whatever_its_name(tmp_path: Path) -> None:
    for name in ("film.dcm", "film.png", "IM000001"):
        film = open_film(a_dicom(tmp_path / name))
        np.testing.assert_allclose(film.pixels, GREY / 255, atol=2e-4)
        assert film.anterior is Side.LEFT and film.spacing is not None


def test_a_dicom_file_whose_preamble_is_a_tiff_header_is_read_as_dicom(tmp_path: Path) -> None:
    path = a_dicom(tmp_path / "film")
    path.write_bytes(b"II*\0" + path.read_bytes()[4:])
    assert open_film(path).anterior is Side.LEFT


@pytest.mark.parametrize(
    ("implicit", "little"), [(True, True), (False, True), (False, False)], ids=["implicit", "explicit", "big-endian"]
)
def test_a_dicom_file_without_preamble_is_recognised(tmp_path: Path, implicit: bool, little: bool) -> None:
    dataset = dcmread(a_dicom(tmp_path / "film"))
    if not little:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dataset.file_meta = FileMetaDataset()
    dcmwrite(tmp_path / "bare.png", dataset, implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    film = open_film(tmp_path / "bare.png")
    np.testing.assert_allclose(film.pixels, GREY / 255, atol=2e-4)


def test_a_given_spacing_overrides_the_files(tmp_path: Path) -> None:
    for path in (a_dicom(tmp_path / "film.dcm"), a_picture(tmp_path / "film.png")):
        assert open_film(path, GIVEN).spacing is GIVEN
    assert open_film(tmp_path / "film.dcm").spacing != GIVEN
    assert open_film(tmp_path / "film.png").spacing is None


def test_a_given_spacing_keeps_all_else(tmp_path: Path) -> None:
    path = a_dicom(tmp_path / "film.dcm")
    own, given = open_film(path), open_film(path, GIVEN)
    assert np.array_equal(own.pixels, given.pixels)
    assert (own.anterior, own.posture) == (given.anterior, given.posture) == (Side.LEFT, own.posture)
    assert own.posture is not None


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"%PDF-1.7 " + bytes(500), "neither DICOM nor a PNG"),
        (b"\x08\x00\x05\x00CS", "DICOM"),
        (b"\x89PNG\r\n\x1a\n" + bytes(500), "damaged"),
        (b"x", "neither DICOM nor a PNG"),
    ],
    ids=["empty", "pdf", "start of a DICOM file", "start of a PNG", "one byte"],
)
def test_what_is_no_film_is_refused_with_its_reason(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "film").write_bytes(content)
    with pytest.raises(UnreadableFilm, match=problem):
        open_film(tmp_path / "film")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFilm, match="no such file"):
        open_film(tmp_path / "film.dcm")
    with pytest.raises(UnreadableFilm, match="folder"):
        open_film(tmp_path)


def test_a_refusal_is_one_line_and_survives_pickling() -> None:
    refusal = UnreadableFilm("the file\nis empty", "export it again")
    again = pickle.loads(pickle.dumps(refusal))
    assert str(again) == str(refusal) == "the file is empty; export it again"
    assert (again.problem, again.remedy) == ("the file is empty", "export it again")
    assert isinstance(refusal, ValueError)


def test_films_are_opened_without_loading_the_dicom_library_until_it_is_needed(tmp_path: Path) -> None:
    code = "import sys; from lumbar.films import open_film; open_film(sys.argv[1]); print('pydicom' in sys.modules)"
    for path, loaded in ((a_picture(tmp_path / "film.png"), "False"), (a_dicom(tmp_path / "film.dcm"), "True")):
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
        assert (done.stdout.strip(), done.stderr) == (loaded, "")
