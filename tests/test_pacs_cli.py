"""The commands in and out of the PACS, as others script against them."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pynetdicom import AE

from lumbar.cli.export import Export
from lumbar.cli.pacs import _tls
from lumbar.dicom import read_dicom
from lumbar.pacs.deidentify import KEPT, Pseudonyms, deidentified_film, write_film
from lumbar.pacs.node import Node, NodeSettings
from lumbar.pacs.spool import Spool
from lumbar.radiograph import UnreadableFilm
from lumbar.reading import Reading
from tests.command import lumbar
from tests.spines import a_reading, a_spine
from tests.test_pacs_results import corner_item, errors_in, needs_validators

EXAMPLE = Path(__file__).parent.parent / "src" / "lumbar" / "examples" / "study"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundled study, assessed with --dicom-out."""
    folder = tmp_path_factory.mktemp("exported")
    for film in EXAMPLE.glob("*.dcm"):
        shutil.copy(film, folder)
    done = lumbar("assess", folder, "--out", folder / "out", "--dicom-out", "--threads", 1)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_study_gets_one_report_on_all_its_films(exported: Path) -> None:
    report = dcmread(exported / "out" / "study.report.dcm")
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    films = {
        film.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for film in series.ReferencedSOPSequence
    }
    assert films == {dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in EXAMPLE.glob("*.dcm")}


def test_a_film_gets_its_dicom_results_beside_the_others(exported: Path) -> None:
    names = {path.name for path in (exported / "out").iterdir()}
    assert {f"flexion.{kind}.dcm" for kind in ("report", "presentation", "overlay")} < names
    film = dcmread(exported / "flexion.dcm", stop_before_pixels=True)
    for path in (exported / "out").glob("*.dcm"):
        made = dcmread(path)
        assert (made.StudyInstanceUID, made.PatientID) == (film.StudyInstanceUID, film.PatientID)
        assert made.SeriesInstanceUID != film.SeriesInstanceUID


def test_a_corrected_report_is_measured_again_and_the_original_stays(exported: Path, tmp_path: Path) -> None:
    report = dcmread(exported / "out" / "flexion.report.dcm")
    corner = corner_item(report, "L4 inferior_posterior")
    corner.GraphicData = [corner.GraphicData[0] + 12.0, corner.GraphicData[1]]
    report.save_as(tmp_path / "corrected.dcm")
    before = (tmp_path / "corrected.dcm").read_bytes()
    done = lumbar("measure", tmp_path / "corrected.dcm", "--film", exported / "flexion.dcm", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    names = {"flexion.report.dcm", "flexion.presentation.dcm", "flexion.overlay.dcm", "flexion.reading.json"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == names
    old, new = (
        Reading.from_json((folder / "flexion.reading.json").read_text())
        for folder in (exported / "out", tmp_path / "out")
    )
    assert abs(new.measured("slip", "L4/L5").value - old.measured("slip", "L4/L5").value) > 3
    assert new.measured("slip", "L1/L2") == old.measured("slip", "L1/L2")
    again = dcmread(tmp_path / "out" / "flexion.report.dcm")
    predecessor = again.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert predecessor.ReferencedSOPInstanceUID == report.SOPInstanceUID != again.SOPInstanceUID
    assert (tmp_path / "corrected.dcm").read_bytes() == before
    alone = lumbar("measure", tmp_path / "corrected.dcm", "--out", tmp_path / "alone")
    assert alone.returncode == 0, alone.stderr
    without = Reading.from_json((tmp_path / "alone" / "corrected.reading.json").read_text())
    assert without.measurements == new.measurements


@pytest.mark.parametrize("film", ["extension.dcm", None])
def test_measure_refuses_another_film_and_another_file(exported: Path, tmp_path: Path, film: str | None) -> None:
    report = exported / "out" / "flexion.report.dcm" if film else exported / "flexion.dcm"
    more = ["--film", EXAMPLE / film] if film else []
    done = lumbar("measure", report, *more, "--out", tmp_path)
    assert done.returncode == 1 and str(report) in done.stderr and not list(tmp_path.glob("*.json"))


def test_measure_overwrites_no_report(exported: Path) -> None:
    report = exported / "out" / "flexion.report.dcm"
    before = report.read_bytes()
    done = lumbar("measure", report, "--film", exported / "flexion.dcm", "--out", exported / "out")
    assert done.returncode == 2 and "must be another folder" in done.stderr and report.read_bytes() == before


@needs_validators
def test_a_deidentified_export_names_nobody_and_fits_together(tmp_path: Path) -> None:
    film = dcmread(EXAMPLE / "flexion.dcm")
    film.PatientName, film.PatientID, film.AccessionNumber = "Secretname^Given", "SECRET-17", "SECRET-ACC"
    film.StudyDate, film.SeriesDescription, film.InstitutionName = "19991231", "SECRET flexion", "SECRET hospital"
    film.private_block(0x0011, "SECRET VENDOR", create=True).add_new(1, "LO", "SECRET")
    film.save_as(tmp_path / "Secretname_17.dcm")
    out = tmp_path / "out"
    done = lumbar("read", tmp_path / "Secretname_17.dcm", "--out", out, "--dicom-out", "--deidentify", "--threads", 1)
    assert done.returncode == 0, done.stderr
    assert "secret" not in (done.stdout + done.stderr).lower()
    copies = list(out.glob("*.film.dcm"))
    assert len(copies) == 1
    copy = dcmread(copies[0])
    for path in out.iterdir():
        assert "secret" not in path.name.lower()
        data = path.read_bytes().lower()
        assert b"secret" not in data and b"19991231" not in data
        for uid in (film.SOPInstanceUID, film.StudyInstanceUID, film.SeriesInstanceUID):
            assert uid.encode() not in data
        if path.suffix == ".dcm":
            assert errors_in(path) == []
            assert dcmread(path).StudyInstanceUID == copy.StudyInstanceUID
    report = next(out.glob("*.report.dcm"))
    (study,) = dcmread(report).CurrentRequestedProcedureEvidenceSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == copy.SOPInstanceUID
    original, kept = read_dicom(EXAMPLE / "flexion.dcm"), read_dicom(copies[0])
    np.testing.assert_array_equal(kept.pixels, original.pixels)
    assert kept.spacing == original.spacing and kept.anterior == original.anterior


def test_pseudonyms_hold_within_a_run_and_not_beyond_it() -> None:
    one, other = Pseudonyms(), Pseudonyms()
    assert one.uid("1.2") == one.uid("1.2") != one.uid("1.3") and one.uid("1.2") != other.uid("1.2")


def test_a_film_with_burned_in_text_is_not_exported_as_if_it_named_nobody(tmp_path: Path) -> None:
    film = dcmread(EXAMPLE / "flexion.dcm")
    film.BurnedInAnnotation = "YES"
    film.save_as(tmp_path / "film.dcm")
    with pytest.raises(UnreadableFilm, match="burned-in text"):
        deidentified_film(tmp_path / "film.dcm", Pseudonyms())


@needs_validators
@pytest.mark.parametrize("name", ["flexion", "neutral"])
def test_a_deidentified_film_has_what_is_listed_and_is_valid(tmp_path: Path, name: str) -> None:
    write_film(tmp_path / "film.dcm", deidentified_film(EXAMPLE / f"{name}.dcm", Pseudonyms()))
    assert errors_in(tmp_path / "film.dcm") == []
    assert not {"InstitutionName", "SeriesDescription", "StudyDescription"} & set(KEPT)


def test_a_picture_has_no_study_to_put_results_into(tmp_path: Path) -> None:
    Image.new("L", (64, 64)).save(tmp_path / "film.png")
    with pytest.raises(UnreadableFilm, match="they would belong to no study"):
        Export.of(True, False).write_results(tmp_path / "film.png", tmp_path, a_reading(a_spine()), None, None)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "nowhere"], "a peer must be AE@host:port"),
        (["--to", "PACS@127.0.0.1:104", "--tls-authorities", "x.pem"], "needs --tls-certificate"),
        (["--to", "PACS@127.0.0.1:104", "--tls-certificate", "x.pem"], "must be PEM files"),
        (["--to", "PACS@127.0.0.1:104", "--weights", "nowhere"], "no weights"),
    ],
)
def test_listen_says_what_is_wrong_with_its_options(tmp_path: Path, words: list[str], said: str) -> None:
    done = lumbar("listen", "--queue", tmp_path / "queue", *words)
    assert done.returncode == 2 and said in done.stderr


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes this test's certificate")
def test_over_tls_only_who_shows_a_known_certificate_is_heard(tmp_path: Path) -> None:
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "certificate.pem"]
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *subject, *files],
        check=True,
        capture_output=True,
    )
    both = tmp_path / "both.pem"
    both.write_text((tmp_path / "certificate.pem").read_text() + (tmp_path / "key.pem").read_text())
    server, client = _tls(both, tmp_path / "certificate.pem")
    spool = Spool(tmp_path / "queue", 3)
    node = Node(spool, lambda film, name: {}, None, NodeSettings(port=0, tls=server), lambda line: None)
    port = node.start()
    try:
        stranger = ssl.create_default_context(cafile=tmp_path / "certificate.pem")
        for context, is_heard in ((client, True), (stranger, False), (None, False)):
            entity = AE("MODALITY")
            entity.add_requested_context("1.2.840.10008.1.1")
            entity.acse_timeout = entity.network_timeout = 3
            security = None if context is None else (context, "localhost")
            association = entity.associate("127.0.0.1", port, ae_title="LUMBAR", tls_args=security)
            assert association.is_established is is_heard
            if is_heard:
                assert association.send_c_echo().Status == 0
                association.release()
    finally:
        node.stop()
        spool.close()
