"""The film with what was measured drawn on it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lumbar.anatomy import LANDMARK_INDEX, LEVELS, Corner, Side, Vertebra, rows_of
from lumbar.geometry import FloatArray
from lumbar.measurements import DISPLACEMENT_AT, INTERVERTEBRAL_ANGLE, Measurement
from lumbar.radiograph import Radiograph
from lumbar.reading import NOTICE, Reading
from lumbar.report.constructions import BODY, DISPLACEMENT, ENDPLATE, WALL, constructions, outlines
from lumbar.report.words import grade_in_words

Colour = tuple[int, int, int]

# RGB, told apart by people who do not see red and green apart, too.
COLOURS: dict[str, Colour] = {
    BODY: (86, 180, 233),
    ENDPLATE: (240, 228, 66),
    WALL: (230, 159, 0),
    DISPLACEMENT: (255, 90, 90),
}
TEXT: Colour = (255, 255, 255)
DOUBT: Colour = (255, 170, 60)

LONGEST_SIDE = (900, 1600)
"""In pixels: larger films are shown smaller, smaller ones larger."""


def draw_overlay(radiograph: Radiograph, reading: Reading) -> NDArray[np.uint8]:
    """The film in grey with corners, endplates, the constructions of displacement and angle, names and grades: RGB (H, W, 3).

    Endplates are yellow; the posterior wall from which the displacement is measured is orange, and the displacement
    itself red, from the upper vertebra's corner to the wall's line (at L5/S1: along the endplate). Pixels are shown square,
    and so large that the longer side lies within `LONGEST_SIDE`.
    """
    pen = _Pen.on(radiograph)
    points = pen.scaled(reading.landmarks.points_px)
    if not reading.landmarks.present.any():
        pen.write("no lumbar spine found", (12, 12), DOUBT)
    for line in (*outlines(reading), *constructions(reading)):
        if line.kind in COLOURS:
            pen.line(pen.scaled(line.start), pen.scaled(line.end), COLOURS[line.kind])
    for corner in points:
        pen.dot(corner, COLOURS[BODY])
    _write_names(pen, points, reading)
    pen.write(NOTICE, (8, pen.image.shape[0]), (190, 190, 190), 0.75)
    return pen.image


class _Pen:
    """Draws on a film that is shown `scale` times as wide and `scale * aspect` times as high as it is stored."""

    def __init__(self, image: NDArray[np.uint8], scale_xy: tuple[float, float]) -> None:
        self.image, self._scale = image, np.array(scale_xy)
        self.thickness = max(1, round(max(image.shape[:2]) / 700))
        self.line_height = round(max(image.shape[:2]) / 54) + 4

    @classmethod
    def on(cls, radiograph: Radiograph) -> _Pen:
        tall = radiograph.height * radiograph.aspect
        longest = max(tall, radiograph.width)
        scale = float(np.clip(longest, *LONGEST_SIDE)) / longest
        size = (max(1, round(radiograph.width * scale)), max(1, round(tall * scale)))
        way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        grey = cv2.resize(radiograph.pixels, size, interpolation=way)
        shown = np.repeat((np.clip(grey, 0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)
        return cls(np.ascontiguousarray(shown), (size[0] / radiograph.width, size[1] / radiograph.height))

    def scaled(self, points_px: FloatArray) -> FloatArray:
        return np.asarray((points_px + 0.5) * self._scale - 0.5)

    def line(self, start: FloatArray, end: FloatArray, colour: Colour) -> None:
        a, b = (tuple(round(float(v) * 16) for v in p) for p in (start, end))
        cv2.line(self.image, a, b, colour, self.thickness, cv2.LINE_AA, 4)

    def dot(self, at: FloatArray, colour: Colour) -> None:
        if not np.isnan(at).any():
            centre = tuple(round(float(v) * 16) for v in at)
            cv2.circle(self.image, centre, 16 * (self.thickness + 1), colour, -1, cv2.LINE_AA, 4)

    def write(self, text: str, at: tuple[float, float], colour: Colour, size: float = 1.0) -> None:
        """Text whose first line stands at `at`, moved where it would leave the picture."""
        font = ImageFont.load_default(max(10.0, self.line_height * 0.7 * size))
        left, _, right, bottom = font.getbbox(text)
        x = float(np.clip(at[0], 3, max(3, self.image.shape[1] - (right - left) - 6)))
        y = float(np.clip(at[1], 3, self.image.shape[0] - bottom - 3))
        picture = Image.fromarray(self.image)
        outline = max(1, self.line_height // 12)
        ImageDraw.Draw(picture).text((x, y), text, colour, font, stroke_width=outline, stroke_fill=(0, 0, 0))
        self.image = np.array(picture)


def _write_names(pen: _Pen, points: FloatArray, reading: Reading) -> None:
    for vertebra in Vertebra:
        corners = points[rows_of(vertebra)]
        if not np.isnan(corners).any():
            middle = corners.mean(axis=0)
            below = pen.line_height * (0.3 if len(corners) == 2 else -0.5)
            pen.write(vertebra, (middle[0] - pen.line_height / 2, middle[1] + below), TEXT)
    grades = {grade.site: grade for grade in reading.grades}
    behind = 1.0 if reading.anterior is Side.LEFT else -1.0
    for level in LEVELS:
        place = points[LANDMARK_INDEX[level.upper, Corner.INFERIOR_POSTERIOR]]
        if np.isnan(place).any():
            continue
        site = str(level)
        found = (reading.measured(name, site) for name in (DISPLACEMENT_AT[site], INTERVERTEBRAL_ANGLE.name))
        said = "  ".join(f"{m.value:+.1f} {m.unit}" for m in found if isinstance(m, Measurement))
        grade = grades.get(site)
        depth = np.nanmean(np.linalg.norm(points[0::4] - points[1::4], axis=1))
        x = place[0] + behind * 0.75 * depth - (0 if behind > 0 else 8 * pen.line_height)
        if said:
            pen.write(f"{site}  {said}", (x, place[1]), TEXT, 0.85)
        if grade is not None and grade.grade > 0:
            words = f"{grade_in_words(grade)}  {grade.slip_percent:+.0f} %"
            pen.write(words, (x, place[1] + pen.line_height), DOUBT, 0.85)
