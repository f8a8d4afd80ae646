"""What a reading holds, and that its JSON gives the same reading back."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumbar.anatomy import Corner, Posture, Side, Vertebra
from lumbar.assessment import grade_slip
from lumbar.landmarks import SpineLandmarks
from lumbar.localisation import LumbosacralBox
from lumbar.measurements import Measurement, Unmeasurable, measure_everything
from lumbar.radiograph import PixelSpacing
from lumbar.reading import FACING_SOURCES, NO_SPINE, Reading
from tests.spines import SQUARE, a_film, a_reading, a_spine, no_landmarks, on_film

numbers = st.floats(allow_nan=False, allow_infinity=False)
shares = st.floats(0, 1)
lengths = st.floats(1e-9, 99)
words = st.text(max_size=20)
film_names = st.text(min_size=1, max_size=20).filter(lambda name: "/" not in name and "\\" not in name)


@st.composite
def landmarks(draw):
    points = np.array(draw(st.lists(numbers, min_size=44, max_size=44))).reshape(22, 2)
    covariance = np.array(draw(st.lists(numbers, min_size=88, max_size=88))).reshape(22, 2, 2)
    points[sorted(draw(st.sets(st.integers(0, 21))))] = np.nan
    covariance[sorted(draw(st.sets(st.integers(0, 21))))] = np.nan
    return SpineLandmarks(points, covariance, np.array(draw(st.lists(shares, min_size=22, max_size=22))))


@st.composite
def boxes(draw):
    x0, y0 = draw(st.floats(-1e4, 1e4)), draw(st.floats(-1e4, 1e4))
    return LumbosacralBox(x0, y0, x0 + draw(st.floats(0.1, 1e4)), y0 + draw(st.floats(0.1, 1e4)), draw(shares))


planes = st.sampled_from(["patient", "detector", "unknown"])
measurements = st.builds(Measurement, words, words, numbers, words, st.none() | st.floats(0, 1e9), words)
readings = st.builds(
    Reading,
    film=film_names,
    width=st.integers(1, 10_000),
    height=st.integers(1, 10_000),
    spacing=st.none() | st.builds(PixelSpacing, lengths, lengths, words, planes),
    anterior=st.sampled_from(Side),
    facing_source=st.sampled_from(FACING_SOURCES),
    posture=st.none() | st.sampled_from(Posture),
    box=st.none() | boxes(),
    landmarks=landmarks(),
    confidence=shares,
    measurements=st.lists(measurements | st.builds(Unmeasurable, words, words, words), max_size=4).map(tuple),
    grades=st.lists(st.builds(grade_slip, words, numbers, st.none() | st.floats(0, 1e9)), max_size=3).map(tuple),
    warnings=st.lists(words, max_size=3).map(tuple),
    software_version=words,
    weights=st.dictionaries(words, words, max_size=3),
)


@settings(max_examples=40, deadline=None)
@given(readings)
def test_the_json_of_any_reading_gives_the_same_reading_back(reading):
    again = Reading.from_json(reading.to_json())
    assert again == reading and hash(again) == hash(reading)
    for name in ("points_px", "covariance_px", "confidence"):
        np.testing.assert_array_equal(getattr(again.landmarks, name), getattr(reading.landmarks, name))
    assert (again.measurements, again.grades, again.box) == (reading.measurements, reading.grades, reading.box)
    assert (again.spacing, again.posture, again.weights) == (reading.spacing, reading.posture, reading.weights)


def test_readings_that_differ_in_one_corner_are_not_equal():
    assert a_reading(a_spine()) == a_reading(a_spine())
    assert a_reading(a_spine()) != a_reading(a_spine(absent=((Vertebra.L1, Corner.SUPERIOR_ANTERIOR),)))
    assert a_reading(a_spine()) != "reading"


def test_the_json_keeps_the_contract():
    spine = a_spine({"L4/L5": 30}, absent=((Vertebra.L1, Corner.SUPERIOR_POSTERIOR),), corner_error_mm=0.3)
    reading = a_reading(spine, posture=Posture.NEUTRAL)
    document = json.loads(reading.to_json())
    four = ["superior_anterior", "superior_posterior", "inferior_anterior", "inferior_posterior"]
    assert {name: list(corners) for name, corners in document["vertebrae"].items()} == {
        **{f"L{n}": four for n in range(1, 6)},
        "S1": four[:2],
    }
    assert document["vertebrae"]["L1"]["superior_anterior"] == reading.landmarks.points_px[0].tolist()
    assert document["vertebrae"]["L1"]["superior_posterior"] is None
    assert document["box"] == list(reading.box.edges)
    assert (document["anterior"], document["posture"], document["facing_source"]) == ("left", "neutral", "film")
    assert document["spacing"] == {"row_mm": 0.2, "column_mm": 0.2, "source": SQUARE.source, "plane": "patient"}
    assert len(document["measurements"]) == 20 + 25 + 20 + 2
    kinds = {tuple(entry) for entry in document["measurements"]}
    assert kinds == {
        ("quantity", "site", "value", "unit", "standard_error", "method"),
        ("quantity", "site", "reason"),
    }
    (grade,) = [grade for grade in document["grades"] if grade["site"] == "L4/L5"]
    assert (grade["grade"], grade["direction"]) == (2, "anterolisthesis")
    assert "not a medical device" in document["notice"]
    assert document["weights"] == {"landmarks": "a1b2"}


def test_the_keys_stand_in_the_same_order_whatever_order_the_weights_came_in():
    reading = a_reading(a_spine())
    one, other = replace(reading, weights={"a": "1", "b": "2"}), replace(reading, weights={"b": "2", "a": "1"})
    assert one.to_json() == other.to_json()


@pytest.mark.parametrize("unknown", [np.nan, np.inf])
def test_an_error_that_is_not_known_is_null_in_the_json(unknown):
    reading = a_reading(a_spine())
    covariance = np.array(reading.landmarks.covariance_px)
    covariance[3, 0, 1] = unknown
    known = replace(reading, landmarks=replace(reading.landmarks, covariance_px=covariance))
    text = known.to_json()
    assert "NaN" not in text and "Infinity" not in text
    assert json.loads(text)["corner_covariance_px2"]["L1"]["inferior_posterior"] is None
    assert Reading.from_json(text) == known


def test_no_lumbar_spine_found_is_a_reading_too():
    reading = Reading.of("chest.png", a_film(), None, no_landmarks(), facing_source="film", weights={})
    assert reading.box is None and reading.grades == () and reading.confidence == 0
    assert len(reading.measurements) == 20 + 25 + 20 + 2
    assert {(type(m), m.reason) for m in reading.measurements} == {(Unmeasurable, "no lumbar spine found")}
    assert NO_SPINE in reading.warnings
    document = json.loads(reading.to_json())
    assert document["box"] is None
    assert {point for corners in document["vertebrae"].values() for point in corners.values()} == {None}
    assert Reading.from_json(reading.to_json()) == reading


def test_corners_that_somebody_placed_without_a_box_are_measured():
    reading = Reading.of("film.png", a_film(), None, on_film(a_spine({"L4/L5": 30})), facing_source="given", weights={})
    assert reading.measured("slip", "L4/L5").value == pytest.approx(30)
    assert NO_SPINE not in reading.warnings


@pytest.mark.parametrize("anterior", Side)
def test_a_reading_measures_in_the_films_own_facing_and_spacing(anterior):
    spacing = PixelSpacing(0.2, 0.3, "--spacing", "patient")
    reading = a_reading(a_spine({"L3/L4": 10}, {"L3/L4": 7}), spacing=spacing, anterior=anterior)
    assert reading.measured("sagittal_displacement_wall", "L3/L4").value == pytest.approx(3.2)
    assert reading.measured("intervertebral_angle", "L3/L4").value == pytest.approx(7)
    assert reading.spine.in_mm


def test_a_film_without_spacing_still_has_angles_slips_and_grades():
    reading = a_reading(a_spine({"L4/L5": 30}), spacing=None)
    assert [grade.grade for grade in reading.grades] == [0, 0, 0, 2, 0]
    assert "give --spacing" in reading.measured("sagittal_displacement_endplate", "L4/L5").reason


def test_levels_without_a_slip_have_no_grade():
    reading = a_reading(a_spine(absent=((Vertebra.S1, Corner.SUPERIOR_POSTERIOR),)))
    assert [grade.site for grade in reading.grades] == ["L1/L2", "L2/L3", "L3/L4", "L4/L5"]


def test_confidence_is_the_mean_over_all_corners_and_absent_ones_count_nothing():
    assert a_reading(a_spine()).confidence == pytest.approx(0.8)
    half = tuple((v, c) for v in (Vertebra.L1, Vertebra.L2) for c in Corner)
    assert a_reading(a_spine(absent=half)).confidence == pytest.approx(0.8 * 14 / 22)


def test_what_the_finder_and_the_shape_of_the_spine_leave_in_doubt_is_warned_of():
    landmarks = on_film(a_spine({"L3/L4": 180}))
    reading = Reading.of(
        "film.png", a_film(), None, landmarks, facing_source="film", weights={}, doubts=("the facing is a guess",)
    )
    assert reading.warnings[0] == "the facing is a guess"
    assert reading.warnings[1].startswith("L3/L4: the upper vertebra is displaced")


@pytest.mark.parametrize(
    ("plane", "word"), [("detector", "on the detector"), ("unknown", "not known"), ("patient", None)]
)
def test_lengths_that_may_be_magnified_are_warned_of(plane, word):
    warnings = a_reading(a_spine(), spacing=PixelSpacing(0.2, 0.2, "ImagerPixelSpacing", plane)).warnings
    assert len(warnings) == (word is not None) and all(word in warning for warning in warnings)


@pytest.mark.parametrize("path", ["/home/doe/study/lateral.png", "C:\\films\\lateral.png", "lateral.png"])
def test_only_the_name_of_the_film_is_kept(path):
    assert a_reading(a_spine(), film=path).film == "lateral.png"


def test_a_film_whose_facing_is_unknown_cannot_be_measured():
    with pytest.raises(ValueError, match=r"anterior must be left or right; got None.*facing"):
        Reading.of("f.png", a_film(anterior=None), None, no_landmarks(), facing_source="film", weights={})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"film": "folder/film.png"}, "without its folder"),
        ({"film": ""}, "must be a file's name"),
        ({"width": 0}, "at least one pixel"),
        ({"facing_source": "guess"}, "one of film, --facing, DICOM, given; got 'guess'"),
        ({"confidence": float("nan")}, r"in \[0, 1\]; got nan"),
    ],
)
def test_a_reading_refuses_what_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        replace(a_reading(a_spine()), **change)


def broken(**changes):
    document = json.loads(a_reading(a_spine()).to_json())
    document.update(changes)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("L4/L5", "not a reading"),
        ("[]", "not a reading"),
        ("{}", "it has no 'format'"),
        (broken(format="lumbar.study/1"), "format must be lumbar.reading/1; got 'lumbar.study/1'"),
        (broken(vertebrae={"L1": {}}), "it has no 'superior_anterior'"),
        (broken(anterior="front"), "'front' is not a valid Side"),
        (broken(box=[1, 2, 3]), "not a reading"),
        (broken(spacing={"row_mm": 0.2}), "not a reading"),
        (broken(confidence=float("nan")), "a number is NaN"),
        (broken(measurements=[{"quantity": "slip"}]), "a Measurement has the keys"),
    ],
)
def test_what_is_no_reading_is_refused_with_the_reason(text, message):
    with pytest.raises(ValueError, match=message):
        Reading.from_json(text)


def test_a_reading_knows_no_quantity_that_was_not_measured():
    with pytest.raises(KeyError, match="has no pelvic_tilt at L4/L5"):
        a_reading(a_spine()).measured("pelvic_tilt", "L4/L5")
    assert {m.quantity for m in a_reading(a_spine()).measurements} == {
        m.quantity for m in measure_everything(a_spine())
    }


def test_remeasured_with_its_own_corners_a_reading_is_the_same():
    reading = a_reading(a_spine({"L4/L5": 30}, corner_error_mm=0.4))
    assert reading.remeasured(reading.landmarks) == reading


def test_remeasured_with_other_corners_it_is_measured_and_doubted_anew_and_the_finders_doubts_stay():
    plain = a_spine(corner_error_mm=0.4)
    landmarks = on_film(plain)
    reading = Reading.of(
        "f.png",
        a_film(),
        None,
        landmarks,
        facing_source="film",
        weights={"landmarks": "a1"},
        doubts=["a doubt of the finder"],
    )
    points = landmarks.points_px.copy()
    points[[0, 1]] = points[[1, 0]]  # L1's superior corners exchanged
    strange = reading.remeasured(SpineLandmarks(points, landmarks.covariance_px, landmarks.confidence))
    assert strange.warnings[0] == "a doubt of the finder" and any(
        "L1: an anterior corner" in w for w in strange.warnings
    )
    assert strange.remeasured(landmarks).warnings == reading.warnings and strange.weights == reading.weights


def test_remeasured_facing_the_other_way_a_slip_changes_its_sign():
    reading = a_reading(a_spine({"L4/L5": 30}))
    points = reading.landmarks.points_px.reshape(11, 2, 2)[:, ::-1].reshape(22, 2)
    turned = reading.remeasured(SpineLandmarks.exact(points), anterior=reading.anterior.opposite)
    assert turned.anterior is not reading.anterior and turned.facing_source == "given"
    assert turned.measured("slip", "L4/L5").value < 0 < reading.measured("slip", "L4/L5").value


def test_remeasured_with_a_spacing_there_are_mm():
    reading = a_reading(a_spine({"L4/L5": 25}), spacing=None)
    measured = reading.remeasured(reading.landmarks, spacing=SQUARE).measured("sagittal_displacement_endplate", "L4/L5")
    assert measured.value == pytest.approx(8.0)
