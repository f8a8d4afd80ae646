"""Closed surfaces in mm, made of rings: what bones, gas, metal and the trunk are built from.

The frame is the anatomical one with a third axis: x anterior +, y up +, z to the patient's right +. Every solid has the
topology of a ball, a grid of rings between two poles, and its triangles wind so that normals point outwards.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lumbar.geometry import FloatArray

IndexArray = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """A closed surface: vertices (N, 3) in mm, triangles (M, 3) of their indices, and the density inside.

    density: what a mm of it adds to a line integral, in mm of the material that the integral counts (bone in mm of cortical
    bone, gas and lung in mm of tissue taken away). A shell is its outer solid and an inner one that takes density back.
    """

    vertices: FloatArray
    triangles: IndexArray
    density: float

    def moved(self, turn: FloatArray, shift: FloatArray) -> Solid:
        """The solid turned by a rotation (3, 3), then shifted by (3,) mm."""
        return Solid(self.vertices @ turn.T + shift, self.triangles, self.density)

    def with_density(self, density: float) -> Solid:
        """The same surface around another density."""
        return Solid(self.vertices, self.triangles, density)

    @property
    def volume(self) -> float:
        """In mm3, positive where normals point outwards.

        >>> round(ellipsoid((0, 0, 0), (10, 10, 10), 1.0, rings=60, around=120).volume / (4000 / 3 * np.pi), 3)
        0.999
        """
        a, b, c = (self.vertices[self.triangles[:, k]] for k in range(3))
        return float((a * cross(b, c)).sum() / 6)


def cross(a: FloatArray, b: FloatArray) -> FloatArray:
    """The cross product of (N, 3) vectors; several times as fast as numpy's."""
    ax, ay, az, bx, by, bz = *a.T, *b.T
    made = np.empty(a.shape)
    made[:, 0] = ay * bz - az * by
    made[:, 1] = az * bx - ax * bz
    made[:, 2] = ax * by - ay * bx
    return made


@cache
def _ball_triangles(rings: int, around: int) -> IndexArray:
    """Triangles over `rings` rings of `around` vertices, then the first pole and the last one."""
    ring = np.arange(around)
    after = (ring + 1) % around
    first, last = rings * around, rings * around + 1
    found = [np.stack([np.full(around, first), after, ring], axis=1)]
    for k in range(rings - 1):
        a, b = k * around + ring, k * around + after
        c, d = a + around, b + around
        found += [np.stack([a, b, d], axis=1), np.stack([a, d, c], axis=1)]
    top = (rings - 1) * around
    found.append(np.stack([top + ring, top + after, np.full(around, last)], axis=1))
    triangles = np.concatenate(found)
    triangles.setflags(write=False)
    return triangles


def loft(rings: FloatArray, density: float) -> Solid:
    """A solid over rings (K, n, 3), K at least 2; flat ends close it. Rings may wind either way, all alike."""
    made = _closed(rings, density)
    every = max(1, rings.shape[1] // 12)  # so many points tell which way they wind
    outwards = _closed(rings[:, ::every], density).volume >= 0
    return made if outwards else Solid(made.vertices, made.triangles[:, ::-1], density)


def _closed(rings: FloatArray, density: float) -> Solid:
    count, around, _ = rings.shape
    vertices = np.empty((count * around + 2, 3))
    vertices[:-2] = rings.reshape(-1, 3)
    np.divide(np.add.reduce(rings[:: count - 1], axis=1), around, out=vertices[-2:])
    return Solid(vertices, _ball_triangles(count, around), density)


@cache
def _unit_ball(rings: int, around: int) -> FloatArray:
    """Vertices of a ball of radius 1 about the origin, its poles last."""
    polar = np.linspace(0, np.pi, rings + 2)[1:-1, None]
    azimuth = np.linspace(0, 2 * np.pi, around, endpoint=False)[None]
    ball = np.stack(
        [
            np.sin(polar) * np.cos(azimuth),
            np.broadcast_to(np.cos(polar), (rings, around)),
            np.sin(polar) * np.sin(azimuth),
        ],
        axis=-1,
    )
    poles = np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])
    points = np.concatenate([ball.reshape(-1, 3), poles])
    points.setflags(write=False)
    return points


def ellipsoid(
    centre: ArrayLike,
    radii: ArrayLike,
    density: float,
    turn: FloatArray | None = None,
    rings: int = 9,
    around: int = 16,
) -> Solid:
    """An ellipsoid with these radii (> 0) along x, y and z before `turn`, a rotation."""
    points = _unit_ball(rings, around) * np.asarray(radii, dtype=np.float64)
    if turn is not None:
        points = points @ turn.T
    points += np.asarray(centre, dtype=np.float64)
    return Solid(points, _ball_triangles(rings, around), density)


def tube(
    path: ArrayLike, radii: ArrayLike, density: float, across: ArrayLike = (0.0, 0.0, 1.0), around: int = 12
) -> Solid:
    """A tube along path (K, 3) with elliptic sections: radii (2,) or (K, 2), the second along `across`, the first square to it.

    Its ends are rounded off by half.
    """
    points = np.asarray(path, dtype=np.float64)
    return _tubes(points, across, around, density, np.asarray(radii, dtype=np.float64))[0]


def _tubes(points: FloatArray, across: ArrayLike, around: int, density: float, *radii: FloatArray) -> list[Solid]:
    """Tubes of K + 2 rings around one path, one for each radii."""
    count = len(points)
    along = np.empty_like(points)
    along[1:-1] = points[2:] - points[:-2]
    along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
    along /= np.sqrt((along**2).sum(axis=1, keepdims=True)) + 1e-9
    towards = np.asarray(across, dtype=np.float64)
    wide = np.empty((count + 2, 3))
    own = towards - along * (along @ towards)[:, None]
    own /= np.sqrt((own**2).sum(axis=1, keepdims=True)) + 1e-9
    wide[1:-1], wide[0], wide[-1] = own, own[0], own[-1]
    high = np.empty((count + 2, 3))
    high[1:-1] = cross(own, along)
    high[0], high[-1] = high[1], high[-2]
    c, s = _circle(around)
    size = np.empty((len(radii), count + 2, 2))
    for own_size, radius in zip(size, radii, strict=True):
        own_size[1:-1] = radius
    middle = np.empty((len(radii), count + 2, 3))
    middle[:, 1:-1] = points
    middle[:, 0] = points[0] - size[:, 1].sum(axis=1)[:, None] / 4 * along[0]
    middle[:, -1] = points[-1] + size[:, -2].sum(axis=1)[:, None] / 4 * along[-1]
    size[:, 0], size[:, -1] = size[:, 1] * 0.6, size[:, -2] * 0.6
    sizes = size[:, :, None]
    rings = middle[:, :, None] + (sizes[..., :1] * c) * high[:, None] + (sizes[..., 1:] * s) * wide[:, None]
    return [_closed(own_rings, density) for own_rings in rings]  # from the first axis to the second: outwards


@cache
def _circle(around: int) -> tuple[FloatArray, FloatArray]:
    angle = np.linspace(0, 2 * np.pi, around, endpoint=False)[None, :, None]
    return np.cos(angle), np.sin(angle)


def shell(outer: Solid, inner: Solid, cortical: float, spongy: float) -> list[Solid]:
    """Cortical bone between two surfaces around spongy bone: densities that add up to both."""
    return [outer.with_density(cortical), inner.with_density(spongy - cortical)]


def bone_tube(
    path: ArrayLike, radii: ArrayLike, cortex_mm: float, cortical: float, spongy: float,
    across: ArrayLike = (0.0, 0.0, 1.0), around: int = 12,
) -> list[Solid]:  # fmt: skip
    """A tube of spongy bone under a cortex."""
    size = np.asarray(radii, dtype=np.float64)
    points = np.asarray(path, dtype=np.float64)
    outer, inner = _tubes(points, across, around, 1.0, size, np.maximum(size - cortex_mm, 0.15 * size))
    return shell(outer, inner, cortical, spongy)


def rotation(about_x_deg: float = 0.0, about_y_deg: float = 0.0, about_z_deg: float = 0.0) -> FloatArray:
    """A rotation (3, 3) about x (coronal tilt), then y (axial turn), then z (in the sagittal plane).

    >>> rotation(about_z_deg=90).round(9)[:, 0].tolist()
    [0.0, 1.0, 0.0]
    """
    x, y, z = np.radians([about_x_deg, about_y_deg, about_z_deg])
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return np.asarray(rz @ ry @ rx)


def merged(solids: Iterable[Solid]) -> tuple[FloatArray, IndexArray, FloatArray]:
    """All vertices (N, 3), all triangles (M, 3) and the density at each triangle (M,)."""
    every = list(solids)
    if not every:
        return np.zeros((0, 3)), np.zeros((0, 3), np.intp), np.zeros(0)
    triangles = np.concatenate([solid.triangles for solid in every])
    counts = [len(solid.triangles) for solid in every]
    starts = np.cumsum([0, *(len(solid.vertices) for solid in every[:-1])])
    triangles += np.repeat(starts, counts)[:, None]
    return (
        np.concatenate([solid.vertices for solid in every]),
        triangles,
        np.repeat([solid.density for solid in every], counts),
    )
