"""Metrics: each on the smallest set of films that shows it."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from lumbar.anatomy import LANDMARK_INDEX, Corner, Posture, Side, Vertebra
from lumbar.assessment import quarter_of
from lumbar.evaluation import Evaluation, ReadCase, Unit, compared, evaluate, evaluation_page, tables_of
from lumbar.evaluation.agreement import Agreement, icc_2_1
from lumbar.evaluation.clinical import grading_accuracy, score_quantities, score_studies
from lumbar.evaluation.landmark_scores import score_films, score_landmarks
from lumbar.evaluation.paper import TABLE_I, TABLE_III
from lumbar.evaluation.resampling import paired_p, patient_bootstrap
from tests.spines import FILM_HEIGHT, FILM_WIDTH, SQUARE, a_spine, on_film

TRUTH = on_film(a_spine(sacral_slope_deg=35)).points_px
DEPTH_PX = 32 / 0.2  # every endplate of the builder's spine is 32 mm deep, and a pixel is 0.2 mm


def a_case(found=TRUTH, truth=TRUTH, name="film", patient=None, spacing=SQUARE, side=Side.LEFT) -> ReadCase:
    return ReadCase(name, patient or name, truth, found, FILM_HEIGHT, FILM_WIDTH, side, spacing)


def off_by(dx: float, dy: float, corners=slice(None)) -> np.ndarray:
    found = TRUTH.copy()
    found[corners] += (dx, dy)
    return found


def without(*rows: int) -> np.ndarray:
    found = TRUTH.copy()
    found[list(rows)] = np.nan
    return found


def test_a_perfect_reading_has_no_error_in_any_unit():
    for unit in Unit:
        scores = score_landmarks([a_case()], unit)
        assert scores.mae.value == scores.mre.value == 0
        assert {rate.value for rate in scores.sdr.values()} == {100}


def test_three_right_and_four_down_is_seven_in_mae_and_five_in_mre():
    scores = score_landmarks([a_case(off_by(3, 4))], Unit.FILM_PX)
    assert scores.mae.value == pytest.approx(7) and scores.mre.value == pytest.approx(5)
    assert [scores.sdr[radius].value for radius in (5, 6, 10)] == [100, 100, 100]
    assert score_landmarks([a_case(off_by(3, 4.1))], Unit.FILM_PX).sdr[5].value == 0


def test_units_are_those_of_the_film():
    case = a_case(off_by(3, 4))
    assert score_landmarks([case], Unit.MM).mre.value == pytest.approx(1.0)  # 0.2 mm a pixel
    assert score_landmarks([case], Unit.DIAGONAL).mre.value == pytest.approx(500 / np.hypot(FILM_HEIGHT, FILM_WIDTH))
    assert score_landmarks([case], Unit.DEPTH).mre.value == pytest.approx(5 / DEPTH_PX)
    size = np.ptp(TRUTH, axis=0)
    assert score_landmarks([case], Unit.INPUT_PX).mre.value == pytest.approx(
        5 * 0.85 * min(1024 / size[1], 512 / size[0])
    )


def test_errors_in_mm_know_pixels_that_are_not_square():
    tall = replace(SQUARE, row_mm=0.4)
    case = a_case(off_by(0, 5), spacing=tall)
    assert score_landmarks([case], Unit.MM).mre.value == pytest.approx(2.0)


def test_without_a_spacing_nothing_is_in_mm():
    assert score_landmarks([a_case(spacing=None)], Unit.MM) is None
    assert Unit.MM not in evaluate("m", "d", [a_case(spacing=None)]).landmarks


def test_a_missed_corner_counts_as_one_depth_and_fails_every_radius():
    case = a_case(without(0))
    scores = score_landmarks([case], Unit.DEPTH)
    assert scores.mre.value == pytest.approx(1 / 22)
    assert scores.sdr[0.1].value == pytest.approx(100 * 21 / 22)
    assert score_landmarks([case], Unit.MM).mre.value == pytest.approx(32 / 22)
    assert score_films([case]).missed.value == pytest.approx(100 / 22)


def test_a_corner_that_nobody_marked_is_not_counted():
    case = a_case(found=off_by(500, 0, [0]), truth=without(0))
    assert score_landmarks([case], Unit.FILM_PX).mre.value == 0
    assert score_films([case]).missed.value == 0


def test_names_off_by_a_level_are_a_shift_and_a_bad_corner_is_not():
    shifted = TRUTH.copy()
    shifted[4:20] = TRUTH[:16]
    assert a_case(shifted).shifted
    assert not a_case(off_by(300, 0, [0, 1])).shifted
    assert a_case(np.full((22, 2), np.nan)).shifted
    assert score_films([a_case(shifted), a_case(name="other")]).shifted.value == 50


def test_errors_are_told_apart_by_vertebra_and_by_corner():
    scores = score_landmarks([a_case(off_by(0, 10, [20, 21]))], Unit.FILM_PX)
    assert scores.by_vertebra["S1"] == pytest.approx(10) and scores.by_vertebra["L5"] == 0
    assert scores.by_corner["inferior_anterior"] == 0 and scores.by_corner["superior_anterior"] == pytest.approx(10 / 6)


def test_films_of_one_patient_move_together_in_the_bootstrap():
    cases = [a_case(off_by(k % 7, 0), name=f"film{k}", patient=f"patient{k % 7}") for k in range(70)]
    alone = [replace(case, patient=case.film) for case in cases]
    width = [s.mre.high - s.mre.low for s in (score_landmarks(c, Unit.FILM_PX) for c in (cases, alone))]
    assert width[0] > 2 * width[1]


def test_the_bootstrap_interval_is_that_of_scipy_for_independent_films():
    values = np.random.default_rng(1).gamma(2.0, 1.0, 60)
    ((low, high),) = patient_bootstrap(
        [str(i) for i in range(60)], lambda films: np.array([values[films].mean()]), resamples=4000
    )
    theirs = stats.bootstrap((values,), np.mean, method="percentile", rng=np.random.default_rng(2)).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.05)


def test_paired_methods_are_told_apart_where_unpaired_ones_would_not_be():
    hard = np.random.default_rng(0).gamma(2.0, 5.0, 40)
    better = hard - np.random.default_rng(1).normal(0.5, 0.5, 40)
    assert paired_p(hard, better) < 0.001 < 0.3 < stats.ttest_ind(hard, better).pvalue


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_the_sign_flip_test_is_about_that_of_scipy(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.normal(0.4, 1, 12), rng.normal(0, 1, 12)
    theirs = stats.permutation_test(
        (first, second), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf
    )
    assert paired_p(first, second) == pytest.approx(theirs.pvalue, abs=0.02)


def test_icc_falls_with_a_bias_that_correlation_does_not_see():
    true = np.linspace(0, 10, 20)
    assert icc_2_1(np.stack([true, true], axis=1)) == pytest.approx(1)
    assert icc_2_1(np.stack([true + 5, true], axis=1)) < 0.7


def test_limits_of_agreement_are_bias_and_1_96_deviations():
    found = Agreement.of(np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0, 1.0]))
    assert (found.bias, found.high - found.bias) == pytest.approx((1.0, 1.96)) and found.mean_absolute_error == 1


def test_a_slope_read_five_degrees_too_steep_is_a_bias_of_five():
    steep = on_film(a_spine(sacral_slope_deg=40)).points_px
    scores = {q.quantity: q for q in score_quantities([a_case(steep), a_case(steep, name="b")])}
    assert scores["sacral_slope"].agreement.bias == pytest.approx(5)
    assert scores["lordosis"].agreement.bias == pytest.approx(0, abs=1e-9)  # all of the spine turned


def test_sacral_slope_is_the_same_whichever_way_the_patient_faces():
    right = on_film(a_spine(sacral_slope_deg=35), Side.RIGHT).points_px
    (slope, *_) = score_quantities([a_case(right, right, side=Side.RIGHT), a_case()])
    assert slope.agreement.mean_absolute_error == 0


def test_a_missed_corner_makes_the_grade_wrong_and_the_angle_unmeasured():
    case = a_case(without(LANDMARK_INDEX[Vertebra.L4, Corner.INFERIOR_POSTERIOR]))
    assert grading_accuracy([case]).value == 80
    scores = {q.quantity: q for q in score_quantities([case])}
    assert scores["intervertebral_angle"].unmeasured == 1 and scores["intervertebral_angle"].agreement.n == 4


def test_forward_and_backward_slips_of_one_grade_differ():
    forward, backward = (on_film(a_spine({"L4/L5": slip})).points_px for slip in (20, -20))
    assert grading_accuracy([a_case(forward, backward)]).value == 80
    assert grading_accuracy([a_case(forward, backward)], grade=quarter_of).value == 100


def a_study(translation_mm: float, found_mm: float, patient: str = "p") -> dict[Posture, ReadCase]:
    extension = on_film(a_spine()).points_px
    true, found = (on_film(a_spine({"L4/L5": 100 * mm / 32})).points_px for mm in (translation_mm, found_mm))
    return {
        Posture.FLEXION: a_case(found, true, patient=patient),
        Posture.EXTENSION: a_case(extension, extension, patient=patient),
    }


def test_changes_between_flexion_and_extension_are_averaged_over_five_levels():
    scores = score_studies([a_study(5.0, 4.0)])
    assert scores.displacement_mm.value == pytest.approx(1.0 / 5)
    assert scores.angle_deg.value == pytest.approx(0, abs=1e-9) and scores.stability.value == 100
    assert score_studies([a_study(5.0, 2.0)]).stability.value == 80  # 3 mm is the paper's threshold


def test_a_study_without_extension_is_refused_by_name():
    study = a_study(1, 1)
    del study[Posture.EXTENSION]
    with pytest.raises(ValueError, match="a study needs flexion and extension; got flexion"):
        score_studies([study])


def test_an_evaluation_survives_json():
    cases = [a_case(off_by(3, 4), name="a"), a_case(without(0, 1), name="b", spacing=None)]
    found = evaluate("method", "data", cases, [a_study(5.0, 4.0)], {"seed": "0"})
    again = Evaluation.from_json(found.to_json())
    assert again.landmarks[Unit.MM] == found.landmarks[Unit.MM] and again.studies == found.studies
    assert again.to_json() == found.to_json()
    with pytest.raises(ValueError, match="not an evaluation"):
        Evaluation.from_json("{}")


def test_the_papers_tables_stand_beside_ours():
    cases = [a_case(off_by(k, 0), name=str(k)) for k in range(1, 9)]
    worse = [replace(case, found_px=case.found_px + 9) for case in cases]
    found = [
        evaluate("lsld-net", "bench", cases, [a_study(5, 4)]),
        evaluate("hrnet", "bench", worse, [a_study(5, 1)]),
        evaluate("lsld-net-base", "bench", worse),
    ]
    one, two, three = compared(found)
    assert (
        [row[0] for row in one.rows] == ["lsld-net", "hrnet"]
        and "[7.1]" in one.rows[0][2]
        and "[9.5]" in one.rows[1][2]
    )
    assert one.rows[0][-1] == "–" and float(one.rows[1][-1]) < 0.02
    assert "[70.9]" in two.rows[0][4]
    assert [row[0] for row in three.rows] == ["lsld-net-base — base + localiser", "lsld-net — + MSAM with SAE"]
    assert "[10.5]" in three.rows[0][2]
    with pytest.raises(ValueError, match="must differ"):
        compared([found[0], found[0]])


def test_the_papers_rows_are_ordered_as_it_says():
    assert min(TABLE_I.values(), key=lambda row: row.mre_px) is TABLE_I["lsld-net"] is TABLE_III["+ MSAM with SAE"]
    for row in (*TABLE_I.values(), *TABLE_III.values()):
        assert (
            row.mre_px < row.mae_px
            and list(row.sdr_px) == sorted(row.sdr_px)
            and list(row.sdr_mm) == sorted(row.sdr_mm)
        )


def test_the_page_shows_the_worst_films_first():
    cases = [a_case(off_by(k, 0), name=f"film{k}") for k in (1, 30, 5)]
    page = evaluation_page(
        evaluate("m", "d", cases), cases, lambda case: np.zeros((FILM_HEIGHT, FILM_WIDTH), np.float32)
    )
    assert page.index("film30:") < page.index("film5:") < page.index("film1:")
    assert page.count("data:image/jpeg") == 3 and "http" not in page.split("</head>")[1]


def test_every_table_has_rows_as_long_as_its_head():
    for table in tables_of(evaluate("m", "d", [a_case(off_by(1, 1))], [a_study(5, 4)])):
        assert {len(row) for row in table.rows} == {len(table.head)}
        assert len(table.csv().splitlines()) == len(table.rows) + 1
