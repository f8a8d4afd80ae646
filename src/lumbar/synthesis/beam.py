"""The beam: a point source, a flat detector, and exact path lengths through solids.

Path lengths are exact for the polyhedra that are given: a ray's length inside a closed surface is the sum of the distances at
which it leaves minus those at which it enters. Rays run through pixel centres; each triangle is walked row by row in half-open
spans, so that an edge belongs to one of its two triangles and to one only.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lumbar.geometry import FloatArray
from lumbar.synthesis.engine import Array, Engine
from lumbar.synthesis.solids import Solid, merged


@dataclass(frozen=True, slots=True)
class Beam:
    """A patient between source and detector, seen from the source: the film's anterior lies on its left.

    source_to_detector_mm, source_to_patient_mm: SID, and SOD to the patient's origin (S1's upper posterior corner).
    pixel_mm: of the film, in the plane through the patient's origin; the detector's pixel is larger by the magnification.
    turn (3, 3): how the patient stands to the beam; the identity looks along +z, at the patient's left side.
    origin_px (x, y): where the patient's origin falls. central_px: where the central ray meets the film.
    """

    source_to_detector_mm: float
    source_to_patient_mm: float
    pixel_mm: float
    turn: FloatArray
    origin_px: tuple[float, float]
    central_px: tuple[float, float]

    @property
    def magnification(self) -> float:
        """Of the plane through the patient's origin, on the detector."""
        return self.source_to_detector_mm / self.source_to_patient_mm

    def seen(self, points_mm: FloatArray) -> FloatArray:
        """Patient (N, 3) -> source frame (N, 3) in mm: x to the film's right, y down, z along the central ray."""
        off = (np.array(self.origin_px) - self.central_px) * self.pixel_mm
        return np.asarray(points_mm @ self.turn.T * (-1.0, -1.0, 1.0) + (*off, self.source_to_patient_mm))

    def project(self, points_mm: FloatArray) -> FloatArray:
        """Patient (..., 3) mm -> film (..., 2) px.

        >>> beam = Beam(1100, 900, 0.3, np.eye(3), (200.0, 300.0), (256.0, 256.0))
        >>> beam.project(np.array([[0, 0, 0], [30, 0, 0], [0, 30, 0]])).round(6).tolist()
        [[200.0, 300.0], [100.0, 300.0], [200.0, 200.0]]
        """
        points = np.asarray(points_mm, dtype=np.float64)
        seen = self.seen(points.reshape(-1, 3))
        scale = self.source_to_patient_mm / self.pixel_mm
        return (seen[:, :2] / seen[:, 2:] * scale + self.central_px).reshape(*points.shape[:-1], 2)

    def from_afar(self) -> Beam:
        """The same film in rays that are all but parallel, square to the median plane: no contour is double."""
        cosine, sine = self.turn[:2, 0] / np.linalg.norm(self.turn[:2, 0])
        in_plane = np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
        return replace(self, source_to_patient_mm=1e5, source_to_detector_mm=1e5 + 200.0, turn=in_plane)

    def smaller(self, factor: int) -> Beam:
        """The same beam on a film of `factor` times fewer pixels each way."""

        def there(at: tuple[float, float]) -> tuple[float, float]:
            return (at[0] + 0.5) / factor - 0.5, (at[1] + 0.5) / factor - 0.5

        return Beam(
            self.source_to_detector_mm,
            self.source_to_patient_mm,
            self.pixel_mm * factor,
            self.turn,
            there(self.origin_px),
            there(self.central_px),
        )


def path_lengths(solids: Iterable[Solid], beam: Beam, height: int, width: int, engine: Engine) -> Array:
    """(height, width) float32: for each pixel the sum over solids of density times path length, in mm.

    Solids must lie in front of the source. Time goes with the pixels that their surfaces cover.
    """
    scale = beam.source_to_patient_mm / beam.pixel_mm
    total = engine.nothing(height * width)
    walked = _triangles_on_film(solids, beam, scale, height, width, engine)
    for part in engine.parts(len(walked[0]) if walked else 0):
        engine.add(total, *_hits([at[part] for at in walked], beam, scale, height, width, engine))
    return engine.single(total).reshape(height, width) * _slant(beam, scale, height, width, engine)


def _hits(
    walked: list[Array], beam: Beam, scale: float, height: int, width: int, engine: Engine
) -> tuple[Array, Array]:
    """Which pixel is hit, int64, and what that adds to its path length before the slant, float32, for all (triangle, pixel)."""
    xp = engine.xp
    x0, y0, x1, y1, x2, y2, nx, ny, nz, offset, nearest, farthest, wound = walked

    # Rows of each triangle, then pixels of each row. The same edge gives the same numbers in both of its triangles.
    first = xp.clip(xp.ceil(y0), 0, height)
    rows = engine.whole(xp.clip(xp.ceil(y2), 0, height) - first)
    slopes = (x2 - x0) / (y2 - y0), (x1 - x0) / _not_zero(xp, y1 - y0), (x2 - x1) / _not_zero(xp, y2 - y1)
    owner = engine.owners(rows)
    row_number = engine.counted(engine.whole(first), rows, owner)
    row = engine.single(row_number)
    x0, y0, y1 = x0[owner], y0[owner], y1[owner]
    long = x0 + (row - y0) * slopes[0][owner]
    short = xp.where(row < y1, x0 + (row - y0) * slopes[1][owner], x1[owner] + (row - y1) * slopes[2][owner])
    left = xp.clip(xp.ceil(xp.minimum(long, short)), 0, width)
    columns = engine.whole(xp.clip(xp.ceil(xp.maximum(long, short)), 0, width) - left)
    # Leaving counts + and entering -, by the order of the two edges in this row: were it by the plane, rounding could count a
    # triangle that is seen all but edge-on twice or not at all.
    weight = wound[owner] * xp.sign(short - long)

    # Where the ray (u, v, 1) meets the triangle's plane, counted from the patient's origin along the central ray.
    v = (row - beam.central_px[1]) / scale
    nx, ny = nx[owner], ny[owner]
    above = (offset[owner] - beam.source_to_patient_mm * ny * v, ny * v + nz[owner])
    span = engine.owners(columns)
    column = engine.counted(engine.whole(left), columns, span)
    sloped = nx[span] * ((engine.single(column) - beam.central_px[0]) / scale)
    across = above[1][span] + sloped + 1e-30  # never 0: a plane through the source is met somewhere within its bounds
    depth = (above[0][span] - beam.source_to_patient_mm * sloped) / across
    depth = xp.minimum(xp.maximum(depth, nearest[owner][span]), farthest[owner][span])
    return (row_number * width)[span] + column, depth * weight[span]


def _not_zero(xp: Any, values: Array) -> Array:
    """1 where a value is not above 0: an edge along a row is never asked where it crosses one."""
    return xp.where(values > 0, values, 1.0 + 0 * values)


def _triangles_on_film(
    solids: Iterable[Solid], beam: Beam, scale: float, height: int, width: int, engine: Engine
) -> tuple[Array, ...]:
    """13 arrays (M,) float32: corners on the film from the top downwards, plane, depths allowed, and density, negative if turned over.

    None of them where there is no triangle.
    """
    vertices, triangles, density = merged(solids)
    if not len(triangles):
        return ()
    seen = beam.seen(vertices)
    if seen[:, 2].min() <= 0:
        raise ValueError("a solid reaches behind the source: enlarge source_to_patient_mm")
    xp = engine.xp
    there, corners = engine.exact(seen.T), engine.exact(triangles.T)
    middle = engine.exact(np.array(beam.central_px)[:, None])
    film = engine.single(there[:2] / there[2] * scale + middle)

    # What lies beside the film, or between two rows, is left out before anything else is worked out of it.
    (left, top), (right, bottom) = _bounds(xp, engine.taken(film, corners))
    inside = (right > -1) & (left < width) & (bottom > 0) & (top <= height - 1) & (xp.ceil(bottom) > xp.ceil(top))
    kept = xp.where(inside)[0]
    corners = engine.taken(corners, kept)

    placed = engine.taken(there, corners)
    u, v = placed[:, 1] - placed[:, 0], placed[:, 2] - placed[:, 0]
    normal = u[[1, 2, 0]] * v[[2, 0, 1]] - u[[2, 0, 1]] * v[[1, 2, 0]]
    square = normal**2
    normal = normal / (xp.sqrt(square[0] + square[1] + square[2]) + 1e-12)
    offset = normal * placed[:, 0]
    offset = offset[0] + offset[1] + offset[2] - beam.source_to_patient_mm * normal[2]
    nearest, farthest = _bounds(xp, (placed[2] - beam.source_to_patient_mm)[None])

    # From the top downwards, two neighbours changing places at a time: each change turns the triangle over.
    wound = engine.exact(density)[kept]
    order, down = list(corners), list(film[1][corners])
    for k in (0, 1, 0):
        turned = down[k] > down[k + 1]
        order[k : k + 2] = xp.where(turned, order[k + 1], order[k]), xp.where(turned, order[k], order[k + 1])
        down[k : k + 2] = xp.minimum(down[k], down[k + 1]), xp.maximum(down[k], down[k + 1])
        wound = xp.where(turned, -wound, wound)
    on_film = engine.taken(film, xp.stack(order))
    plane = xp.stack([*normal, offset, nearest[0], farthest[0], wound])
    return *(on_film[axis, corner] for corner in range(3) for axis in (0, 1)), *engine.single(plane)


def _bounds(xp: Any, three: Array) -> tuple[Array, Array]:
    """The least and the largest of (N, 3, M) along its second axis: (N, M)."""
    a, b, c = three[:, 0], three[:, 1], three[:, 2]
    return xp.minimum(xp.minimum(a, b), c), xp.maximum(xp.maximum(a, b), c)


def _slant(beam: Beam, scale: float, height: int, width: int, engine: Engine) -> Array:
    """(H, W): how much longer a ray's way is than its way along the central ray."""
    u = engine.exact((np.arange(width) - beam.central_px[0]) / scale)
    v = engine.exact((np.arange(height) - beam.central_px[1]) / scale)
    return engine.single(engine.xp.sqrt(1 + u[None] ** 2 + v[:, None] ** 2))
