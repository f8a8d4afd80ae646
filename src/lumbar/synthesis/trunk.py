"""What surrounds the bones: skin, fat and muscle, lungs, bowel gas and stool, calcified vessels, a waistband."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lumbar.geometry import FloatArray
from lumbar.synthesis.solids import Solid, ellipsoid, loft, rotation, tube
from lumbar.synthesis.spine import NAMES, Spine

_AROUND = 40


@dataclass(frozen=True, slots=True)
class TrunkShape:
    """One patient's build, in mm: fat under the skin, belly in front of the spine, half widths of waist, hips and chest."""

    fat: float
    belly: float
    waist: float
    hips: float
    chest: float
    buttocks: float
    taper: float
    hang: float
    lungs: float
    air: float
    band: float | None

    @classmethod
    def draw(cls, rng: np.random.Generator) -> TrunkShape:
        """From slim to obese."""
        build = rng.normal(0, 1)
        fat = float(np.clip(16 + 10 * build + rng.normal(0, 6), 4, 60))
        return cls(
            fat=fat,
            belly=float(np.clip(105 + 28 * build + rng.normal(0, 20), 65, 240)),
            waist=float(np.clip(135 + 16 * build + rng.normal(0, 10), 100, 200)) * rng.uniform(0.8, 1.0),
            hips=float(np.clip(165 + 14 * build + rng.normal(0, 12), 130, 230)) * rng.uniform(0.85, 1.05),
            chest=rng.uniform(120, 160),
            buttocks=rng.uniform(15, 65),
            taper=rng.uniform(-0.1, 0.35),
            hang=rng.uniform(-0.1, 0.3),
            lungs=rng.uniform(-45, 90),
            air=rng.uniform(0.25, 0.7),
            band=rng.uniform(-70, 60) if rng.random() < 0.3 else None,
        )

    def flesh(self, spine: Spine) -> list[Solid]:
        """Fat from the skin inwards and the leaner inside, in mm of water a mm."""
        return [loft(self._rings(spine, 0.0), 0.91), loft(self._rings(spine, self.fat), 0.13)]

    def _rings(self, spine: Spine, inset: float) -> FloatArray:
        corners = spine.corners()
        names = ["S1", "L4", "L2", "T12", "T10", "T8", "T6", "T4", "T2"]
        spots = np.array([corners[name][1] for name in names])
        heights = np.array([-420, -300, -220, -150, -90, -45, *spots[:, 1], spots[-1, 1] + 150])
        # A spine bent far forward comes down again; the trunk's rings only go up.
        heights = np.maximum.accumulate(heights) + 1e-3 * np.arange(len(heights))
        backbone = np.array([10.0, 0, -5, -10, -8, -5, *spots[:, 0], spots[-1, 0] + 20])
        rows = np.linspace(heights[0], heights[-1], 48)
        backbone = _smooth(np.stack([heights, backbone], axis=1), rows)
        heights = rows
        top = spots[3, 1]
        hips = np.exp(-(((heights + 90) / 120) ** 2))
        chest = 1 / (1 + np.exp(-(heights - top) / 40))
        width = self.waist + (self.hips - self.waist) * hips + (self.chest - self.waist) * chest
        back = backbone - (50 + self.fat + self.buttocks * np.exp(-(((heights + 110) / 70) ** 2)))
        hang = (
            1
            - 0.45 * np.exp(-(((heights + 260) / 120) ** 2))
            - self.taper * chest
            + self.hang * np.exp(-(((heights - 20) / 80) ** 2))
        )
        front = backbone + 38 + self.belly * hang
        middle, half = (back + front) / 2, (front - back) / 2
        angle = np.linspace(0, 2 * np.pi, _AROUND, endpoint=False)
        c, s = np.cos(angle), np.sin(angle)
        along = np.sign(c) * np.abs(c) ** 0.85
        x = middle[:, None] + np.maximum(half - inset, 20)[:, None] * along
        z = np.maximum(width - inset, 20)[:, None] * s
        return np.stack([x, np.broadcast_to(heights[:, None], x.shape), z], axis=-1)

    def lungs_of(self, spine: Spine) -> list[Solid]:
        """Two lungs over domed diaphragms, in mm of tissue taken away."""
        corners = spine.corners()
        base, top = corners["T12"][1], corners["T4"][1]
        made = []
        for side in (-1.0, 1.0):
            apex = base[1] + self.lungs + side * 6
            angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
            behind, before = -32.0, 38 + 0.5 * self.belly * (1 - self.taper)
            middle = np.array([base[0] + (behind + before) / 2, side * 0.50 * self.chest])
            radii = np.array([(before - behind) / 2, 0.36 * self.chest])
            rings = []
            for radius, drop in ((0.25, 2), (0.5, 10), (0.75, 26), (0.92, 48), (1.0, 70)):
                # The recess behind reaches lower than the one in front.
                y = apex - drop * (1 + 0.6 * (-np.cos(angle) * radius))
                rings.append(_ring(middle, radii * radius, angle, y))
            for share, radius in ((0.4, 1.0), (0.7, 0.9), (0.95, 0.6)):
                y = np.full(len(angle), apex + share * max(60.0, top[1] - apex + 60))
                rings.append(_ring(middle + np.array([-25 * share, 0]), radii * radius, angle, y))
            made.append(loft(np.array(rings), -self.air))
        return made

    def waistband(self, spine: Spine) -> list[Solid]:
        """Elastic pressed into the skin at hip height, if there is any."""
        if self.band is None:
            return []
        rings = self._rings(spine, -1.0)
        heights = rings[:, 0, 1]
        ring = np.stack(
            [np.interp(self.band, heights[:-1], rings[:-1, k, axis]) for k in range(_AROUND) for axis in (0, 2)]
        ).reshape(_AROUND, 2)
        path = np.stack([ring[:, 0], np.full(_AROUND, self.band), ring[:, 1]], axis=1)
        return [tube(np.concatenate([path, path[:1]]), (3.0, 1.5), 0.9, (0.0, 1.0, 0.0), 6)]


def _smooth(knots: FloatArray, at: FloatArray) -> FloatArray:
    """Heights and values (K, 2) read at other heights, rounded over about 40 mm."""
    dense = np.linspace(knots[0, 0], knots[-1, 0], 241)
    step = dense[1] - dense[0]
    half = max(1, int(30 / step))
    kernel = np.hanning(2 * half + 1)
    values = np.pad(np.interp(dense, knots[:, 0], knots[:, 1]), half, mode="reflect", reflect_type="odd")
    return np.interp(at, dense, np.convolve(values, kernel / kernel.sum(), mode="valid"))


def _ring(middle: FloatArray, radii: FloatArray, angle: FloatArray, y: FloatArray) -> FloatArray:
    return np.stack([middle[0] + radii[0] * np.cos(angle), y, middle[1] + radii[1] * np.sin(angle)], axis=1)


def draw_gas(rng: np.random.Generator, spine: Spine, trunk: TrunkShape) -> list[Solid]:
    """Bowel gas in front of the spine, now and then over it, in the rectum, and gas in stool: mm of tissue taken away."""
    made: list[Solid] = []
    for _ in range(int(rng.integers(0, 10))):
        over = rng.random() < 0.15
        x = rng.uniform(-25, 45) if over else rng.uniform(40, 45 + trunk.belly)
        z = rng.choice([-1.0, 1.0]) * rng.uniform(60, 110) if over else rng.uniform(-110, 110)
        centre = (x, rng.uniform(-80, 200), z)
        made.append(_dented(centre, rng.uniform(3, 20, 3) * (1, 0.7, 1.2), -rng.uniform(0.4, 1.0), rng))
    # A stretch of colon: a chain of pouches.
    for _ in range(int(rng.integers(0, 4))):
        at = np.array([rng.uniform(35, 45 + trunk.belly), rng.uniform(-60, 180), rng.uniform(-100, 100)])
        run, size = rng.normal(0, 1, 3), rng.uniform(5, 14)
        for _ in range(int(rng.integers(3, 9))):
            run = run / np.linalg.norm(run) + rng.normal(0, 0.5, 3)
            at = at + run / np.linalg.norm(run) * size * rng.uniform(0.9, 1.5)
            made.append(_dented(tuple(at), size * rng.uniform(0.6, 1.1, 3), -rng.uniform(0.4, 1.0), rng))
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 4))):
            centre = (rng.uniform(-45, 20), rng.uniform(-150, -50), rng.uniform(-20, 20))
            made.append(_dented(centre, rng.uniform(6, 22, 3), -rng.uniform(0.5, 1.0), rng))
    for _ in range(int(rng.integers(0, 8))):
        middle = np.array([rng.uniform(-10, 40 + trunk.belly), rng.uniform(-110, 170), rng.uniform(-110, 110)])
        spread = rng.uniform(8, 38, 3)
        for _ in range(int(rng.integers(10, 45))):
            at = middle + np.clip(rng.normal(0, 1, 3), -2, 2) * spread
            made.append(ellipsoid(at, rng.uniform(1.0, 6.5, 3), -rng.uniform(0.3, 0.9), rings=4, around=8))
    return made


def _dented(centre: tuple[float, float, float], radii: FloatArray, density: float, rng: np.random.Generator) -> Solid:
    """A bowel loop's gas: an ellipsoid whose surface wavers."""
    turn = rotation(*rng.uniform(0, 180, 3))
    ball = ellipsoid((0, 0, 0), (1, 1, 1), density, rings=12, around=20)
    x, y, z = ball.vertices.T
    wave = sum(
        rng.normal(0, 0.18 / k) * np.cos(k * (x * a + y * b + z * c) + rng.uniform(0, 6.3))
        for k in (2, 3, 4)
        for a, b, c in [rng.normal(0, 1, 3)]
    )
    points = ball.vertices * np.clip(1 + wave, 0.4, 1.7)[:, None] * radii
    return Solid(points @ turn.T + np.asarray(centre), ball.triangles, density)


def vacuum_disc(spine: Spine, name: str, rng: np.random.Generator) -> list[Solid]:
    """Gas in the disc below vertebra `name`."""
    corners = spine.corners()
    order = NAMES.index(name)
    lower = corners[NAMES[order - 1]] if order else corners["S1"]
    upper = corners[name]
    middle = (lower[:2].mean(axis=0) + upper[2:].mean(axis=0)) / 2
    along = (lower[0] - lower[1] + upper[2] - upper[3]) / 2
    length = float(np.linalg.norm(along))
    gap = float(np.linalg.norm(upper[2:].mean(axis=0) - lower[:2].mean(axis=0)))
    turn = rotation(about_z_deg=float(np.degrees(np.arctan2(along[1], along[0]))))
    middle = middle + along * rng.uniform(-0.15, 0.15)
    radii = (length * rng.uniform(0.2, 0.4), max(0.6, gap * rng.uniform(0.1, 0.25)), length * rng.uniform(0.25, 0.5))
    return [ellipsoid((*middle, 0.0), radii, -0.95, turn).moved(*spine.poses()[name])]


def calcified_aorta(spine: Spine, rng: np.random.Generator) -> list[Solid]:
    """Plaques in the wall of the aorta, in front of L1 to L4: mm of cortical bone."""
    corners = spine.corners()
    made = []
    radius = rng.uniform(8, 13)
    for _ in range(int(rng.integers(3, 14))):
        name = str(rng.choice(["L1", "L2", "L3", "L4"]))
        along, where = rng.uniform(0, 1), rng.uniform(0, 2 * np.pi)
        front = corners[name][0] * along + corners[name][2] * (1 - along)
        at = (front[0] + 3 + radius * (1 + np.cos(where)), front[1], -8 + radius * np.sin(where))
        made.append(
            ellipsoid(
                at,
                (rng.uniform(0.4, 1.5), rng.uniform(2, 9), rng.uniform(1, 5)),
                rng.uniform(0.2, 0.8),
                rings=5,
                around=10,
            )
        )
    return made
