"""Annotated films on disk: what names and tables say, what is wrong with a folder, splits of patients, and other tools' formats."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumbar.anatomy import Posture, Side, Vertebra
from lumbar.assessment import Verdict
from lumbar.datasets import FORMATS, Annotation, BuuFolder, Case, Split, StudyFolder, check, convert, draw_split
from lumbar.datasets.coco import read_coco, skeleton, write_coco
from lumbar.datasets.labelme import read_labelme, write_labelme
from lumbar.datasets.splits import paper_protocol, stratum_of
from lumbar.datasets.yolo import read_yolo_box, read_yolo_pose, write_yolo_box, write_yolo_pose
from lumbar.dicom import write_dx
from lumbar.landmarks.table import read_labels, read_landmarks, write_landmarks
from lumbar.radiograph import Radiograph

WIDTH, HEIGHT = 300, 400


def a_column() -> np.ndarray:
    """Vertebrae straight above each other, 120 px deep and 40 px high, on a film that faces left."""
    rows = [[[90, y], [210, y]] for n in range(6) for y in (60 * n + 10, 60 * n + 50)]
    return np.array(rows[:11], dtype=float).reshape(22, 2)


def a_pair(
    folder: Path, name: str = "0001-F-060Y1.png", points: np.ndarray | None = None, grey: int = 0, **labels
) -> Path:
    """A film of one grey with its csv."""
    folder.mkdir(parents=True, exist_ok=True)
    film = folder / name
    film.write_bytes(cv2.imencode(".png", np.full((HEIGHT, WIDTH), grey, np.uint8))[1].tobytes())
    write_landmarks(film.with_suffix(".csv"), a_column() if points is None else points, labels)
    return film


def a_study(home: Path, *postures: Posture) -> None:
    for grey, posture in enumerate(postures):
        a_pair(home, f"{posture}.png", grey=grey + 1)


def findings(folder: Path) -> list[str]:
    return [str(finding) for finding in check(folder).findings]


def the_case(folder: Path) -> Case:
    (case,) = BuuFolder.open(folder).cases
    return case


# What names and tables say


def test_a_buu_name_tells_patient_sex_and_age(tmp_path):
    a_pair(tmp_path, "0417-f-062Y1.png")
    case = the_case(tmp_path)
    assert (case.name, case.patient, case.sex, case.age) == ("0417-f-062Y1.png", "0417", "F", 62)


def test_any_other_name_is_a_patient_of_whom_nothing_is_known(tmp_path):
    a_pair(tmp_path, "film_7.png")
    assert (the_case(tmp_path).patient, the_case(tmp_path).sex, the_case(tmp_path).age) == ("film_7", None, None)


def test_cases_are_known_without_opening_films(tmp_path):
    a_pair(tmp_path).write_bytes(b"")
    assert the_case(tmp_path).age == 60


def test_frontal_films_and_hidden_files_are_left_out(tmp_path):
    for name in ("0001-F-060Y1.png", "0001-F-060Y0.png", "._0001-F-060Y1.png"):
        a_pair(tmp_path, name)
    assert len(BuuFolder.open(tmp_path)) == 1


def test_films_are_found_in_the_subfolder_la(tmp_path):
    film = a_pair(tmp_path / "LA")
    a_pair(tmp_path / "AP", "0001-F-060Y0.png")
    assert (
        BuuFolder.open(tmp_path).pairs == BuuFolder.open(tmp_path / "LA").pairs == ((film, film.with_suffix(".csv")),)
    )


def test_suffixes_may_be_in_upper_case(tmp_path):
    film = a_pair(tmp_path)
    film.rename(film.with_suffix(".PNG"))
    film.with_suffix(".csv").rename(film.with_suffix(".CSV"))
    assert len(BuuFolder.open(tmp_path)) == 1 and findings(tmp_path) == [f"{tmp_path.name}: {NO_SPACING}"]


NO_SPACING = "no pixel spacing for any of 1 films: put their table beside them, or do without mm"


def test_a_film_is_read_facing_left_with_its_corners_and_labels(tmp_path):
    a_pair(tmp_path, L4=3)
    film = BuuFolder.open(tmp_path)[0]
    assert film.anterior is Side.LEFT and film.radiograph.spacing is None
    np.testing.assert_array_equal(film.landmarks_px, a_column())
    assert the_case(tmp_path).labels() == {Vertebra.L4: 3}


@pytest.mark.parametrize("home", [".", ".."])
@pytest.mark.parametrize("row", ["0001-F-060Y1.jpg\t0.25", "0001-F-060Y1\t0.25", "LA/0001-f-060y1.png\t0.25\t0.25"])
def test_buus_table_of_spacings_lies_beside_the_films_or_in_the_parent(tmp_path, home, row):
    a_pair(tmp_path / "LA")
    (tmp_path / "LA" / home / "pixel_spacing_BUU_LSPINE_V2.csv").write_text(f"filename\tpixel_spacing\n{row}\n")
    spacing = BuuFolder.open(tmp_path)[0].radiograph.spacing
    assert (spacing.row_mm, spacing.source, spacing.plane) == (0.25, "pixel_spacing_BUU_LSPINE_V2.csv", "unknown")


def test_the_manifest_states_spacings_of_films_in_its_own_folder(tmp_path):
    a_pair(tmp_path / "part", "film.png")
    (tmp_path / "part" / "manifest.csv").write_text("film,row_mm,column_mm\nfilm.png,0.2,0.25\n")
    (tmp_path / "manifest.csv").write_text("film,row_mm,column_mm\nfilm.png,9,9\n")
    spacing = the_case(tmp_path / "part").spacing
    assert (spacing.row_mm, spacing.column_mm, spacing.plane) == (0.2, 0.25, "patient")


def test_a_spacing_that_the_manifest_leaves_empty_is_unknown(tmp_path):
    a_pair(tmp_path, "film.png")
    (tmp_path / "manifest.csv").write_text("film,row_mm,column_mm\nfilm.png,,\n")
    assert the_case(tmp_path).spacing is None


def test_dicom_tells_its_own_spacing(tmp_path):
    a_pair(tmp_path, "film.png").unlink()
    a_dicom(tmp_path / "film.dcm")
    assert the_case(tmp_path).spacing is None
    assert BuuFolder.open(tmp_path)[0].radiograph.spacing.row_mm == pytest.approx(0.25)


def a_dicom(path: Path, anterior: Side = Side.LEFT) -> None:
    write_dx(
        path,
        Radiograph(np.linspace(0, 1, WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH), anterior=anterior),
        imager_spacing_mm=0.3,
        source_to_detector_mm=1200,
        source_to_object_mm=1000,
        series_description="lateral",
        study_uid="1.2.3",
        patient_id="S",
        patient_name="S",
        seed=1,
    )


def test_a_malformed_table_of_spacings_is_named(tmp_path):
    a_pair(tmp_path)
    (tmp_path / "pixel_spacing_BUU_LSPINE_V2.csv").write_text("filename\tpixel_spacing\n0001-F-060Y1.jpg\t-1\n")
    with pytest.raises(ValueError, match=r"pixel_spacing_BUU_LSPINE_V2\.csv: row 2 must be a film's name and its mm"):
        BuuFolder.open(tmp_path)
    assert any("no table of spacings is used" in line for line in findings(tmp_path))


# The table of corners


@pytest.mark.parametrize(
    "turned",
    [
        lambda text: "\ufeff" + text,
        lambda text: text.replace("\n", "\r\n\r\n"),
        lambda text: text.replace(",", ";").replace(".", ","),
        lambda text: text.replace(",", " , "),
    ],
    ids=["byte order mark", "blank rows", "semicolons and decimal commas", "blanks"],
)
def test_what_spreadsheets_make_of_a_table_is_read(tmp_path, turned):
    table = a_pair(tmp_path, L4=4).with_suffix(".csv")
    table.write_text(turned(table.read_text()), encoding="utf-8")
    np.testing.assert_array_equal(read_landmarks(table), a_column())
    assert read_labels(table) == {Vertebra.L4: 4}


def test_labels_are_counted_from_the_sacrum(tmp_path):
    table = a_pair(tmp_path, L5=3, L2=4).with_suffix(".csv")
    table.write_text("".join(table.read_text().splitlines(keepends=True)[4:]))
    assert read_labels(table) == {Vertebra.L5: 3}


def test_a_table_without_the_fifth_column_has_no_labels(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3,4\n")
    assert read_labels(tmp_path / "a.csv") == {}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,2,3,4,1", r"row 10 must have a slip label of 0 \(none\), 3 .* got '1'"),
        ("1,2,3,4,x", "row 10 must have a slip label"),
        ("1,2,3,4,nan", "row 10 must have a slip label"),
    ],
)
def test_a_label_that_lateral_films_do_not_have_is_named(tmp_path, row, message):
    table = a_pair(tmp_path).with_suffix(".csv")
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:9], row, *lines[10:]]))
    with pytest.raises(ValueError, match=message):
        read_labels(table)


def test_a_label_at_a_superior_endplate_is_named(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3,4,3\n")
    with pytest.raises(ValueError, match="row 1 is the superior endplate of S1, whose slip label must be 0; got 3"):
        read_labels(tmp_path / "a.csv")


@pytest.mark.parametrize("row", ["inf,2,3,4,0", "nan,2,3,4,0"])
def test_half_a_point_is_refused(tmp_path, row):
    (tmp_path / "a.csv").write_text(row)
    with pytest.raises(ValueError, match="must hold finite points, or nan,nan"):
        read_landmarks(tmp_path / "a.csv")


# Studies


def test_a_study_knows_its_films_by_posture_and_its_true_motions(tmp_path):
    a_study(tmp_path / "study_1", Posture.EXTENSION, Posture.FLEXION)
    a_study(tmp_path / "study_2", *Posture)
    (tmp_path / "motions.csv").write_text(
        "study,site,translation_mm,angulation_deg,verdict\nstudy_1,L5/S1,,2.5,undetermined\nstudy_1,L4/L5,-4,1,unstable\n"
    )
    (tmp_path / "manifest.csv").write_text("film,row_mm,column_mm\nstudy_1/flexion.png,0.2,0.2\n")
    first, second = StudyFolder.open(tmp_path)
    assert list(first.films) == [Posture.FLEXION, Posture.EXTENSION] and list(second.films) == list(Posture)
    flexion = first.films[Posture.FLEXION]
    assert (flexion.name, flexion.patient, flexion.spacing.row_mm) == ("study_1/flexion.png", "study_1", 0.2)
    assert flexion.open().radiograph.posture is Posture.FLEXION
    assert [(m.site, m.translation_mm, m.verdict) for m in first.motions] == [
        ("L4/L5", -4.0, Verdict.UNSTABLE),
        ("L5/S1", None, Verdict.UNDETERMINED),
    ]
    assert second.motions == ()


def test_a_folder_without_studies_is_refused(tmp_path):
    a_pair(tmp_path / "some", "film.png")
    with pytest.raises(ValueError, match="holds no study: a subfolder with films named flexion, neutral, extension"):
        StudyFolder.open(tmp_path)


def test_an_unknown_verdict_is_named(tmp_path):
    a_study(tmp_path / "s", *Posture)
    (tmp_path / "motions.csv").write_text("study,site,translation_mm,angulation_deg,verdict\ns,L4/L5,1,1,wobbly\n")
    with pytest.raises(ValueError, match=r"motions\.csv: row 2: 'wobbly' is not a valid Verdict"):
        StudyFolder.open(tmp_path)
    assert any("wobbly" in line for line in findings(tmp_path))


# The check


def test_nothing_is_found_in_a_folder_that_is_in_order(tmp_path):
    a_pair(tmp_path)
    (tmp_path / "pixel_spacing_V2.csv").write_text("0001-F-060Y1.png\t0.3\n")
    checked = check(tmp_path)
    assert checked.findings == ()
    assert checked.summary() == (
        "pairs: 1 of 1 lateral films have a csv",
        "patients: 1",
        "sexes: F 1",
        "ages: 60 to 60 years, median 60; 0 unknown",
        "spacings: 1 of 1 films, 0.3 to 0.3 mm from pixel_spacing_V2.csv",
        "findings: 0",
    )


def changed(rows: slice, x: float = 0.0, y: float = 0.0) -> np.ndarray:
    points = a_column()
    points[rows] += [x, y]
    return points


@pytest.mark.parametrize(
    ("points", "what"),
    [
        (changed(slice(0, 2), y=np.nan), "not marked, or in part: L1"),
        (changed(slice(20, 22), y=90), "points outside the film of 300 x 400 pixels: S1"),
        (a_column()[:, :] * [-1, 1] + [299, 0], "the anterior points lie right of the posterior ones in 11 of 11 rows"),
        (
            changed(slice(6, 7), x=130),
            "the anterior point lies right of the posterior one in the inferior endplate of L2",
        ),
        (changed(slice(4, 8), y=-65), "L2 lies above L1"),
        (changed(slice(4, 6), y=45), "the superior endplate of L2 lies below its inferior one"),
    ],
)
def test_doubtful_corners_are_named(tmp_path, points, what):
    points = np.where(np.isnan(points).any(axis=1, keepdims=True), np.nan, points)
    a_pair(tmp_path, points=points)
    assert [line for line in findings(tmp_path) if line.startswith(f"0001-F-060Y1.csv: {what}")]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "no rows"),
        (b"1,2,3,4,0\n1,2,x,4,0\n", "row 2 must start with four numbers"),
        (b"1,2,3,4,7\n", "row 1 must have a slip label"),
        (b"\xff\xfe\x00\x01", "must be a text file"),
        (b"1,2,3,4,0\n" * 12, "12 rows instead of 11; the first 1 are left out"),
        (b"1,2,3,4,0\n" * 9, "9 rows instead of 11"),
    ],
)
def test_a_malformed_table_is_one_line_of_the_check(tmp_path, content, what):
    a_pair(tmp_path).with_suffix(".csv").write_bytes(content)
    assert any(
        what in line and line.startswith("0001-F-060Y1.csv: ") and "\n" not in line for line in findings(tmp_path)
    )


def test_an_implausible_spacing_is_told_by_the_size_of_the_endplates(tmp_path):
    a_pair(tmp_path)
    (tmp_path / "pixel_spacing_V2.csv").write_text("0001-F-060Y1.png\t1.5\n")
    (line,) = findings(tmp_path)
    assert "implausible pixel spacing of 1.5 mm (pixel_spacing_V2.csv): endplates would be 180 mm deep" in line


def test_files_without_partner_repeated_and_unreadable_films_are_named(tmp_path):
    a_pair(tmp_path, "0001-F-060Y1.png", grey=1)
    a_pair(tmp_path, "0002-F-060Y1.png", grey=1)
    a_pair(tmp_path, "0002-F-061Y1.png", grey=2)
    a_pair(tmp_path, "0003-F-060Y1.png", grey=3).with_suffix(".csv").unlink()
    a_pair(tmp_path, "0004-F-060Y1.png", grey=4).unlink()
    a_pair(tmp_path, "0005-F-060Y1.png").write_bytes(b"\x89PNG")
    found = findings(tmp_path)
    for line in (
        "0004-F-060Y1.csv: no film of this name",
        "0003-F-060Y1.png: no csv of the same name",
        "0002-F-060Y1.png: its content is that of 0001-F-060Y1.png",
        "0002-F-061Y1.png: patient 0002 has another film, 0002-F-060Y1.png",
        "0005-F-060Y1.png: the image is damaged",
    ):
        assert sum(entry.startswith(line) for entry in found) == 1, (line, found)


def test_one_csv_for_two_films_is_named(tmp_path):
    film = a_pair(tmp_path)
    film.with_suffix(".bmp").write_bytes(film.read_bytes() + b"\0")
    assert any("its csv is also that of 0001-F-060Y1.bmp" in line for line in findings(tmp_path))


def test_a_dicom_file_that_says_it_faces_right_is_named(tmp_path):
    a_pair(tmp_path, "film.png").unlink()
    a_dicom(tmp_path / "film.dcm", Side.RIGHT)
    assert any("film.dcm: the file says that its anterior is on the right" in line for line in findings(tmp_path))


def test_studies_are_checked_and_a_missing_posture_is_named(tmp_path):
    a_study(tmp_path / "study_1", Posture.FLEXION, Posture.NEUTRAL)
    (tmp_path / "study_1" / "neutral.csv").write_text("1,2\n")
    found = findings(tmp_path)
    assert "study_1: no extension film" in found
    assert any(line.startswith("study_1/neutral.csv: row 1 must start with four numbers") for line in found)


def test_an_empty_folder_is_a_finding_and_no_folder_is_refused(tmp_path):
    assert findings(tmp_path)[0].startswith(f"{tmp_path.name}: no film, and no study")
    with pytest.raises(ValueError, match="a data set must be a folder"):
        check(tmp_path / "nowhere")


# Splits


def people(count: int) -> list[Case]:
    """Two women to one man, aged 30 to 89; of every tenth patient nothing is known."""
    cases = []
    for n in range(count):
        sex, age = ("M" if n % 3 == 0 else "F", 30 + n % 60) if n % 10 else (None, None)
        cases.append(Case(f"{n:04}.png", Path(f"{n:04}.png"), None, f"{n:04}", sex, age))
    return cases


def test_a_split_has_the_sizes_that_were_asked_for_and_every_patient_once():
    split = draw_split(people(200), validation=20, test=30, seed=1)
    assert [len(part) for part in split.parts.values()] == [150, 20, 30]
    assert sorted(split.train + split.validation + split.test) == [case.patient for case in people(200)]


def test_each_stratum_gives_its_share():
    cases = people(400)
    split = draw_split(cases, validation=40, test=40, seed=3)
    for part in ("validation", "test"):
        shares = Counter(map(stratum_of, split.cases(part, cases)))
        for stratum, count in Counter(map(stratum_of, cases)).items():
            assert abs(shares[stratum] - count / 10) <= 1, (part, stratum)


def test_a_split_depends_on_the_seed_and_not_on_the_order_of_cases():
    cases = people(60)
    assert draw_split(cases, 6, 6, seed=5) == draw_split(cases[::-1], 6, 6, seed=5) != draw_split(cases, 6, 6, seed=6)


def test_all_films_of_a_patient_stand_in_one_part():
    cases = people(40)
    twice = [Case("x" + case.name, case.film, None, case.patient, case.sex, case.age) for case in cases]
    split = draw_split(cases + twice, 5, 5, seed=0)
    assert len(split.test) == 5 and len(split.cases("test", cases + twice)) == 10


def test_a_split_is_read_back_and_a_stranger_or_a_repeated_patient_is_refused(tmp_path):
    cases = people(20)
    split = draw_split(cases, 3, 4, seed=2)
    split.write(tmp_path)
    assert (tmp_path / "test.txt").read_text().splitlines() == list(split.test)
    assert Split.read(tmp_path, cases) == split
    with pytest.raises(ValueError, match="every patient of .* must be in the data set; 1 are not: 0019"):
        Split.read(tmp_path, cases[:-1])
    (tmp_path / "test.txt").write_text(split.train[0])
    with pytest.raises(ValueError, match=f"{split.train[0]} is in train and test"):
        Split.read(tmp_path, cases)
    (tmp_path / "test.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"test\.txt"):
        Split.read(tmp_path, cases)


def test_a_split_leaves_patients_to_train_on():
    with pytest.raises(ValueError, match="got 5 and 5 of 10 patients"):
        draw_split(people(10), 5, 5, seed=0)


def test_the_papers_protocol_tests_on_50_of_400(tmp_path):
    for n in range(400):
        for suffix in (".jpg", ".csv"):
            (tmp_path / f"{n:04}-{'FM'[n % 2]}-{20 + n % 70:03}Y1{suffix}").touch()
    split = paper_protocol(tmp_path)
    assert (len(split.train) + len(split.validation), len(split.test)) == (350, 50)
    assert split.test[:4] == ("0005", "0021", "0037", "0047")  # the draw is published: it must never change
    (tmp_path / "0000-F-020Y1.jpg").unlink()
    with pytest.raises(ValueError, match="400 open patients; .* holds 399"):
        paper_protocol(tmp_path)


# Other tools' formats


@st.composite
def annotations(draw) -> Annotation:
    figures = st.floats(-50, 5000, allow_nan=False)
    points = np.array(draw(st.lists(st.tuples(figures, figures), min_size=22, max_size=22)))
    points[np.array(draw(st.lists(st.booleans(), min_size=22, max_size=22)))] = np.nan
    return Annotation("a/film.png", draw(st.integers(32, 5000)), draw(st.integers(32, 5000)), points)


def assert_same(read: Annotation, written: Annotation) -> None:
    assert (read.film, read.width, read.height) == (written.film, written.width, written.height)
    np.testing.assert_allclose(read.points_px, written.points_px, atol=1e-4, rtol=0)


@settings(max_examples=30, deadline=None)
@given(annotation=annotations())
def test_coco_gives_back_what_was_written(tmp_path_factory, annotation):
    path = tmp_path_factory.getbasetemp() / "coco.json"
    write_coco(path, [annotation])
    assert_same(*read_coco(path), annotation)


@settings(max_examples=30, deadline=None)
@given(annotation=annotations())
def test_labelme_gives_back_what_was_written(tmp_path_factory, annotation):
    home = tmp_path_factory.getbasetemp() / "labelme"
    write_labelme(home / "a" / "film.json", annotation)
    assert_same(read_labelme(home / "a" / "film.json", home), annotation)


@settings(max_examples=30, deadline=None)
@given(annotation=annotations())
def test_yolo_gives_back_what_was_written(tmp_path_factory, annotation):
    path = tmp_path_factory.getbasetemp() / "yolo.txt"
    write_yolo_pose(path, annotation)
    points = read_yolo_pose(path, annotation.width, annotation.height)
    np.testing.assert_allclose(points, annotation.points_px, atol=1e-4, rtol=0)
    write_yolo_box(path, annotation)
    box = read_yolo_box(path, annotation.width, annotation.height)
    assert (box is None) == (annotation.box is None)
    if box is not None:
        np.testing.assert_allclose(box, annotation.box, atol=1e-4, rtol=0)


def an_annotation(film: str = "film.png") -> Annotation:
    return Annotation(film, WIDTH, HEIGHT, a_column())


def test_each_format_measures_from_its_own_corner_of_the_film(tmp_path):
    """The first pixel's centre is (0, 0) here and for COCO's keypoints, and (0.5, 0.5) for the others."""
    write_coco(tmp_path / "c.json", [an_annotation()])
    (entry,) = json.loads((tmp_path / "c.json").read_text())["annotations"]
    assert entry["keypoints"][:3] == [90, 10, 2] and entry["bbox"] == [90.5, 10.5, 120, 300] and entry["area"] == 36000
    write_labelme(tmp_path / "l.json", an_annotation())
    shape = json.loads((tmp_path / "l.json").read_text())["shapes"][0]
    assert (shape["label"], shape["points"]) == ("L1_superior_anterior", [[90.5, 10.5]])
    write_yolo_box(tmp_path / "y.txt", an_annotation())
    assert (tmp_path / "y.txt").read_text() == "0 0.50166667 0.40125000 0.40000000 0.75000000\n"


def test_the_skeleton_outlines_each_body():
    edges = skeleton()
    assert len(edges) == 21 and edges[:4] == [[1, 2], [2, 4], [4, 3], [3, 1]] and edges[-1] == [21, 22]


def test_coco_keypoints_go_by_their_names(tmp_path):
    path = tmp_path / "c.json"
    write_coco(path, [an_annotation()])
    document = json.loads(path.read_text())
    document["categories"][0]["keypoints"].reverse()
    figures = document["annotations"][0]["keypoints"]
    document["annotations"][0]["keypoints"] = [v for n in reversed(range(22)) for v in figures[3 * n : 3 * n + 3]]
    path.write_text(json.dumps(document))
    assert_same(*read_coco(path), an_annotation())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("images"), "it has no 'images'"),
        (lambda d: d["annotations"].append(d["annotations"][0]), "image 1 has two annotations"),
        (lambda d: d["categories"][0].update(keypoints=["nose"]), "keypoints must be named L1_superior_anterior"),
        (lambda d: d["annotations"][0].update(keypoints=[1, 2]), "must have 66 figures as keypoints; got 2"),
        (lambda d: d["images"][0].update(file_name="../film.png"), "film must be a path within the data set"),
    ],
)
def test_a_malformed_coco_file_is_named(tmp_path, change, message):
    path = tmp_path / "c.json"
    write_coco(path, [an_annotation()])
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=rf"c\.json is not a COCO file of lumbar corners: .*{message}"):
        read_coco(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("imageWidth"), "it has no 'imageWidth'"),
        (lambda d: d["shapes"][0].update(label="T12"), "a point must be labelled L1_superior_anterior .* got 'T12'"),
        (lambda d: d["shapes"].append(d["shapes"][0]), "L1_superior_anterior must be marked once"),
    ],
)
def test_a_malformed_labelme_file_is_named(tmp_path, change, message):
    path = tmp_path / "l.json"
    write_labelme(path, an_annotation())
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=rf"l\.json is not a LabelMe file.*{message}"):
        read_labelme(path, tmp_path)


def test_labelme_passes_over_shapes_that_are_no_points(tmp_path):
    path = tmp_path / "l.json"
    write_labelme(path, an_annotation())
    document = json.loads(path.read_text())
    document["shapes"].append({"label": "note", "points": [[1, 1], [2, 2]], "shape_type": "rectangle"})
    document["imagePath"] = "..\\films\\film.png"
    path.write_text(json.dumps(document))
    assert_same(read_labelme(path, tmp_path), an_annotation())


@pytest.mark.parametrize("text", ["0 1 2 x 4", "0 0.5 0.5 0.1", "0 0.5 0.5 0.1 0.1\n0 0.5 0.5 0.1 0.1", "0 nan 0 0 0"])
def test_a_malformed_yolo_file_is_named(tmp_path, text):
    (tmp_path / "y.txt").write_text(text)
    with pytest.raises(ValueError, match=r"y\.txt must hold"):
        read_yolo_box(tmp_path / "y.txt", 100, 100)


@pytest.mark.parametrize("by_way_of", ["coco", "labelme", "yolo-pose"])
def test_a_folder_goes_through_another_format_and_comes_back(tmp_path, by_way_of):
    film = a_pair(tmp_path / "images", points=a_column() + 0.25)
    between = tmp_path / ("c.json" if by_way_of == "coco" else "labels")
    assert convert(tmp_path / "images", "buu", between, by_way_of) == 1
    source = tmp_path if by_way_of == "yolo-pose" else between
    assert convert(source, by_way_of, tmp_path / "back", "buu") == 1
    assert (tmp_path / "back" / f"{film.stem}.csv").read_text() == film.with_suffix(".csv").read_text()


def test_studies_are_converted_in_folders_of_their_own(tmp_path):
    a_study(tmp_path / "in" / "study_1", *Posture)
    assert convert(tmp_path / "in", "buu", tmp_path / "out", "yolo") == 3
    assert (tmp_path / "out" / "study_1" / "flexion.txt").is_file()


@pytest.mark.parametrize(
    ("formats", "message"),
    [
        (("voc", "coco"), "source_format must be one of buu, coco, labelme, yolo-pose, yolo; got 'voc'"),
        (("buu", "voc"), "target_format must be one of"),
        (("yolo", "coco"), "source_format must be one of buu, coco, labelme, yolo-pose; 'yolo' holds no corners"),
        (("coco", "buu"), "a COCO source must be a JSON file"),
        (("labelme", "buu"), "holds no LabelMe file"),
        (("yolo-pose", "buu"), r"holds no film .* with a \.txt of the same name"),
    ],
)
def test_what_cannot_be_converted_is_told_why(tmp_path, formats, message):
    assert set(FORMATS) == {"buu", "coco", "labelme", "yolo-pose", "yolo"}
    with pytest.raises(ValueError, match=message):
        convert(tmp_path, formats[0], tmp_path / "out", formats[1])


def test_two_films_that_would_share_a_file_are_refused(tmp_path):
    write_coco(tmp_path / "c.json", [an_annotation("a.png"), an_annotation("a.jpg")])
    with pytest.raises(ValueError, match=r"a\.jpg and a\.png would both be written as a\.csv"):
        convert(tmp_path / "c.json", "coco", tmp_path, "buu")


def test_a_film_that_cannot_be_read_stops_a_conversion_by_name(tmp_path):
    a_pair(tmp_path).write_bytes(b"")
    with pytest.raises(ValueError, match=r"0001-F-060Y1\.png: the file is empty"):
        convert(tmp_path, "buu", tmp_path / "c.json", "coco")


def test_a_bar_may_go_through_the_films(tmp_path):
    a_pair(tmp_path)
    seen: list[int] = []
    convert(tmp_path, "buu", tmp_path / "c.json", "coco", each=lambda unread: (seen.append(len(unread)), unread)[1])
    check(tmp_path, each=lambda cases: (seen.append(len(cases)), cases)[1])
    assert seen == [1, 1]
