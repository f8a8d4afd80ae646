"""The way round with a real Orthanc: a film to the node by C-STORE, its results back, found by QIDO-RS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from lumbar.films import open_film
from lumbar.pacs.sr_in import read_report
from lumbar.pipeline import Reader
from tests.command import lumbar
from tests.listening import Listening
from tests.orthanc import Orthanc, a_free_port, needs_orthanc

EXAMPLE = Path(__file__).parent.parent / "src" / "lumbar" / "examples" / "study"

pytestmark = needs_orthanc


@pytest.fixture
def orthanc(tmp_path: Path) -> Iterator[Orthanc]:
    server = Orthanc(tmp_path / "orthanc", a_free_port_for_node := a_free_port())
    server.node_port = a_free_port_for_node
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("way", ["C-STORE", "STOW-RS"])
def test_a_film_sent_to_the_node_comes_back_as_a_report_with_the_same_points(
    tmp_path: Path, orthanc: Orthanc, way: str
) -> None:
    to = orthanc.address if way == "C-STORE" else orthanc.dicomweb
    node = Listening(tmp_path / "queue", orthanc.node_port, to, "--allow", "ORTHANC")
    node.start()
    try:
        film = dcmread(EXAMPLE / "flexion.dcm")
        orthanc.put(EXAMPLE / "flexion.dcm")
        orthanc.send_to_node(film.SOPInstanceUID)
        orthanc.wait(lambda: len(orthanc.found(StudyInstanceUID=film.StudyInstanceUID)) == 4, 240)
        (report,) = orthanc.found(StudyInstanceUID=film.StudyInstanceUID, Modality="SR")
        found = orthanc.file(*orthanc.held(SOPInstanceUID=report), tmp_path)
        again = Reader.shipped(1).read(open_film(EXAMPLE / "flexion.dcm"), "flexion.dcm", "DICOM")
        (tmp_path / "back.dcm").write_bytes(Path(found.filename).read_bytes())
        assert read_report(tmp_path / "back.dcm", "flexion.dcm").reading == again
        orthanc.send_to_node(film.SOPInstanceUID)  # a second time changes nothing
        orthanc.wait(lambda: "was here before" in node.log.read_text(), 120)
        assert len(orthanc.found(StudyInstanceUID=film.StudyInstanceUID)) == 4
    finally:
        node.end()
    assert str(film.PatientName) not in node.log.read_text() and str(film.PatientID) not in node.log.read_text()
    assert film.SOPInstanceUID in node.log.read_text()


def test_a_study_is_pulled_and_what_is_no_film_is_named(tmp_path: Path, orthanc: Orthanc) -> None:
    for name in ("flexion", "extension"):
        orthanc.put(EXAMPLE / f"{name}.dcm")
    frontal = dcmread(EXAMPLE / "neutral.dcm")
    frontal.ViewPosition = "AP"
    frontal.save_as(tmp_path / "frontal.dcm")
    orthanc.put(tmp_path / "frontal.dcm")
    study = frontal.StudyInstanceUID
    done = lumbar("pull", study, "--from", orthanc.dicomweb, "--out", tmp_path / "films")
    assert done.returncode == 0, done.stderr
    pulled = {dcmread(path).SOPInstanceUID for path in (tmp_path / "films").iterdir()}
    assert pulled == {dcmread(EXAMPLE / f"{name}.dcm").SOPInstanceUID for name in ("flexion", "extension")}
    assert f"{frontal.SOPInstanceUID}: passed over, its view is frontal" in done.stderr
    np.testing.assert_array_equal(
        np.sort([open_film(path).pixels.mean() for path in (tmp_path / "films").iterdir()]),
        np.sort([open_film(EXAMPLE / f"{name}.dcm").pixels.mean() for name in ("flexion", "extension")]),
    )
    missing = lumbar("pull", "1.2.3.4", "--from", orthanc.dicomweb, "--out", tmp_path / "none")
    assert missing.returncode == 1 and "has no study of this UID" in missing.stderr
