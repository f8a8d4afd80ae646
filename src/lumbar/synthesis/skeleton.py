"""All bones of one patient: vertebrae, sacrum, pelvis, thigh bones, ribs. Lengths below are mm of a patient whose L3 is 35 mm deep."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from lumbar.anatomy import Vertebra
from lumbar.geometry import FloatArray, unit
from lumbar.synthesis.solids import Solid, bone_tube, ellipsoid, loft, rotation, shell, tube
from lumbar.synthesis.spine import BELOW, NAMES, Spine, in_order
from lumbar.synthesis.spondylosis import WornLevel
from lumbar.synthesis.vertebra import BoneQuality, VertebraShape, arch, body, clicked

_USUAL_SLOPE_DEG = 34.0  # at which the pelvis' points below are given
_HIP = (34.0, -112.0, 88.0)

# One hip bone from the crest down to the hip joint: the height of each section, and around it (x, z) of the back end, of the inner side (at the
# middle of the joint with the sacrum, at the joint's front edge, where the iliac fossa begins, in the fossa), of the front end, and of the outer side backwards.
# From the joint's front edge to the fossa its surface runs along the beam: that is the line over S1 on lateral films. Proportions are those of one man's.
_ILIUM = {
    44.0: ((-20, 100), (-20, 99), (-18, 99), (-15, 100), (-13, 101), (-12, 103), (-13, 105), (-15, 106), (-18, 105), (-20, 103)),
    36.0: ((-33, 77), (-30, 72), (-20, 77), (-10, 98), (-3, 112), (5, 129), (-1, 130), (-10, 122), (-20, 110), (-29, 96)),
    20.0: ((-47, 60), (-38, 54), (-19, 60), (-5, 100), (11, 124), (33, 144), (15, 148), (-3, 127), (-18, 100), (-38, 74)),
    0.0: ((-60, 47), (-48, 42), (-9, 59), (0, 101), (22, 126), (55, 147), (32, 151), (6, 126), (-10, 100), (-38, 66)),
    -20.0: ((-66, 42), (-54, 34), (0, 65), (8, 95), (35, 119), (75, 142), (55, 150), (15, 124), (-5, 96), (-38, 66)),
    -40.0: ((-66, 40), (-57, 34), (11, 65), (19, 87), (45, 111), (78, 139), (60, 138), (25, 121), (3, 98), (-36, 69)),
    -60.0: ((-59, 45), (-48, 43), (22, 72), (33, 79), (50, 95), (71, 114), (60, 123), (35, 119), (12, 103), (-34, 68)),
    -70.0: ((-19, 74), (-12, 69), (25, 71), (42, 79), (55, 91), (71, 110), (60, 119), (40, 116), (15, 107), (-10, 88)),
    -84.0: ((-14, 73), (-5, 68), (25, 66), (50, 69), (60, 90), (67, 104), (58, 115), (38, 114), (12, 109), (-6, 92)),
    -104.0: ((-16, 72), (-6, 62), (20, 60), (45, 55), (60, 58), (68, 72), (58, 90), (38, 104), (14, 109), (-8, 95)),
    -122.0: ((0, 80), (3, 76), (8, 74), (14, 76), (17, 80), (18, 84), (14, 90), (10, 92), (6, 92), (2, 86)),
}  # fmt: skip


# Where the hip bone is thick, and so drawn as a line on a lateral film: paths in the wing above, and their radii in the sagittal plane and across it.
_BUTTRESSES: dict[str, tuple[tuple[tuple[float, float, float], ...], tuple[float, float]]] = {
    "crest": (
        ((-63, -20, 40), (-58, 0, 46), (-45, 19, 60), (-31, 34, 77), (-17, 41, 102), (3, 33, 128), (30, 18, 145), (52, -1, 149),
         (72, -20, 144), (75, -38, 138)),
        (3.5, 4.0),
    ),
    "greater sciatic notch": (((-57, -58, 44), (-40, -62, 54), (-21, -65, 70), (-12, -74, 74), (-11, -88, 74), (-13, -104, 73)), (3.0, 5.0)),
    "front of the sacroiliac joint": (((-11, 20, 80), (-5, 0, 82), (3, -20, 81), (11, -36, 77)), (2.5, 9.0)),
    "arcuate line": (((9, -32, 78), (18, -48, 74), (30, -63, 75), (44, -80, 72), (50, -104, 62)), (2.5, 7.0)),
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Skeleton:
    """One patient's bones, whichever way the spine bends: shapes of the vertebrae, quality of bone, size and form of pelvis and ribs.

    sacral_bend: turn of each sacral body against the one above in degrees, forwards, S1's against its endplate.
    remnants: how much is left of the discs S1/S2 to S4/S5, from 0 (fused) to 1 (a disc between two endplates). first_sacral: height of S1's body and
    depth of its lower end, in depths of its upper one.
    buttresses: how thick the hip bone's are, as shares of what is usual. worn: what wear has added, by the vertebra above the level.
    """

    quality: BoneQuality
    shapes: dict[str, VertebraShape]
    pelvis_scale: FloatArray
    pelvis_shift: FloatArray
    pelvis_tilt: float
    sacral_bend: FloatArray
    sacral_size: FloatArray
    crest: float
    alae: float
    pelvic_cortex: float
    remnants: FloatArray
    buttresses: FloatArray
    ribs: dict[str, tuple[float, float, float]]
    first_sacral: tuple[float, float] = (0.86, 0.70)
    worn: Mapping[str, WornLevel] = field(default_factory=dict)

    @classmethod
    def draw(cls, rng: np.random.Generator, spine: Spine) -> Skeleton:
        """The bones of this spine's patient."""
        kinds = {finding.kind for finding in spine.findings}
        ribs = {}
        lowest = "T11" if "six lumbar vertebrae" in kinds else "L1" if "four lumbar vertebrae" in kinds else "T12"
        for name in NAMES[NAMES.index(lowest) :]:
            order = NAMES.index(name) - NAMES.index(lowest)
            reach = (rng.uniform(25, 75), rng.uniform(60, 110))[order] if order < 2 else rng.uniform(110, 150)
            ribs[name] = (float(reach), rng.uniform(55, 115), rng.uniform(0.8, 1.2))
        return cls(
            quality=BoneQuality.draw(rng, "osteopenia" in kinds),
            shapes={name: VertebraShape.draw(rng, name, spine.findings) for name in (*NAMES, "S1")},
            pelvis_scale=rng.normal(1.0, 0.06, 3),
            pelvis_shift=rng.normal(0, 5.0, 3) * (1, 1.6, 0),
            pelvis_tilt=rng.normal(0, 6.0),
            sacral_bend=rng.normal((-16, 4, 10, 17, 30), 5.0),
            sacral_size=rng.normal(1.0, 0.06, 3),
            crest=rng.uniform(0.6, 1.5),
            alae=rng.uniform(0.25, 1.1),
            pelvic_cortex=rng.uniform(0.8, 2.4),
            remnants=rng.uniform(0, 1, 4) ** (1.5, 2.5, 3.0, 3.0),
            buttresses=rng.uniform(0.35, 1.25, len(_BUTTRESSES)),
            ribs=ribs,
        )

    def with_squared_s1(self, rng: np.random.Generator, isthmic_slip: float) -> Skeleton:
        """The same bones, but for an S1 that is nearly as deep below as above, with a disc to S2, and an arch of L5 that stays behind by `isthmic_slip`."""
        remnants, bend = self.remnants.copy(), self.sacral_bend.copy()
        remnants[0] = rng.uniform(0.6, 1.0)
        bend[:2] = rng.normal((-16, 2), (3.0, 6.0))
        return replace(
            self,
            remnants=remnants,
            sacral_bend=bend,
            first_sacral=(rng.uniform(0.75, 1.0), rng.uniform(0.70, 0.97)),
            shapes={**self.shapes, "L5": replace(self.shapes["L5"], arch_offset=isthmic_slip)},
        )

    def with_spondylosis(self, rng: np.random.Generator, levels: Iterable[str]) -> Skeleton:
        """The same bones with these levels, by the vertebra above, worn: dense endplates with rounder and lipped rims, thick facets."""
        worn = {name: WornLevel.draw(rng) for name in levels}
        shapes = dict(self.shapes)
        for name in dict.fromkeys(bone for level in worn for bone in (level, BELOW[level])):
            grown = [
                max(lip, rng.uniform(0.03, 0.18)) if rng.random() < chance else lip
                for lip, chance in zip(shapes[name].lips, (0.4, 0.25, 0.4, 0.25), strict=True)
            ]
            lips = (grown[0], grown[1], grown[2], grown[3])
            shapes[name] = replace(shapes[name], rim=rng.uniform(0.03, 0.12), lips=lips)
        return replace(self, shapes=shapes, worn=worn)

    def landmarks(self, spine: Spine) -> FloatArray:
        """The 22 landmarks (22, 2) in mm, in each vertebra's own median plane, before any coronal curve, as `vertebra.clicked` marks them."""
        corners = spine.corners()
        return in_order({vertebra: clicked(corners[vertebra], self.quality) for vertebra in Vertebra})

    def solids(self, spine: Spine, seen: frozenset[str] = frozenset(NAMES), arches: bool = True) -> list[Solid]:
        """Every bone, standing as `spine` stands; of the vertebrae, with their ribs, those named in `seen` alone.

        arches: with the vertebrae's posterior elements.
        """
        corners, poses = spine.corners(), spine.poses()
        transitional = any(finding.kind == "transitional L5" for finding in spine.findings)
        made = self._sacrum(corners["S1"])
        made += self._wear("S1", corners["S1"], arches)
        made += self._pelvis(spine, corners["S1"])
        for order, name in enumerate(NAMES):
            if name not in seen:
                continue
            thoracic = float(np.clip((order - 4) / 4, 0, 1))
            lumbosacral = {0: 1.0, 1: 0.3}.get(order, 0.0)
            shape = self.shapes[name]
            own = body(corners[name], shape, self.quality)
            if arches:
                own += arch(corners[name], shape, self.quality, thoracic, lumbosacral)
            own += self._wear(name, corners[name], arches)
            if transitional and name == "L5":
                own += self._wide_processes(corners[name])
            if name in self.ribs:
                own += self._rib_pair(corners[name], spine.depth / 35.0, *self.ribs[name])
            made += [solid.moved(*poses[name]) for solid in own]
        return made

    def _wear(self, name: str, corners: FloatArray, arches: bool) -> list[Solid]:
        """What wear has added to one body (4 or 2, 2), at the level below it and at the one above."""
        made = self.worn[name].of_upper(corners, self.quality, arches) if name in self.worn else []
        for above, level in self.worn.items():
            if BELOW[above] == name:
                made += level.of_lower(corners[:2], self.quality)
        return made

    def sacral_bodies(self, plate: FloatArray) -> FloatArray:
        """Corners (5, 4, 2) in mm of the bodies of S1 to S5 under an endplate (2, 2): anterior and posterior above, the same below.

        The sacral table angle, of S1's back wall to its endplate, is 102 degrees on average, as on CT (101.8; 95.4 with spondylolysis: Baker, Asian Spine J
        2022; 16(1)). Worked example: a bend of -16 degrees, and a wall that comes forward by 0.06 on 0.86 downwards: 90 + 16 - 4.0 = 102.0.
        """
        anterior, posterior = plate
        depth, forward = float(np.linalg.norm(anterior - posterior)), unit(anterior - posterior)
        angle, quads = 0.0, []
        shares = (self.first_sacral, (0.74, 0.78), (0.64, 0.80), (0.56, 0.80), (0.50, 0.75))
        for bend, remnant, (height, narrower) in zip(self.sacral_bend, (*self.remnants, 1.0), shares, strict=True):
            angle += float(np.radians(bend))
            along = rotation(about_z_deg=float(np.degrees(angle)))[:2, :2] @ forward
            down = np.array([along[1], -along[0]])
            width = float(np.linalg.norm(anterior - posterior))
            lower_posterior = posterior + down * height * depth * self.sacral_size[0] + along * 0.06 * width
            lower_anterior = lower_posterior + along * width * narrower
            quads.append([anterior, posterior, lower_anterior, lower_posterior])
            gap = down * (0.10 * remnant - 0.02) * depth
            anterior, posterior = lower_anterior + gap, lower_posterior + gap
        return np.array(quads)

    def _sacrum(self, plate: FloatArray) -> list[Solid]:
        """S1 to S5 and the coccyx: fused bodies that curve back, side masses, a crest and the facets of S1."""
        quality = self.quality
        depth = float(np.linalg.norm(plate[0] - plate[1]))
        shape = self.shapes["S1"]
        made: list[Solid] = []
        masses: list[tuple[FloatArray, float]] = []
        for k, quad in enumerate(self.sacral_bodies(plate)):
            _, posterior, lower_anterior, lower_posterior = quad
            along = unit(lower_anterior - lower_posterior)
            down = np.array([along[1], -along[0]])
            above = 1.0 if k == 0 else float(self.remnants[k - 1])
            below = float(self.remnants[k]) if k < 4 else 1.0
            made += body(quad, _fused(shape, above, below), quality, (below, above))
            crest_at = (posterior + lower_posterior) / 2 - along * (0.42 - 0.04 * k) * depth
            turn = rotation(about_z_deg=float(np.degrees(np.arctan2(along[1], along[0]))))
            size = np.array([0.16 * self.crest, 0.34, 0.10]) * depth
            made += _bone_ball((*crest_at, 0.0), size, turn, quality)
            back = (posterior + lower_posterior) / 2 - along * 0.24 * depth
            made += _bone_ball((*back, 0.0), np.array([0.08, 0.42, 0.5 - 0.06 * k]) * depth, turn, quality)
            if k < 4:
                masses.append((quad.mean(axis=0) - along * (0.16 + 0.05 * k) * depth, 1 - 0.22 * k))
            for side in (-1.0, 1.0):
                if k == 0:
                    facet = posterior - along * 0.40 * depth
                    path = [
                        (*(facet + down * 0.35 * depth), side * 0.5 * depth),
                        (*(facet - down * 0.20 * depth), side * 0.55 * depth),
                    ]
                    made += bone_tube(
                        path, (0.14 * depth, 0.14 * depth), quality.arch_mm, quality.cortical, quality.spongy
                    )
        for side in (-1.0, 1.0):
            path = [(*at, side * (0.55 + 0.5 * share) * depth) for at, share in masses]
            sizes = [(0.40 * share * depth, 0.62 * share * depth * self.sacral_size[1]) for _, share in masses]
            made += bone_tube(
                path, sizes, 0.8 * quality.arch_mm, self.alae * quality.cortical, self.alae * quality.spongy, around=20
            )
        for k in range(3):
            at = quad[2:].mean(axis=0) + down * (0.28 + 0.3 * k) * depth + along * 0.08 * k * k * depth
            made += _bone_ball((*at, 0.0), np.array([0.10, 0.16, 0.2]) * depth, None, quality)
        return made

    def _pelvis(self, spine: Spine, plate: FloatArray) -> list[Solid]:
        """Both hip bones and the upper thigh bones, turned with the sacrum."""
        quality = self.quality
        cortex = self.pelvic_cortex * quality.arch_mm
        made: list[Solid] = []
        for side in (1.0, -1.0):

            def there(points: object, side: float = side) -> FloatArray:
                return self._beside_sacrum(points, spine, plate, side)

            made += self.hip_bone(spine, side)
            tubes: tuple[tuple[list[tuple[float, float, float]], tuple[float, float]], ...] = (
                ([(12, -122, 80), (-12, -148, 66), (-12, -170, 58), (8, -182, 46)], (14, 10)),
                ([(46, -106, 76), (70, -118, 42), (82, -128, 10)], (8, 8)),
                ([(8, -182, 46), (50, -158, 24), (78, -138, 8)], (7, 5)),
                ([_HIP, (28, -122, 118), (24, -134, 134)], (13, 13)),
                ([(24, -122, 134), (20, -192, 132), (14, -322, 122)], (15, 15)),
            )  # fmt: skip
            for path, size in tubes:
                wall = 5.0 if path[-1][1] < -200 else cortex
                made += bone_tube(there(path), size, wall, quality.cortical * 0.8, quality.spongy * 0.8)
            rim = np.radians(np.linspace(-20, 200, 14))
            cup = np.stack([_HIP[0] + 26 * np.cos(rim), _HIP[1] + 26 * np.sin(rim), np.full(14, 78.0)], axis=1)
            made += bone_tube(there(cup), (3.0, 7.0), 1.0, quality.cortical, quality.spongy)
            centre, radius = there(_HIP), 23.5 * float(np.mean(self._pelvic_scale(spine)))
            made += shell(
                ellipsoid(centre, (radius,) * 3, 1.0, rings=14, around=28),
                ellipsoid(centre, (radius - 1.2,) * 3, 1.0, rings=14, around=28),
                quality.cortical,
                quality.spongy * 1.1,
            )
        return made

    def hip_bone(self, spine: Spine, side: float) -> list[Solid]:
        """The right (1) or left (-1) hip bone down to the hip joint, with its buttresses, as it hangs from `spine`'s S1."""
        quality, plate = self.quality, spine.corners()[Vertebra.S1][:2]
        cortex = self.pelvic_cortex * quality.arch_mm
        outer, inner = (loft(self._beside_sacrum(_wing(inset), spine, plate, side), 1.0) for inset in (0.0, cortex))
        made = shell(outer, inner, quality.cortical, quality.spongy)
        for (line, radii), share in zip(_BUTTRESSES.values(), self.buttresses, strict=True):
            ridge = self._beside_sacrum(_smooth(np.array(line), 3 * len(line)), spine, plate, side)
            tapering = np.sqrt(np.sin(np.linspace(0.1, np.pi - 0.1, len(ridge))))[:, None]
            made += bone_tube(ridge, tapering * radii * share, max(1.0, cortex), quality.cortical, quality.spongy)
        return made

    def hip_axis(self, spine: Spine) -> FloatArray:
        """Where the axis through both hip joints meets the median plane (2,), in mm.

        On average three endplates from the middle of S1's (a man's mesh has 104 mm, 3.3 of S1's depth and 2.7 of L4's), at a pelvic incidence like that on CT: 47.1 (10.0)
        degrees of 370 people (Vrtovec, Spine, April 2012). Worked example: at a depth of 35 and a slope of 34 degrees S1's middle is at (14.5, -9.8), the axis at (34, -112): 104.0 mm,
        10.8 degrees before it, an incidence of 44.8.
        """
        return self._beside_sacrum(_HIP, spine, spine.corners()[Vertebra.S1][:2], 1.0)[:2]

    def _beside_sacrum(self, points: object, spine: Spine, plate: FloatArray, side: float) -> FloatArray:
        """Points (..., 3) of the usual pelvis where this one has them, right (1) or left (-1), turned with the sacrum's endplate (2, 2)."""
        turn = rotation(about_z_deg=_USUAL_SLOPE_DEG - spine.sacral_slope + self.pelvis_tilt)
        shift = np.array([*plate[1], 0.0]) + self.pelvis_shift
        return np.asarray(points, dtype=np.float64) * self._pelvic_scale(spine) * (1, 1, side) @ turn.T + shift

    def _pelvic_scale(self, spine: Spine) -> FloatArray:
        """Size of this pelvis (3,) along x, y and z, as shares of the usual one's beside endplates 35 mm deep."""
        return spine.depth / 35.0 * self.pelvis_scale

    def _rib_pair(self, corners: FloatArray, scale: float, reach_deg: float, drop: float, size: float) -> list[Solid]:
        """Two ribs from beside the vertebra backwards, around the side and down to the front; `reach_deg` around the chest."""
        quality = self.quality
        start = corners[1] + (corners[0] - corners[1]) * 0.05
        angle = np.radians(np.linspace(10, max(22, reach_deg), 16))
        half_depth, half_width = 105 * scale * size, 132 * scale * size
        x = (
            start[0]
            + half_depth * (np.cos(angle[0]) - np.cos(angle))
            - 34 * scale * np.sin(np.minimum(2 * angle, np.pi))
        )
        y = start[1] - 4 - drop * scale * ((angle - angle[0]) / np.pi) ** 1.1
        z = half_width * np.sin(angle)
        radii = (6.5 * scale, 3.2 * scale)
        made: list[Solid] = []
        for side in (1.0, -1.0):
            path = np.stack([x, y, side * z], axis=1)
            made += bone_tube(
                path, radii, 0.8, 0.8 * quality.cortical, 0.6 * quality.spongy, (1.0, 0.2, side * 0.5), 10
            )
        return made

    def _wide_processes(self, corners: FloatArray) -> list[Solid]:
        """Transverse processes of a transitional vertebra, broad as side masses of the sacrum."""
        depth = float(np.linalg.norm(corners[2] - corners[3]))
        at = corners.mean(axis=0) + (corners[3] - corners[2]) * 0.45
        sizes = np.array([0.3, 0.36, 0.75]) * depth
        return [
            solid for side in (-1.0, 1.0) for solid in _bone_ball((*at, side * 1.2 * depth), sizes, None, self.quality)
        ]


def _fused(shape: VertebraShape, above: float, below: float) -> VertebraShape:
    """A sacral body's shape: its endplates are as concave as there is a disc left beside them."""
    return replace(shape, sinks=(shape.sinks[0] * above, shape.sinks[1] * below))


def _bone_ball(
    centre: tuple[float, ...], radii: FloatArray, turn: FloatArray | None, quality: BoneQuality
) -> list[Solid]:
    cortex = np.minimum(quality.arch_mm * 0.7, 0.5 * radii)
    outer = ellipsoid(centre, radii, 1.0, turn)
    return shell(outer, ellipsoid(centre, radii - cortex, 1.0, turn), 0.8 * quality.cortical, quality.spongy)


def _wing(inset: float) -> FloatArray:
    """Rings (K, n, 3) of one hip bone's wing, `inset` mm inside its surface; where it is thin, less."""
    heights, count = np.array(list(_ILIUM))[:, None], 3 * len(_ILIUM)
    knots = np.array(list(_ILIUM.values()), dtype=np.float64)
    corners = knots.shape[1]
    outlines = _smooth(knots.reshape(len(_ILIUM), -1), count).reshape(count, corners, 2)
    closed = np.take(outlines, range(-1, corners + 2), axis=1, mode="wrap").swapaxes(0, 1)
    around = _smooth(closed.reshape(corners + 3, -1), 4 * (corners + 2) + 1)[4:-5]
    rings = around.reshape(-1, count, 2).swapaxes(0, 1)
    along = np.roll(rings, -1, axis=1) - np.roll(rings, 1, axis=1)
    inwards = np.stack([-along[..., 1], along[..., 0]], axis=-1)
    inwards /= np.sqrt((along**2).sum(axis=-1, keepdims=True)) + 1e-9
    thick = np.sqrt(((rings - np.roll(rings[:, ::-1], 1, axis=1)) ** 2).sum(axis=-1, keepdims=True))
    # Both ends are their own other side: there the bone is as thick as beside them.
    beside = np.maximum(np.roll(thick, 2, axis=1), np.roll(thick, -2, axis=1))
    inset_mm = np.minimum(inset, 0.4 * np.maximum(thick, beside))
    return np.insert(rings + inset_mm * inwards, 1, _smooth(heights, count), axis=-1)


def _smooth(knots: FloatArray, count: int) -> FloatArray:
    """`count` points along a Catmull-Rom curve through knots (K, d)."""
    at = np.linspace(0, len(knots) - 1, count)
    k = np.minimum(at.astype(int), len(knots) - 2)
    t = (at - k)[:, None]
    padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    a, b, c, d = (padded[k + i] for i in range(4))
    return np.asarray(b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))))


def arm(spine: Spine, rng: np.random.Generator) -> tuple[list[Solid], list[Solid]]:
    """An upper arm that was not lifted out of the way, across the upper front of the film: its bone and its flesh."""
    chest = np.array([*spine.corners()["T12"][0], 0.0])
    start = chest + (rng.uniform(30, 140), rng.uniform(-60, 120), rng.choice([-1, 1]) * rng.uniform(100, 170))
    end = start + (rng.uniform(100, 260), rng.uniform(-150, 130), rng.uniform(-40, 40))
    path = start + (end - start) * np.linspace(0, 1, 6)[:, None]
    thick = rng.uniform(30, 46)
    return bone_tube(path, (12.0, 12.0), 4.0, 0.8, 0.1), [tube(path, (thick, thick), 1.0, around=24)]
