"""The projector against RTK's: path lengths through the same solids, from the same source, on the same pixels.

    make crosscheck

or, where itk-rtk is installed, `PYTHONPATH=src python experiments/projector_check.py [--picture FILE.png]`. A box and
three ellipsoids (one turned about every axis, one that takes density away) stand before a beam that is turned and off
centre. RTK meets the box and the ellipsoids exactly, by formula, and once more the ellipsoids as voxels with Joseph's
method. "Inner" pixels are those farther than RIM_PX from any contour: at a contour a path length rises as a square
root, and what is made of triangles or voxels cannot follow. The exit status is 1 where a difference exceeds its limit.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import itk
import numpy as np
from itk import RTK as rtk  # noqa: N811

from lumbar.synthesis.beam import Beam, path_lengths
from lumbar.synthesis.engine import NUMPY
from lumbar.synthesis.solids import Solid, ellipsoid, loft, rotation

Image = np.ndarray
PROJECTIONS = itk.Image[itk.F, 3]

HEIGHT, WIDTH, PIXEL_MM = 256, 224, 0.5
ABOUT_X_DEG, ABOUT_Y_DEG = 6.0, -17.0
RINGS, AROUND = 300, 600
VOXEL_MM = 0.5
RIM_PX = 3


@dataclass(frozen=True)
class Ball:
    """An ellipsoid, `turn` (3, 3) turning its axes; all in mm."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    density: float
    turn: np.ndarray


@dataclass(frozen=True)
class Limits:
    """The largest differences allowed, in mm: of one pixel anywhere, of one inner pixel, and of the mean."""

    anywhere: float
    inner: float
    mean: float


BALLS = (
    Ball((3.0, -4.0, 2.0), (38.0, 47.0, 30.0), 1.0, np.eye(3)),
    Ball((-8.0, 9.0, -5.0), (20.0, 8.0, 12.0), 1.7, rotation(25.0, -40.0, 30.0)),
    Ball((14.0, -20.0, 6.0), (9.0, 9.0, 9.0), -0.6, np.eye(3)),
)
BOX = ((-21.3, -33.1, -12.7), (17.9, 28.4, 19.2))
LIMITS = {
    "box, by formula": Limits(anywhere=0.001, inner=0.0002, mean=0.0001),
    "ellipsoids, by formula": Limits(anywhere=0.5, inner=0.01, mean=0.002),
    "ellipsoids, as voxels": Limits(anywhere=8.0, inner=0.5, mean=0.06),
}
POINT_LIMIT_PX = 1e-6


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--picture", type=Path, help="where to draw both projections of the ellipsoids and their difference"
    )
    given = arguments.parse_args()
    turn = rotation(about_x_deg=ABOUT_X_DEG) @ rotation(about_y_deg=ABOUT_Y_DEG)
    beam = Beam(1100.0, 900.0, PIXEL_MM, turn, (104.3, 131.8), (140.0, 90.0))
    geometry = geometry_of(beam)

    points_px = points_apart_px(beam, geometry)
    kept = points_px <= POINT_LIMIT_PX
    print(f"points: apart by at most {points_px:.1e} px (allowed {POINT_LIMIT_PX:.0e}): {verdict(kept)}")

    solids = [ellipsoid(b.centre, b.radii, b.density, b.turn, RINGS, AROUND) for b in BALLS]
    ours = path_lengths(solids, beam, HEIGHT, WIDTH, NUMPY)
    formulas = [met_by_formula(quadric_of(ball), beam, geometry) for ball in BALLS]
    voxels = as_voxels(beam, geometry)
    box = met_by_formula(box_filter(), beam, geometry)
    inner = far_from_contours(formulas)
    compared = {
        "box, by formula": (path_lengths([box_solid()], beam, HEIGHT, WIDTH, NUMPY), box, far_from_contours([box])),
        "ellipsoids, by formula": (ours, np.sum(formulas, axis=0), inner),
        "ellipsoids, as voxels": (ours, voxels, inner),
    }
    for name, (found, theirs, where) in compared.items():
        kept &= within(name, found, theirs, where, LIMITS[name])
    if given.picture:
        cv2.imwrite(str(given.picture), picture(ours, voxels))
    sys.exit(0 if kept else 1)


def within(name: str, ours: Image, theirs: Image, inner: Image, limits: Limits) -> bool:
    apart = np.abs(ours - theirs)
    longest = float(theirs.max())
    figures = {"anywhere": apart.max(), "inner": apart[inner].max(), "mean": apart.mean()}
    kept = all(figure <= getattr(limits, which) for which, figure in figures.items())
    print(f"{name}: longest path {longest:.3f} mm, inner pixels {inner.mean():.1%}: {verdict(kept)}")
    for which, figure in figures.items():
        print(f"    {which:9} {figure:.5f} mm ({figure / longest:.2e} of it; allowed {getattr(limits, which)} mm)")
    return kept


def verdict(kept: bool) -> str:
    return "within limits" if kept else "BEYOND LIMITS"


def geometry_of(beam: Beam) -> Any:
    """The beam in RTK's words: its frame is the patient's, but its source lies at +z before the gantry's half turn."""
    right_mm, down_mm = (np.array(beam.origin_px) - beam.central_px) * beam.pixel_mm
    geometry = rtk.ThreeDCircularProjectionGeometry.New()
    # Source and detector move together: RTK then counts detector coordinates from the foot of the central ray.
    source_to = (beam.source_to_patient_mm, beam.source_to_detector_mm)
    offset = (-right_mm, down_mm)
    geometry.AddProjection(*source_to, 180 - ABOUT_Y_DEG, *offset, ABOUT_X_DEG, 0.0, *offset)
    return geometry


def points_apart_px(beam: Beam, geometry: Any) -> float:
    """By how much `Beam.project` and RTK's projection matrix differ for points all over the patient."""
    points = np.random.default_rng(0).uniform(-80, 80, (100, 3))
    matrix = itk.array_from_matrix(geometry.GetMatrix(0))
    right, up, scale = (np.c_[points, np.ones(len(points))] @ matrix.T).T
    theirs = np.stack([right / scale, -up / scale], axis=1) / detector_pixel_mm(beam) + beam.central_px
    return float(np.abs(beam.project(points) - theirs).max())


def detector_pixel_mm(beam: Beam) -> float:
    return beam.pixel_mm * beam.magnification


def empty_film(beam: Beam) -> Any:
    """RTK's rows run up: its first one is the film's last."""
    pixel = detector_pixel_mm(beam)
    left, low = -beam.central_px[0] * pixel, -(HEIGHT - 1 - beam.central_px[1]) * pixel
    film = itk.image_from_array(np.zeros((1, HEIGHT, WIDTH), np.float32))
    film.SetOrigin([left, low, 0.0])
    film.SetSpacing([pixel, pixel, 1.0])
    return film


def run(projector: Any, geometry: Any) -> Image:
    projector.SetGeometry(geometry)
    projector.Update()
    return itk.array_from_image(projector.GetOutput())[0, ::-1].astype(np.float64)


def met_by_formula(projector: Any, beam: Beam, geometry: Any) -> Image:
    projector.SetInput(empty_film(beam))
    return run(projector, geometry)


def quadric_of(ball: Ball) -> Any:
    """The ellipsoid as A x2 + B y2 + C z2 + D xy + E xz + F yz + G x + H y + I z + J = 0."""
    form = ball.turn @ np.diag(1 / np.square(ball.radii)) @ ball.turn.T
    centre = np.array(ball.centre)
    linear = -2 * form @ centre
    projector = rtk.RayQuadricIntersectionImageFilter[PROJECTIONS, PROJECTIONS].New()
    terms = (*np.diag(form), *(2 * form[[0, 0, 1], [1, 2, 2]]), *linear, centre @ form @ centre - 1)
    for letter, term in zip("ABCDEFGHIJ", terms, strict=True):
        getattr(projector, f"Set{letter}")(float(term))
    projector.SetDensity(ball.density)
    return projector


def box_filter() -> Any:
    projector = rtk.RayBoxIntersectionImageFilter[PROJECTIONS, PROJECTIONS].New()
    projector.SetBoxMin(itk.Vector[itk.D, 3](BOX[0]))
    projector.SetBoxMax(itk.Vector[itk.D, 3](BOX[1]))
    projector.SetDensity(1.0)
    return projector


def box_solid() -> Solid:
    (x0, y0, z0), (x1, y1, z1) = BOX
    return loft(np.array([[(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)] for z in (z0, z1)]), 1.0)


def as_voxels(beam: Beam, geometry: Any) -> Image:
    film = rtk.JosephForwardProjectionImageFilter[PROJECTIONS, PROJECTIONS].New()
    film.SetInput(0, empty_film(beam))
    film.SetInput(1, voxels_of(BALLS))
    return run(film, geometry)


def voxels_of(balls: tuple[Ball, ...]) -> Any:
    """A volume about all balls; a voxel on a surface holds about the share of it that lies inside."""
    reach = np.array([np.sqrt(np.square(b.turn * b.radii).sum(axis=1)) for b in balls])
    centres = np.array([b.centre for b in balls])
    low, high = (centres - reach).min(axis=0) - 3 * VOXEL_MM, (centres + reach).max(axis=0) + 3 * VOXEL_MM
    x, y, z = (np.arange(a, b, VOXEL_MM, dtype=np.float32) for a, b in zip(low, high, strict=True))
    volume = np.zeros((len(z), len(y), len(x)), np.float32)
    for k, depth in enumerate(z):
        points = np.stack(np.broadcast_arrays(x[None], y[:, None], depth), axis=-1)
        for ball in balls:
            own = (points - ball.centre) @ ball.turn / ball.radii
            size = np.linalg.norm(own, axis=-1)
            outside_mm = size * (size - 1) / (np.linalg.norm(own / ball.radii, axis=-1) + 1e-9)
            volume[k] += ball.density * np.clip(0.5 - outside_mm / VOXEL_MM, 0, 1)
    made = itk.image_from_array(volume)
    made.SetOrigin([float(axis[0]) for axis in (x, y, z)])
    made.SetSpacing([VOXEL_MM] * 3)
    return made


def far_from_contours(shadows: list[Image]) -> Image:
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * RIM_PX + 1,) * 2)
    covered = [(shadow != 0).astype(np.uint8) for shadow in shadows]
    return ~np.any([cv2.morphologyEx(c, cv2.MORPH_GRADIENT, disc) > 0 for c in covered], axis=0)


def picture(ours: Image, theirs: Image) -> Image:
    """Ours, theirs, and the difference: grey is none, black and white are 1 mm."""
    grey = [image / theirs.max() * 255 for image in (ours, theirs)] + [127.5 + 127.5 * (ours - theirs)]
    return np.clip(np.hstack(grey), 0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
