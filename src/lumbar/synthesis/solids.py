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
    return np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], axis=1)


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
    """A solid over rings (K, n, 3); flat ends close it. Rings may wind either way, all alike."""
    count, around, _ = rings.shape
    poles = np.stack([rings[0].mean(axis=0), rings[-1].mean(axis=0)])
    made = Solid(np.concatenate([rings.reshape(-1, 3), poles]), _ball_triangles(count, around), density)
    return made if made.volume >= 0 else Solid(made.vertices, made.triangles[:, ::-1], density)


def ellipsoid(
    centre: ArrayLike,
    radii: ArrayLike,
    density: float,
    turn: FloatArray | None = None,
    rings: int = 9,
    around: int = 16,
) -> Solid:
    """An ellipsoid with these radii along x, y and z before `turn`."""
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
    points = np.concatenate([ball.reshape(-1, 3), poles]) * np.asarray(radii, dtype=np.float64)
    if turn is not None:
        points = points @ turn.T
    made = Solid(points + np.asarray(centre, dtype=np.float64), _ball_triangles(rings, around), density)
    return made if made.volume >= 0 else Solid(made.vertices, made.triangles[:, ::-1], density)


def tube(
    path: ArrayLike, radii: ArrayLike, density: float, across: ArrayLike = (0.0, 0.0, 1.0), around: int = 12
) -> Solid:
    """A tube along path (K, 3) with elliptic sections: radii (2,) or (K, 2), the second along `across`, the first square to it.

    Its ends are rounded off by half.
    """
    points = np.asarray(path, dtype=np.float64)
    return loft(_tube_rings(points, across, around, np.asarray(radii, dtype=np.float64))[0], density)


def _tube_rings(points: FloatArray, across: ArrayLike, around: int, *radii: FloatArray) -> list[FloatArray]:
    """Rings (K + 2, n, 3) of tubes around one path, one for each radii."""
    along = np.empty_like(points)
    along[1:-1] = points[2:] - points[:-2]
    along[0], along[-1] = points[1] - points[0], points[-1] - points[-2]
    along /= np.sqrt((along**2).sum(axis=1, keepdims=True)) + 1e-9
    towards = np.asarray(across, dtype=np.float64)
    wide = towards - along * (along @ towards)[:, None]
    wide /= np.sqrt((wide**2).sum(axis=1, keepdims=True)) + 1e-9
    high = cross(wide, along)
    wide, high = (np.concatenate([axis[:1], axis, axis[-1:]])[:, None] for axis in (wide, high))
    c, s = _circle(around)
    made: list[FloatArray] = []
    for size in radii:
        size = np.broadcast_to(size, (len(points), 2))
        first, last = size[0].sum() / 4 * along[:1], size[-1].sum() / 4 * along[-1:]
        middle = np.concatenate([points[:1] - first, points, points[-1:] + last])[:, None]
        sizes = np.concatenate([size[:1] * 0.6, size, size[-1:] * 0.6])[:, None]
        made.append(middle + (sizes[..., :1] * c) * high + (sizes[..., 1:] * s) * wide)
    return made


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
    outer, inner = _tube_rings(points, across, around, size, np.maximum(size - cortex_mm, 0.15 * size))
    return shell(loft(outer, 1.0), loft(inner, 1.0), cortical, spongy)


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
    vertices, triangles, densities, start = [], [], [], 0
    for solid in solids:
        vertices.append(solid.vertices)
        triangles.append(solid.triangles + start)
        densities.append(np.full(len(solid.triangles), solid.density))
        start += len(solid.vertices)
    if not vertices:
        return np.zeros((0, 3)), np.zeros((0, 3), np.intp), np.zeros(0)
    return np.concatenate(vertices), np.concatenate(triangles), np.concatenate(densities)
