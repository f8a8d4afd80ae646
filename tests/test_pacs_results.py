"""What is written for a PACS: whole, valid by others' judgement, and the same numbers as in the JSON."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ComputedRadiographyImageStorage, generate_uid

from lumbar.anatomy import LANDMARK_INDEX, LANDMARKS, Corner, Posture, Side, Vertebra
from lumbar.images import libraries_silenced
from lumbar.measurements import Measurement
from lumbar.pacs import codes
from lumbar.pacs.header import film_header, header_of
from lumbar.pacs.results import results_of, write_objects
from lumbar.pacs.sr_in import UnreadableReport, read_report
from lumbar.pacs.sr_items import to_dicom
from lumbar.pacs.sr_out import reading_report, study_report
from lumbar.radiograph import UnreadableFilm
from lumbar.reading import NOTICE, Reading
from lumbar.report import draw_overlay
from lumbar.study import assess_study
from tests.spines import FILM_HEIGHT, FILM_WIDTH, a_film, a_reading, a_spine, no_landmarks

DOCS = Path(__file__).parent.parent / "docs"
SLIPPED = {"slip_percent": {"L4/L5": 30.0}, "corner_error_mm": 0.8}

needs_validators = pytest.mark.skipif(
    not all(shutil.which(name) for name in ("dciodvfy", "dsrdump", "dcmpschk", "dcm2pdf")),
    reason="dicom3tools and dcmtk are not installed; with apt: make system",
)


def a_header(number: int = 1, **tags: object) -> Dataset:
    """The header of a CR film of 1200 x 1500 pixels; tags that are None are left out."""
    with libraries_silenced():  # some tags are odd on purpose
        film = Dataset()
        film.SOPClassUID, film.Modality = ComputedRadiographyImageStorage, "CR"
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID"):
            setattr(film, keyword, generate_uid(entropy_srcs=[keyword, str(number)]))
        film.StudyInstanceUID = generate_uid(entropy_srcs=["study"])
        film.PatientID, film.PatientName, film.StudyID = "P-17", "Secret^Person", "S1"
        film.StudyDate, film.StudyTime, film.PatientOrientation = "20260102", "101112", ["P", "F"]
        film.Rows, film.Columns, film.PhotometricInterpretation = FILM_HEIGHT, FILM_WIDTH, "MONOCHROME2"
        film.WindowCenter, film.WindowWidth = 2048, 4096
        for keyword, value in tags.items():
            if value is None:
                delattr(film, keyword)
            else:
                setattr(film, keyword, value)
        return header_of(film)


def all_results(header: Dataset, reading: Reading, folder: Path) -> dict[str, Path]:
    pdf = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[]/Count 0>>endobj\ntrailer<</Root 1 0 R>>\n"
    made = results_of(header, reading, draw_overlay(a_film(), reading), pdf)
    return {path.name.split(".")[1]: path for path in write_objects(folder, "film", made)}


def the_study() -> tuple[object, dict[Posture, Reading], dict[Posture, Dataset]]:
    readings = {
        posture: a_reading(a_spine({"L4/L5": slip}, {"L4/L5": angle}, corner_error_mm=0.5), f"{posture}.dcm", posture)
        for posture, slip, angle in (
            (Posture.FLEXION, 20.0, -4.0),
            (Posture.NEUTRAL, 12.0, 5.0),
            (Posture.EXTENSION, 4.0, 11.0),
        )
    }
    headers = {posture: a_header(number) for number, posture in enumerate(readings)}
    study = assess_study(readings[Posture.FLEXION], readings[Posture.EXTENSION], readings[Posture.NEUTRAL])
    return study, readings, headers


@cache
def the_studys_report() -> Dataset:
    return study_report(*the_study())


def plain_groups_of(document: Dataset) -> dict[str, dict[str, Dataset]]:
    """Tracking identifier -> code of the concept -> item, by hand: highdicom's parser takes long over a study."""
    (measurements,) = (i for i in document.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "126010")
    groups = [
        {i.ConceptNameCodeSequence[0].CodeValue: i for i in g.ContentSequence} for g in measurements.ContentSequence
    ]
    return {group["112039"].TextValue: group for group in groups}


def groups_of(document: Dataset) -> dict[str, Dataset]:
    """Tracking identifier -> group."""
    report = hd.sr.Comprehensive3DSR.from_dataset(document).content
    found = [*report.get_planar_roi_measurement_groups(), *report.get_image_measurement_groups()]
    return {group.tracking_identifier: group for group in found}


# The report


def test_points_are_those_of_the_json_and_the_first_pixels_centre_is_at_a_half() -> None:
    reading = a_reading(a_spine(**SLIPPED))
    groups = groups_of(reading_report(a_header(), reading))
    for (vertebra, corner), point in zip(LANDMARKS, reading.landmarks.points_px, strict=True):
        group = groups[f"{vertebra} {corner}"]
        stored = np.array(group.roi.value, dtype=np.float32).ravel()
        np.testing.assert_array_equal(stored, (point + 0.5).astype(np.float32))
        (site,) = group.finding_sites
        assert site.value.value == codes.SITES[vertebra].value
        assert site.topographical_modifier.value == codes.CORNER[corner].value
    assert to_dicom(np.zeros(2)).tolist() == [0.5, 0.5]


def test_each_measurement_stands_in_the_report_with_its_unit_error_method_and_points() -> None:
    reading = a_reading(a_spine(**SLIPPED))
    groups = groups_of(reading_report(a_header(), reading))
    count = 0
    for figure in reading.measurements:
        name = "film" if figure.site in ("L1-S1", "S1") else figure.site
        found = groups[name].get_measurements(name=codes.QUANTITY[figure.quantity])
        if not isinstance(figure, Measurement):
            (said,) = groups[name].get_qualitative_evaluations(name=codes.QUANTITY[figure.quantity])
            assert said.value.value == "UNMEASURABLE" and not found
            continue
        (measured,) = found
        (item,) = measured
        children = {child.name.value: child for child in item.ContentSequence}
        assert measured.value == figure.value and measured.unit.value == figure.unit
        assert children["SE"].value == figure.standard_error and children["SE"].unit.value == figure.unit
        assert measured.method.scheme_designator == "99LUMBAR"
        assert measured.referenced_coordinates
        count += 1
    assert count == len(reading.measurements) - 1  # all but the wall's displacement at L5/S1


def test_the_report_names_its_films_its_software_and_its_purpose() -> None:
    reading = a_reading(a_spine(**SLIPPED))
    document = reading_report(a_header(), reading)
    texts = {element.value for element in document.iterall() if element.keyword == "TextValue"}
    assert {NOTICE, "landmarks sha256 a1b2", reading.software_version} <= texts
    assert document.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator in ("99LUMBAR", "DCM")
    assert "99LUMBAR" in {item.CodingSchemeDesignator for item in document.CodingSchemeIdentificationSequence}
    library = next(i for i in document.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "111028")
    assert a_header().SOPInstanceUID in str(library)
    assert (document.PatientID, document.StudyInstanceUID) == ("P-17", a_header().StudyInstanceUID)


def test_grade_and_its_probabilities_stand_in_the_report() -> None:
    reading = a_reading(a_spine(**SLIPPED))
    group = groups_of(reading_report(a_header(), reading))["L4/L5"]
    (grade,) = (grade for grade in reading.grades if grade.site == "L4/L5")
    (said,) = group.get_qualitative_evaluations(name=codes.GRADE_OF_SLIP)
    assert said.value.value == f"GRADE-{grade.grade}" == "GRADE-2"
    shares = tuple(group.get_measurements(name=code)[0].value for code in codes.GRADE_AT_LEAST)
    assert shares == grade.probability_at_least


def test_a_study_has_all_its_films_and_every_verdict_in_one_report() -> None:
    study, _, headers = the_study()
    document = the_studys_report()
    (evidence,) = document.CurrentRequestedProcedureEvidenceSequence
    films = {
        film.ReferencedSOPInstanceUID for s in evidence.ReferencedSeriesSequence for film in s.ReferencedSOPSequence
    }
    assert films == {header.SOPInstanceUID for header in headers.values()}
    groups = plain_groups_of(document)
    assert {f"{posture} L4 superior_anterior" for posture in Posture} <= set(groups)
    for level in study.levels:
        moved = groups[f"{level.site} motion"][codes.QUANTITY["translation"].value]
        assert moved.MeasuredValueSequence[0].FloatingPointValue == level.change.translation.value
        for verdict in level.stability:
            group = groups[f"{level.site} stability by {verdict.criteria}"]
            assert group["STABILITY"].ConceptCodeSequence[0].CodeValue == verdict.verdict.upper()
            if verdict.probability is None:
                assert "P-UNSTABLE" not in group
            else:
                assert group["P-UNSTABLE"].MeasuredValueSequence[0].FloatingPointValue == verdict.probability


def test_a_report_for_a_film_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"film of 1200 x 1500 pixels.*got 1200 x 99"):
        reading_report(a_header(Rows=99), a_reading(a_spine()))


# UIDs


def test_a_film_read_again_gives_the_same_uids_and_other_givens_give_others() -> None:
    def uids(reading: Reading, header: Dataset) -> list[str]:
        made = results_of(header, reading, draw_overlay(a_film(), reading))
        return [dataset.SOPInstanceUID for dataset in made.values()]

    first = uids(a_reading(a_spine()), a_header())
    assert len(set(first)) == 3 and first == uids(a_reading(a_spine()), a_header())
    others = [
        uids(a_reading(a_spine(), spacing=None), a_header()),
        uids(a_reading(a_spine()), a_header(2)),
    ]
    assert not set(first) & {uid for some in others for uid in some}
    assert not set(others[0]) & set(others[1])


# Valid by others' judgement


@needs_validators
@pytest.mark.parametrize(
    ("case", "header", "reading"),
    [
        ("plain", {}, lambda: a_reading(a_spine(**SLIPPED))),
        ("bare", {"PatientID": None, "StudyDate": None, "PatientOrientation": None, "WindowCenter": None}, lambda: a_reading(a_spine())),
        ("no spacing, MONOCHROME1", {"PhotometricInterpretation": "MONOCHROME1"}, lambda: a_reading(a_spine(), spacing=None)),
        ("corners absent", {}, lambda: a_reading(a_spine(absent=((Vertebra.L1, Corner.SUPERIOR_ANTERIOR),)))),
        ("no errors", {}, lambda: a_reading(a_spine(corner_error_mm=float("nan")))),
        ("not Latin-1", {"PatientName": "Şener^Łukasz"}, lambda: a_reading(a_spine())),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_two_validators_find_no_error_in_any_object(tmp_path: Path, case: str, header: dict, reading) -> None:
    for kind, path in all_results(a_header(**header), reading(), tmp_path).items():
        assert errors_in(path) == [], (case, kind)
        if (case, kind) != ("not Latin-1", "presentation"):  # dcmpschk takes any letter beyond ASCII for an error
            second_opinion(kind, path)


@needs_validators
def test_two_validators_find_no_error_in_a_studys_report(tmp_path: Path) -> None:
    (path,) = write_objects(tmp_path, "study", {"report": the_studys_report()})
    assert errors_in(path) == []
    second_opinion("report", path)


def errors_in(path: Path) -> list[str]:
    done = subprocess.run(["dciodvfy", path], capture_output=True, text=True)
    said = (done.stdout + done.stderr).splitlines()
    assert any(line and not line.startswith(("Warning", "Error")) for line in said), (
        "dciodvfy did not recognise the object"
    )
    return [line for line in said if line.startswith("Error")]


def second_opinion(kind: str, path: Path) -> None:
    """DCMTK's, and for reports highdicom's own parser as well."""
    command = {
        "report": ["dsrdump", path],
        "presentation": ["dcmpschk", path],
        "overlay": ["dcmj2pnm", path, path.with_suffix(".ppm")],
        "pdf": ["dcm2pdf", path, path.with_suffix(".pdf")],
    }[kind]
    done = subprocess.run(command, capture_output=True, text=True)
    bad = [line for line in done.stderr.splitlines() if line.startswith(("E:", "F:")) or "Test failed" in line]
    assert done.returncode == 0 and not bad, done.stderr
    if kind == "report":
        assert "Imaging Measurement Report" in done.stdout
        assert hd.sr.srread(path).content
    if kind == "presentation":
        assert "Test passed" in done.stderr
    assert missing_by_highdicoms_tables(dcmread(path)) == []


def missing_by_highdicoms_tables(dataset: Dataset) -> list[str]:
    """Attributes of type 1 or 2 that a mandatory module lacks, at any depth, by the tables of PS3.3 that highdicom carries."""
    from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map, get_sop_class_iod_map

    known = get_iod_module_map()[get_sop_class_iod_map()[dataset.SOPClassUID]]
    # What a report's items need depends on their value types, which the tables leave out and dsrdump checks.
    modules = [m["key"] for m in known if m["usage"] == "M" and m["key"] != "sr-document-content"]
    assert len(modules) > 4
    missing = []
    for module in modules:
        for entry in get_module_attribute_map()[module]:
            holders = [dataset]
            for step in entry["path"]:
                holders = [item for holder in holders for item in (holder.get(step) or ())]
            for holder in holders if entry["type"] in ("1", "2") else ():
                value = holder.get(entry["keyword"])
                if entry["keyword"] not in holder or (entry["type"] == "1" and value in (None, "", [])):
                    missing.append(f"{module}: {'/'.join((*entry['path'], entry['keyword']))}")
    return missing


def test_the_tables_do_find_what_is_missing() -> None:
    document = reading_report(a_header(), a_reading(a_spine()))
    del document.CompletionFlag
    del document.PatientID
    assert missing_by_highdicoms_tables(document) == ["patient: PatientID", "sr-document-general: CompletionFlag"]


# The other objects


def test_the_presentation_draws_the_corners_on_its_film() -> None:
    reading = a_reading(a_spine(**SLIPPED))
    state = results_of(a_header(), reading, None)["presentation"]
    (annotation,) = state.GraphicAnnotationSequence
    assert annotation.ReferencedImageSequence[0].ReferencedSOPInstanceUID == a_header().SOPInstanceUID
    points = [g.GraphicData for g in annotation.GraphicObjectSequence if g.GraphicType == "POINT"]
    np.testing.assert_array_equal(np.array(points, np.float32), to_dicom(reading.landmarks.points_px))
    texts = [text.UnformattedTextValue for text in annotation.TextObjectSequence]
    assert NOTICE in texts and any(text.startswith("L4/L5 ") for text in texts)


def test_the_overlay_is_the_picture_and_says_what_it_is_for() -> None:
    reading = a_reading(a_spine())
    overlay = draw_overlay(a_film(), reading)
    image = results_of(a_header(BurnedInAnnotation="YES"), reading, overlay)["overlay"]
    np.testing.assert_array_equal(image.pixel_array, overlay)
    assert image.ImageComments == NOTICE and image.BurnedInAnnotation == "YES"


def test_a_film_in_colour_gets_no_presentation_state() -> None:
    made = results_of(a_header(PhotometricInterpretation="RGB"), a_reading(a_spine()), None)
    assert list(made) == ["report"]


def test_no_lumbar_spine_is_reported_too(tmp_path: Path) -> None:
    reading = Reading.of(
        "film.png", a_film(), None, no_landmarks(), facing_source="film", weights={"landmarks": "a1b2"}
    )
    made = results_of(a_header(), reading, None)
    assert any("no lumbar spine found" in str(e.value) for e in made["report"].iterall() if e.keyword == "TextValue")
    assert not any(name.startswith("L4 ") for name in groups_of(made["report"]))


# Corrected by a reader


def corner_item(document: Dataset, name: str) -> Dataset:
    (measurements,) = (i for i in document.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "126010")
    for group in measurements.ContentSequence:
        if any(getattr(item, "TextValue", "") == name for item in group.ContentSequence):
            return next(item for item in group.ContentSequence if item.ValueType == "SCOORD")
    raise KeyError(name)


def stored(tmp_path: Path, document: Dataset, name: str = "report.dcm") -> Path:
    document.save_as(tmp_path / name, enforce_file_format=True)
    return tmp_path / name


@pytest.mark.parametrize("side", list(Side))
def test_a_report_that_nobody_touched_gives_the_very_same_reading(tmp_path: Path, side: Side) -> None:
    reading = a_reading(a_spine(**SLIPPED), "film.png", Posture.FLEXION, anterior=side)
    back = read_report(stored(tmp_path, reading_report(a_header(), reading)), "film.png")
    assert back.moved == () and back.reading == reading


def test_a_corner_that_was_absent_stays_absent(tmp_path: Path) -> None:
    reading = a_reading(a_spine(**SLIPPED, absent=((Vertebra.L2, Corner.INFERIOR_ANTERIOR),)))
    back = read_report(stored(tmp_path, reading_report(a_header(), reading)), "film.png").reading
    np.testing.assert_array_equal(back.landmarks.points_px, reading.landmarks.points_px)
    assert back.measurements == reading.measurements


def test_a_moved_corner_is_measured_anew_and_the_rest_stays(tmp_path: Path) -> None:
    before = a_reading(a_spine(**SLIPPED))
    document = reading_report(a_header(), before)
    corner = corner_item(document, "L5 superior_posterior")
    x, y = corner.GraphicData
    corner.GraphicData = [x - 20.0, y]
    path = stored(tmp_path, document)
    as_it_was = path.read_bytes()
    back = read_report(path, "film.png", reader_error_px=2.0)
    row = LANDMARK_INDEX[Vertebra.L5, Corner.SUPERIOR_POSTERIOR]
    points = before.landmarks.points_px.copy()
    points[row, 0] -= 20.0
    np.testing.assert_allclose(back.reading.landmarks.points_px, points, atol=1e-4)
    others = np.arange(22) != row
    np.testing.assert_array_equal(back.reading.landmarks.points_px[others], before.landmarks.points_px[others])
    np.testing.assert_array_equal(back.reading.landmarks.covariance_px[row], 4.0 * np.eye(2))
    assert back.moved == ("L5 superior_posterior",) and "1 corners were placed by a reader" in back.reading.warnings[0]
    slip = [one.measured("slip", "L4/L5").value for one in (before, back.reading)]
    assert abs(slip[0] - slip[1]) > 5
    assert back.reading.measured("slip", "L2/L3") == before.measured("slip", "L2/L3")
    unknown = read_report(path, "film.png").reading.measured("slip", "L4/L5")
    assert unknown.standard_error is None
    again = reading_report(back.header, back.reading, corrects=back.document)
    assert again.SOPInstanceUID != document.SOPInstanceUID
    (study,) = again.PredecessorDocumentsSequence
    assert (
        study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == document.SOPInstanceUID
    )
    assert (again.PatientID, again.PatientName) == ("P-17", "Secret^Person")
    assert path.read_bytes() == as_it_was


def test_a_corner_that_was_taken_out_is_absent(tmp_path: Path) -> None:
    document = reading_report(a_header(), a_reading(a_spine(**SLIPPED)))
    (measurements,) = (i for i in document.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "126010")
    kept = [
        g
        for g in measurements.ContentSequence
        if "L1 superior_anterior" not in {getattr(i, "TextValue", "") for i in g.ContentSequence}
    ]
    assert len(kept) == len(measurements.ContentSequence) - 1
    measurements.ContentSequence = kept
    back = read_report(stored(tmp_path, document), "film.png")
    assert np.isnan(back.reading.landmarks.points_px[0]).all() and back.reading.landmarks.present.sum() == 21


@pytest.mark.parametrize("what", ["film", "noise", "study", "another graphic", "other software's"])
def test_what_is_no_report_on_one_film_is_refused_with_its_reason(tmp_path: Path, what: str) -> None:
    document = reading_report(a_header(), a_reading(a_spine()))
    path = tmp_path / "file.dcm"
    if what == "film":
        path = stored(
            tmp_path,
            results_of(a_header(), a_reading(a_spine()), draw_overlay(a_film(), a_reading(a_spine())))["overlay"],
        )
    elif what == "noise":
        path.write_bytes(b"Secret^Person" * 99)
    elif what == "study":
        path = stored(tmp_path, the_studys_report())
    elif what == "another graphic":
        corner_item(document, "L5 superior_posterior").GraphicType = "POLYLINE"
        path = stored(tmp_path, document)
    else:
        document.ContentSequence = [
            i for i in document.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue != "126010"
        ]
        path = stored(tmp_path, document)
    with pytest.raises(UnreadableReport) as refusal:
        read_report(path, "film.png")
    assert "Secret" not in str(refusal.value) and "\n" not in str(refusal.value)


# Headers


def test_odd_headers_give_what_they_have(tmp_path: Path) -> None:
    header = a_header(
        PatientID=None,
        PatientSex="unknown",
        StudyDate="yesterday",
        PatientName="Odd\nName",
        PatientOrientation=["X", "Y"],
    )
    assert (header.PatientID, header.PatientSex, header.StudyDate, header.PatientName) == ("", "", "", "OddName")
    assert "PatientOrientation" not in header
    results_of(header, a_reading(a_spine()), draw_overlay(a_film(), a_reading(a_spine())))


@pytest.mark.parametrize(
    ("tags", "said"),
    [({"StudyInstanceUID": None}, "StudyInstanceUID"), ({"SOPInstanceUID": "abc"}, "SOPInstanceUID"), ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}, "CT Image Storage")],
)  # fmt: skip
def test_a_film_that_nothing_could_refer_to_is_refused(tags: dict, said: str) -> None:
    with pytest.raises(UnreadableFilm, match=said):
        a_header(**tags)


def test_nothing_of_the_patient_is_said_while_results_are_made(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    header = a_header(PatientName="Secret Person without carets " * 3)
    all_results(header, a_reading(a_spine()), tmp_path)
    assert capfd.readouterr() == ("", "")


# The private scheme


def test_the_documented_table_of_codes_is_the_one_in_use() -> None:
    assert codes.as_table() in (DOCS / "dicom.md").read_text()


def test_each_private_code_is_short_enough_and_used_once() -> None:
    values = [code.value for code in codes.PRIVATE]
    assert len(set(values)) == len(values) and all(len(value) <= 16 for value in values)
    assert all(len(code.meaning) <= 64 for code in codes.PRIVATE)


def test_every_code_that_is_written_is_in_the_table() -> None:
    private = codes_in(the_studys_report())
    assert private <= {code.value for code in codes.PRIVATE} and len(private) > 60


def codes_in(dataset: Dataset) -> set[str]:
    own = (
        {dataset.CodeValue} if dataset.get("CodingSchemeDesignator") == "99LUMBAR" and "CodeValue" in dataset else set()
    )
    inner = (codes_in(item) for element in dataset if element.VR == "SQ" for item in element.value)
    return own.union(*inner)


def test_a_film_header_is_read_from_a_file() -> None:
    path = Path(__file__).parent.parent / "src" / "lumbar" / "examples" / "study" / "flexion.dcm"
    header = film_header(path)
    assert (header.Rows, header.Columns) == (1024, 736) and "PixelData" not in header
