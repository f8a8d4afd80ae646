"""A worn level of the spine: bone grown dense beside the disc, and facet joints grown thick behind it, where they lie over the corners."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lumbar.geometry import FloatArray, unit
from lumbar.synthesis.solids import Solid, ellipsoid, rotation, shell
from lumbar.synthesis.vertebra import BoneQuality


@dataclass(frozen=True, slots=True)
class Sclerosis:
    """Dense bone beside an endplate.

    at: its middle, from 0 (posterior) to 1. half: its half length, half width and half height, in the endplate's depths. density: as a share of cortical bone.
    """

    at: float
    half: tuple[float, float, float]
    density: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Sclerosis:
        """From a shade to as dense as an endplate, in front more often than behind."""
        at = float(np.clip(rng.normal(0.6, 0.25), 0.2, 0.85))
        length = min(rng.uniform(0.2, 0.55), at + 0.02, 1.02 - at)
        return cls(at, (length, rng.uniform(0.3, 0.6), rng.uniform(0.04, 0.20)), rng.uniform(0.04, 0.40))

    def solid(self, endplate: FloatArray, above: bool, bone: BoneQuality) -> Solid:
        """Beside an endplate (2, 2), anterior end first, in the body above or below it, in mm."""
        anterior, posterior = endplate
        along = anterior - posterior
        depth = float(np.linalg.norm(along))
        inwards = np.array([-along[1], along[0]]) / depth * (1.0 if above else -1.0)
        length, width, height = (share * depth for share in self.half)
        centre = posterior + self.at * along + 0.9 * height * inwards
        turn = rotation(about_z_deg=float(np.degrees(np.arctan2(along[1], along[0]))))
        return ellipsoid((*centre, 0.0), (length, height, width), self.density * bone.cortical, turn)


@dataclass(frozen=True, slots=True, eq=False)
class WornLevel:
    """What wear has added between a vertebra and the next below it.

    plates: beside the lower endplate of the one, the upper of the other; None where there is none. lumps (N, 7): of the facet joints, each a middle
    behind, above and beside the posterior inferior corner of the upper body, three half axes, and how dense it is beside an arch, in depths.
    """

    plates: tuple[Sclerosis | None, Sclerosis | None]
    lumps: FloatArray

    @classmethod
    def draw(cls, rng: np.random.Generator) -> WornLevel:
        """Three of four endplates dense; facets thick on both sides, one more than the other."""
        plates = [Sclerosis.draw(rng) if rng.random() < 0.75 else None for _ in range(2)]
        size, lumps = rng.uniform(0.7, 1.25), []
        for side in (-1.0, 1.0):
            own = size * rng.uniform(0.8, 1.2)
            for _ in range(int(rng.integers(2, 5))):
                middle = (rng.uniform(0.12, 0.46), rng.uniform(-0.38, 0.16), side * rng.uniform(0.30, 0.52))
                half = own * rng.uniform((0.08, 0.12, 0.09), (0.20, 0.28, 0.19))
                lumps.append((*middle, *half, rng.uniform(0.5, 1.5)))
        return cls((plates[0], plates[1]), np.array(lumps))

    def of_upper(self, corners: FloatArray, bone: BoneQuality, arches: bool = True) -> list[Solid]:
        """What belongs to the vertebra above, around whose corners (4, 2) it lies. arches: with the facet joints' part."""
        _, superior, anterior, inferior = corners
        depth = float(np.linalg.norm(anterior - inferior))
        up = unit(superior - inferior)
        back = np.array([-up[1], up[0]])
        turn = rotation(about_z_deg=float(np.degrees(np.arctan2(-up[0], up[1]))))
        made = [] if self.plates[0] is None else [self.plates[0].solid(corners[2:], True, bone)]
        for behind, above, beside, *half, density in self.lumps.tolist() if arches else ():
            centre = (*(inferior + (behind * back + above * up) * depth), beside * depth)
            radii = np.array(half) * depth
            inner = radii - np.minimum(bone.arch_mm, 0.5 * radii)
            dense = density * bone.arch_density
            made += shell(
                ellipsoid(centre, radii, 1.0, turn),
                ellipsoid(centre, inner, 1.0, turn),
                dense * bone.cortical,
                dense * bone.spongy,
            )
        return made

    def of_lower(self, endplate: FloatArray, bone: BoneQuality) -> list[Solid]:
        """What belongs to the body below, beside its upper endplate (2, 2)."""
        return [] if self.plates[1] is None else [self.plates[1].solid(endplate, False, bone)]
