"""Flexion against extension: who is who, how far each level moves, and the JSON that says so."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumbar.anatomy import Corner, Posture, Vertebra, rows_of
from lumbar.assessment import StabilityCriteria, Verdict
from lumbar.landmarks import AnatomicalSpine
from lumbar.measurements import Unmeasurable
from lumbar.postures import order_by_posture
from lumbar.radiograph import PixelSpacing
from lumbar.reading import Reading
from lumbar.study import StudyAssessment, assess_study
from tests.spines import SQUARE, a_film, a_reading, a_spine, no_landmarks

IN_FLEXION = a_spine({"L4/L5": 25}, {"L4/L5": -2, "L5/S1": 8}, corner_error_mm=0.1)
IN_NEUTRAL = a_spine({"L4/L5": 12}, {"L4/L5": 6, "L5/S1": 11}, corner_error_mm=0.1)
IN_EXTENSION = a_spine({"L4/L5": 10}, {"L4/L5": 8, "L5/S1": 14}, corner_error_mm=0.1)
NO_L4_IP = ((Vertebra.L4, Corner.INFERIOR_POSTERIOR),)
NO_L4 = ((Vertebra.L4, Corner.INFERIOR_ANTERIOR), (Vertebra.L4, Corner.INFERIOR_POSTERIOR))


def films(**changes):
    """Readings of the three films, in no useful order, postures not stated."""
    return [
        a_reading(IN_NEUTRAL, "n.png", **changes),
        a_reading(IN_FLEXION, "f.png", **changes),
        a_reading(IN_EXTENSION, "e.png", **changes),
    ]


def levels_of(study):
    return {level["site"]: level for level in json.loads(study.to_json())["levels"]}


def nothing_found(name):
    return Reading.of(name, a_film(), None, no_landmarks(), facing_source="film", weights={})


def test_a_level_that_slips_by_another_15_percent_of_32_mm_in_flexion_is_unstable():
    neutral, flexion, extension = films()
    study = assess_study(flexion, extension, neutral)
    level = levels_of(study)["L4/L5"]
    assert level["translation_mm"] == pytest.approx(4.8)
    assert level["angulation_deg"] == pytest.approx(-10)
    assert level["verdict"] == "unstable" and level["probability"] > 0.95
    assert {level.site: level.verdict.verdict.value for level in study.levels} == {
        **dict.fromkeys(("L1/L2", "L2/L3", "L3/L4", "L5/S1"), "stable"),
        "L4/L5": "unstable",
    }


def test_the_slip_and_its_grade_are_those_of_the_neutral_film():
    neutral, flexion, extension = films()
    level = levels_of(assess_study(flexion, extension, neutral))["L4/L5"]
    assert (level["slip_film"], level["grade"], level["direction"]) == ("neutral", 1, "anterolisthesis")
    assert level["slip_percent"] == pytest.approx(12)


def test_without_a_neutral_film_they_are_those_of_the_flexion_film():
    _, flexion, extension = films()
    level = levels_of(assess_study(flexion, extension))["L4/L5"]
    assert (level["slip_film"], level["grade"]) == ("flexion", 2)
    assert level["slip_percent"] == pytest.approx(25)


def test_a_level_that_the_neutral_film_does_not_show_is_graded_on_the_flexion_film():
    _, flexion, extension = films()
    neutral = a_reading(a_spine({"L4/L5": 12}, absent=NO_L4))
    levels = levels_of(assess_study(flexion, extension, neutral))
    assert (levels["L4/L5"]["slip_film"], levels["L3/L4"]["slip_film"]) == ("flexion", "neutral")


def test_the_levels_in_the_json_keep_the_contract():
    neutral, flexion, extension = films()
    document = json.loads(assess_study(flexion, extension, neutral).to_json())
    wanted = {"site", "translation_mm", "angulation_deg", "slip_percent", "grade", "verdict", "probability"}
    assert all(wanted <= set(level) for level in document["levels"])
    assert [level["site"] for level in document["levels"]] == ["L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"]
    assert document["films"] == {"flexion": "f.png", "neutral": "n.png", "extension": "e.png"}
    assert document["criteria"]["name"] == "paper"
    assert [set(document["criteria"][key].values()) for key in ("translation_mm", "rotation_deg")] == [{3}, {12}]
    assert "not a medical device" in document["notice"]


def test_what_could_not_be_measured_holds_its_reason():
    flexion = a_reading(a_spine(absent=NO_L4))
    level = levels_of(assess_study(flexion, a_reading(IN_EXTENSION)))["L4/L5"]
    for key in ("slip_percent", "grade"):
        assert level[key] == {"reason": "L4 inferior posterior corner absent"}
    assert level["translation_mm"] == {"reason": "L4 inferior posterior corner absent (in flexion)"}
    assert "L4 inferior posterior corner absent (in flexion)" in level["angulation_deg"]["reason"]
    assert (level["verdict"], level["probability"]) == ("undetermined", None)
    assert "L4 inferior posterior corner absent" in level["verdict_reason"]


def test_a_corner_that_one_film_lacks_is_known_from_the_bodys_shape_on_the_others():
    whole, lacking = (
        a_reading(a_spine({"L4/L5": 25}, {"L4/L5": -2}, corner_error_mm=0.1, absent=absent))
        for absent in ((), NO_L4_IP)
    )
    levels = [levels_of(assess_study(film, a_reading(IN_EXTENSION)))["L4/L5"] for film in (whole, lacking)]
    assert levels[1]["translation_mm"] == pytest.approx(levels[0]["translation_mm"], abs=1e-3)
    assert levels[1]["translation_standard_error_mm"] > levels[0]["translation_standard_error_mm"]


def test_every_set_of_criteria_has_its_say():
    _, flexion, extension = films()
    level = levels_of(assess_study(flexion, extension))["L4/L5"]
    assert list(level["by_criteria"]) == ["paper", "ama-5", "white-panjabi", "review", "reference-interval"]
    assert level["by_criteria"]["paper"]["verdict"] == level["verdict"] == "unstable"


def test_a_patient_who_hardly_bent_is_warned_of():
    flexion, extension = (a_reading(a_spine(angle_deg={"L4/L5": a}, corner_error_mm=0.1)) for a in (2, 8))
    study = assess_study(flexion, extension)
    assert study.lordosis_change_deg == pytest.approx(6)
    (warning,) = study.warnings
    assert "changes by 6 degrees only" in warning


def test_vertebrae_of_two_patients_are_warned_of():
    other = a_spine(corner_error_mm=0.1)
    stretched = AnatomicalSpine(other.points * [1.0, 1.15], other.covariance, True)
    (warning, *_) = [
        w for w in assess_study(a_reading(IN_FLEXION), a_reading(stretched)).warnings if "two patients" in w
    ]
    assert "other shapes" in warning


@pytest.mark.parametrize(("wrong", "measured"), [("f.png", False), ("n.png", True)])
def test_a_body_that_was_misread_costs_its_levels_their_change_and_no_others(wrong, measured):
    """Three films tell which is wrong: on the neutral one it is of no consequence for the change between the others."""
    points = {"f.png": IN_FLEXION, "n.png": IN_NEUTRAL}[wrong].points.copy()
    points[rows_of(Vertebra.L3)][2:, 1] -= 12
    odd = a_reading(AnatomicalSpine(points, IN_FLEXION.covariance, True), wrong)
    neutral, flexion, extension = (odd if film.film == wrong else film for film in films())
    levels = {level.site: level for level in assess_study(flexion, extension, neutral).levels}
    for site in ("L2/L3", "L3/L4"):
        found = levels[site].change.angulation
        assert isinstance(found, Unmeasurable) is not measured
        if not measured:
            assert found.reason == "L3 has another shape on the flexion film: it was misread"
            assert levels[site].verdict.verdict is Verdict.UNDETERMINED
    assert levels["L4/L5"].verdict.verdict is Verdict.UNSTABLE


def test_without_spacing_a_rotation_beyond_its_threshold_is_still_unstable():
    flexion, extension = (a_reading(a_spine(angle_deg={"L3/L4": a}), spacing=None) for a in (-6, 10))
    levels = levels_of(assess_study(flexion, extension))
    assert levels["L3/L4"]["verdict"] == "unstable"
    assert "give --spacing" in levels["L3/L4"]["translation_mm"]["reason"]
    assert levels["L2/L3"]["verdict"] == "undetermined"


def test_a_film_without_a_lumbar_spine_leaves_every_level_undetermined():
    study = assess_study(nothing_found("f.png"), a_reading(IN_EXTENSION))
    assert {level.verdict.verdict for level in study.levels} == {Verdict.UNDETERMINED}
    assert isinstance(study.levels[0].slip, Unmeasurable) and study.levels[0].grade is None
    assert "flexion film: no lumbar spine found" in study.warnings


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([0.0, 0.7, float("nan")]),
    st.sampled_from([None, SQUARE]),
    st.booleans(),
    st.sets(st.sampled_from([(v, c) for v in Vertebra if v is not Vertebra.S1 for c in Corner]), max_size=4),
    st.floats(-40, 120),
)
def test_the_json_of_any_study_gives_the_same_study_back(error, spacing, with_neutral, absent, slip):
    flexion = a_reading(a_spine({"L4/L5": slip}, corner_error_mm=error, absent=tuple(absent)), spacing=spacing)
    extension = a_reading(a_spine(angle_deg={"L2/L3": 11}, corner_error_mm=0.4), spacing=spacing)
    study = assess_study(flexion, extension, extension if with_neutral else None)
    assert StudyAssessment.from_json(study.to_json()) == study


def test_other_criteria_come_back_with_the_study():
    sites = ("L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1")
    mild = StabilityCriteria("mild", "a test", dict.fromkeys(sites, 90.0), dict.fromkeys(sites, 30.0))
    _, flexion, extension = films()
    study = assess_study(flexion, extension, criteria=mild)
    assert {level.verdict.verdict for level in study.levels} == {Verdict.STABLE}
    assert StudyAssessment.from_json(study.to_json()) == study


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "not a study"),
        ("[]", "not a study"),
        ("{}", "it has no 'format'"),
        ('{"format": "lumbar.reading/1"}', "format must be lumbar.study/2"),
        ('{"format": "lumbar.study/2"}', "it has no 'films'"),
    ],
)
def test_what_is_no_study_is_refused_with_the_reason(text, message):
    with pytest.raises(ValueError, match=message):
        StudyAssessment.from_json(text)


def test_spacing_from_different_sources_is_warned_of():
    other = PixelSpacing(0.2, 0.2, "--spacing", "patient")
    study = assess_study(a_reading(IN_FLEXION), a_reading(IN_EXTENSION, spacing=other))
    (warning,) = study.warnings
    assert warning.startswith("pixel spacing comes from different sources") and "extension: --spacing" in warning


def test_films_of_different_magnification_have_their_spacing_from_the_same_source():
    one, other = (
        PixelSpacing(0.2, 0.2, f"ImagerPixelSpacing / EstimatedRadiographicMagnificationFactor ({factor:g})", "patient")
        for factor in (1.2, 1.283)
    )
    assert not assess_study(a_reading(IN_FLEXION, spacing=one), a_reading(IN_EXTENSION, spacing=other)).warnings
    known, unknown = (replace(other, plane=plane) for plane in ("detector", "unknown"))
    assert assess_study(a_reading(IN_FLEXION, spacing=known), a_reading(IN_EXTENSION, spacing=unknown)).warnings
    assert assess_study(a_reading(IN_FLEXION), a_reading(IN_EXTENSION)).warnings == ()


def test_exchanged_films_are_warned_of():
    _, flexion, extension = films()
    (warning,) = assess_study(extension, flexion).warnings
    assert "more lordotic" in warning and "exchanged" in warning


def test_a_film_marked_as_another_posture_is_refused():
    with pytest.raises(ValueError, match="must not be marked as another posture; e.png is marked extension"):
        assess_study(a_reading(IN_EXTENSION, "e.png", posture=Posture.EXTENSION), a_reading(IN_FLEXION))


def test_three_films_are_told_apart_by_their_lordosis():
    neutral, flexion, extension = films()
    assert order_by_posture([neutral, flexion, extension]) == (flexion, extension, neutral)
    assert order_by_posture([extension, neutral, flexion]) == (flexion, extension, neutral)


def test_two_films_are_flexion_and_extension():
    _, flexion, extension = films()
    assert order_by_posture([extension, flexion]) == (flexion, extension, None)


def test_lordosis_is_measured_without_pixel_spacing():
    neutral, flexion, extension = films(spacing=None)
    assert order_by_posture([extension, neutral, flexion]) == (flexion, extension, neutral)


def test_stated_postures_are_taken_even_against_the_lordosis():
    straight = a_reading(IN_FLEXION, "a.png", posture=Posture.EXTENSION)
    curved = a_reading(IN_EXTENSION, "b.png", posture=Posture.FLEXION)
    assert order_by_posture([straight, curved]) == (curved, straight, None)


def test_a_stated_posture_leaves_the_other_roles_to_the_other_films():
    neutral = a_reading(IN_NEUTRAL, "n.png", posture=Posture.NEUTRAL)
    _, flexion, extension = films()
    assert order_by_posture([extension, neutral, flexion]) == (flexion, extension, neutral)
    stated = a_reading(IN_EXTENSION, "e.png", posture=Posture.EXTENSION)
    assert order_by_posture([nothing_found("other.png"), stated]).flexion.film == "other.png"


@pytest.mark.parametrize("count", [0, 1, 4])
def test_a_study_of_fewer_than_two_or_more_than_three_films_is_refused(count):
    with pytest.raises(ValueError, match=f"got {count} film"):
        order_by_posture([a_reading(IN_FLEXION)] * count)


def test_a_posture_stated_twice_is_refused():
    twice = [a_reading(IN_FLEXION, name, posture=Posture.FLEXION) for name in ("a.png", "b.png")]
    with pytest.raises(ValueError, match="got 2 flexion films: a.png, b.png"):
        order_by_posture(twice)


def test_two_films_of_which_one_is_neutral_are_no_study():
    with pytest.raises(ValueError, match="two films must be flexion and extension; n.png is a neutral one"):
        order_by_posture([a_reading(IN_NEUTRAL, "n.png", posture=Posture.NEUTRAL), a_reading(IN_FLEXION)])


def test_films_of_about_the_same_lordosis_are_not_told_apart():
    alike = [a_reading(a_spine(angle_deg={"L4/L5": a}), f"{a}.png") for a in (5, 7.9)]
    with pytest.raises(ValueError, match=r"differ by 3 degrees.*got 5\.0 in 5\.png and 7\.9 in 7\.9\.png.*say which"):
        order_by_posture(alike)
    apart = [a_reading(a_spine(angle_deg={"L4/L5": a}), f"{a}.png") for a in (8.1, 5)]
    assert order_by_posture(apart).flexion.film == "5.png"


def test_films_whose_lordosis_cannot_be_measured_are_not_told_apart():
    hidden = a_reading(a_spine(absent=((Vertebra.S1, Corner.SUPERIOR_ANTERIOR),)), "h.png")
    with pytest.raises(
        ValueError, match=r"lordosis of h\.png could not be measured \(S1 superior anterior corner absent"
    ):
        order_by_posture([a_reading(IN_FLEXION), hidden])
