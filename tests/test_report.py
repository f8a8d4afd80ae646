"""Reading -> picture, page and table."""

import re
import zlib

import numpy as np
import pytest
from rich.console import Console

from lumbar.anatomy import LANDMARK_INDEX, Corner, Posture, Side, Vertebra
from lumbar.landmarks import SpineLandmarks
from lumbar.radiograph import PixelSpacing
from lumbar.reading import Reading
from lumbar.report import NoPdf, as_pdf, draw_overlay, reading_page, reading_table, study_page, study_table
from lumbar.report.constructions import BODY, ENDPLATE, constructions, outlines
from lumbar.study import assess_study
from tests.spines import SQUARE, a_film, a_reading, a_spine, no_landmarks, on_film

SLIPPED = a_spine({"L4/L5": 30}, {"L3/L4": 12}, corner_error_mm=0.4)


def printed(table) -> str:
    console = Console(width=140, record=True, quiet=False, file=None, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def coloured(picture: np.ndarray) -> np.ndarray:
    return np.ptp(picture.astype(int), axis=2) > 60


def test_the_overlay_draws_where_the_spine_is():
    reading = a_reading(SLIPPED)
    picture = draw_overlay(a_film(), reading)
    assert picture.dtype == np.uint8 and picture.shape == (1500, 1200, 3)
    rows, columns = np.nonzero(coloured(picture))
    points = reading.landmarks.points_px
    assert abs(rows.min() - points[:, 1].min()) < 40 and columns.min() > points[:, 0].min() - 20
    corner = np.round(points[0]).astype(int)
    assert coloured(picture)[corner[1] - 4 : corner[1] + 5, corner[0] - 4 : corner[0] + 5].any()


def test_a_film_that_faces_right_has_its_words_on_the_other_side():
    left, right = (a_reading(SLIPPED, anterior=side) for side in (Side.LEFT, Side.RIGHT))
    middle = [np.nonzero(draw_overlay(a_film(), r).min(axis=2) > 200)[1].mean() - 600 for r in (left, right)]
    assert middle[0] > 0 > middle[1]


def test_an_overlay_of_a_film_without_a_spine_says_so():
    nothing = Reading.of("film.png", a_film(), None, no_landmarks(), facing_source="film", weights={})
    assert draw_overlay(a_film(), nothing)[:60].max() > 200
    page = reading_page(nothing, draw_overlay(a_film(), nothing))
    assert "No lumbar spine found" in page and "<table" not in page


def test_a_level_without_figures_gets_no_label():
    """Without S1 nothing is measured at L5/S1: the place of its label, behind L5's lower corner, stays black."""
    no_s1 = tuple((Vertebra.S1, c) for c in (Corner.SUPERIOR_ANTERIOR, Corner.SUPERIOR_POSTERIOR))
    written = []
    for absent in ((), no_s1):
        reading = a_reading(a_spine(absent=absent))
        x, y = on_film(a_spine()).points_px[LANDMARK_INDEX[Vertebra.L5, Corner.INFERIOR_POSTERIOR]].astype(int)
        label = draw_overlay(a_film(), reading)[y : y + 30, x + 60 : x + 400]
        written.append(bool(label.max() > 200))
    assert written == [True, False]


def test_corners_that_fall_together_are_drawn_without_a_word_of_numpy():
    points = on_film(SLIPPED).points_px.copy()
    points[21] = points[20]
    points[LANDMARK_INDEX[Vertebra.L4, Corner.INFERIOR_POSTERIOR]] = points[13]
    reading = Reading.of("f.png", a_film(), None, SpineLandmarks.exact(points), facing_source="film", weights={})
    assert coloured(draw_overlay(a_film(), reading)).any()


def test_the_page_needs_no_other_file_and_no_other_host():
    reading = a_reading(SLIPPED)
    page = reading_page(reading, draw_overlay(a_film(), reading))
    assert re.findall(r'(?:src|href)="(?!data:image/jpeg;base64,)', page) == []
    assert "http://" not in page and "https://" not in page and "<script" not in page
    assert "Research use only; not a medical device." in page
    assert "anterolisthesis, grade II" in page and "S1 has no posterior-inferior corner" in page


def test_a_films_name_cannot_smuggle_markup_into_page_or_table():
    reading = a_reading(SLIPPED, "<script>[red]x[_red].png")
    assert "<script>" not in reading_page(reading, draw_overlay(a_film(), reading))
    assert "[red]" in printed(reading_table(reading))


def test_the_table_gives_values_errors_grades_and_reasons():
    text = printed(reading_table(a_reading(SLIPPED)))
    assert "+30.0 ± " in text and "anterolisthesis, grade II" in text and "+12.0" in text
    assert "S1 has no posterior-inferior corner" in text


def test_without_spacing_the_table_has_no_mm_and_says_why():
    text = printed(reading_table(a_reading(SLIPPED, spacing=None)))
    assert " mm" not in text.split("not measured")[0] and "give --spacing" in text


def test_a_study_shows_motion_verdict_and_probability():
    flexion, extension = a_reading(SLIPPED, "f.png"), a_reading(a_spine({"L4/L5": 5}, corner_error_mm=0.4), "e.png")
    study = assess_study(flexion, extension)
    text = printed(study_table(study))
    assert "unstable" in text and "> 99 %" in text and "stable" in text
    page = study_page(study, {Posture.FLEXION: draw_overlay(a_film(), flexion)})
    assert "translation &gt; 3 mm" in page and page.count("<img") == 1 and "> 99" in page.replace("&gt;", ">")


def test_reports_are_one_page_of_pdf():
    if not pango():
        pytest.skip("PDF needs the system's Pango library: make system")
    reading = a_reading(SLIPPED, "f.png")
    study = assess_study(reading, a_reading(a_spine({"L4/L5": 5}, corner_error_mm=0.4), "e.png"))
    overlay = draw_overlay(a_film(), reading)
    for page in (reading_page(reading, overlay), study_page(study, dict.fromkeys(study.films, overlay))):
        pdf = as_pdf(page)
        assert pdf.startswith(b"%PDF") and pages_in(pdf) == 1


def pango() -> bool:
    try:
        as_pdf("<p>")
    except NoPdf:
        return False
    return True


def pages_in(pdf: bytes) -> int:
    return len(re.findall(rb"/Type\s*/Page\b", pdf + b"".join(unpacked(pdf))))


def unpacked(pdf: bytes) -> list[bytes]:
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    found = []
    for stream in streams:
        try:
            found.append(zlib.decompress(stream))
        except zlib.error:
            continue
    return found


@pytest.mark.parametrize("spacing", [SQUARE, PixelSpacing(0.2, 0.1, "table", "patient")])
def test_the_lines_that_are_drawn_are_as_long_as_what_was_measured(spacing):
    reading = a_reading(SLIPPED, spacing=spacing)
    lines = {(line.site, line.kind): line for line in constructions(reading)}
    mm = np.array([spacing.column_mm, spacing.row_mm])
    for site, name in (("L4/L5", "sagittal_displacement_wall"), ("L5/S1", "sagittal_displacement_endplate")):
        line = lines[site, "displacement"]
        assert np.linalg.norm((line.end - line.start) * mm) == pytest.approx(
            abs(reading.measured(name, site).value), abs=1e-6
        )
    wall, displacement = lines["L4/L5", "wall"], lines["L4/L5", "displacement"]
    across = ((wall.end - wall.start) * mm) @ ((displacement.end - displacement.start) * mm)
    assert across == pytest.approx(0, abs=1e-6)


def test_a_level_that_lacks_a_corner_has_no_line_there():
    reading = a_reading(a_spine(absent=((Vertebra.L4, Corner.INFERIOR_POSTERIOR),)))
    assert {line.kind for line in constructions(reading) if line.site == "L4/L5"} == {"angle"}


def test_outlines_are_the_walls_and_endplates_of_each_vertebra():
    spine = a_spine(absent=((Vertebra.L4, Corner.INFERIOR_POSTERIOR),))
    lines = [(line.site, line.kind) for line in outlines(a_reading(spine))]
    count = {v: (lines.count((v, BODY)), lines.count((v, ENDPLATE))) for v in Vertebra}
    assert count == {v: {Vertebra.L4: (1, 1), Vertebra.S1: (0, 1)}.get(v, (2, 2)) for v in Vertebra}
