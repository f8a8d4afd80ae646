"""From path lengths to the detector's signal: three energies, scatter, blur of focus and detector, quantum and electronic noise.

The spectrum of a tube at 85 to 95 kVp is stood for by three energies; attenuation coefficients are those of the NIST tables
(XCOM / ICRU-44: water, cortical bone of 1.92 g/cm3, titanium of 4.51 g/cm3). Beam hardening follows from them; scatter is a
wide blur of the primary beam, a stand-in for photon transport.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lumbar.synthesis.engine import Array, Engine

WATER_PER_MM = (0.02683, 0.02059, 0.01837)
"""At 40, 60 and 80 keV."""
BONE_PER_MM = (0.12778, 0.06044, 0.04280)
TITANIUM_PER_MM = (0.9985, 0.3455, 0.1827)
_WEIGHTS = (0.30, 0.45, 0.25)  # photons leaving the tube at each energy

FloatImage = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Technique:
    """One exposure: photons a mm2 behind the spine, scatter to primary, blurs (mm in the patient's plane), heel effect.

    latitude: natural log of the largest and the least signal that the detector tells apart, against that behind the spine.
    """

    photons_per_mm2: float
    scatter: float
    scatter_mm: float
    blur_mm: float
    heel: float
    electronic: float
    latitude: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Technique:
        """From a good grid and a high dose to neither."""
        return cls(
            photons_per_mm2=float(np.exp(rng.uniform(np.log(4e3), np.log(1e5)))),
            scatter=rng.uniform(0.05, 0.9),
            scatter_mm=rng.uniform(25, 60),
            blur_mm=rng.uniform(0.15, 0.5),
            heel=rng.normal(0, 0.12),
            electronic=rng.uniform(0.0, 0.01),
            latitude=(rng.uniform(2.5, 6.0), rng.uniform(2.0, 4.5)),
        )

    @classmethod
    def usual(cls) -> Technique:
        """A middling exposure."""
        return cls(2e4, 0.3, 40.0, 0.25, 0.0, 0.003, (4.0, 3.0))


def detect(
    water_mm: Array, bone_mm: Array, metal_mm: Array | None, pixel_mm: float, chamber: tuple[slice, slice],
    technique: Technique, grain: FloatImage, engine: Engine,
) -> Array:  # fmt: skip
    """Minus the log of the signal (H, W), about zero behind the spine, larger where less arrives (bone bright).

    water_mm: all tissue as water; bone_mm: cortical bone in its place; metal_mm: titanium in its place. grain (H, W): normal noise.
    Automatic exposure: the wanted photons arrive on average in `chamber` (rows, columns), whoever stands there.
    """
    xp = engine.xp
    primary = 0.0 * water_mm
    for weight, water, bone, metal in zip(_WEIGHTS, WATER_PER_MM, BONE_PER_MM, TITANIUM_PER_MM, strict=True):
        depth = water * water_mm + (bone - water) * bone_mm
        if metal_mm is not None:
            depth = depth + (metal - water) * metal_mm
        primary = primary + weight * xp.exp(-depth)
    height, width = primary.shape
    dose = float(np.exp(np.log(engine.numpy(primary[chamber])).mean()))
    # Open field far outside the body would drown everything in scatter; a grid and collimation keep it out.
    whole = primary[: height // 8 * 8, : width // 8 * 8]
    small = engine.resized(xp.clip(whole, 0.0, 6 * dose), height // 8, width // 8)
    wide = engine.resized(engine.blurred(small, technique.scatter_mm / pixel_mm / 8), height, width)
    flux = (primary + technique.scatter * wide) / (dose * (1 + technique.scatter))
    flux = flux * engine.array(np.exp(technique.heel * np.linspace(-1, 1, height, dtype=np.float32))[:, None])
    flux = engine.blurred(flux, max(0.3, technique.blur_mm / pixel_mm))
    photons = technique.photons_per_mm2 * pixel_mm**2
    most, least = (float(np.exp(sign * reach)) for sign, reach in zip((1, -1), technique.latitude, strict=True))
    noise = xp.sqrt(xp.clip(flux, least, None) / photons + technique.electronic**2) * engine.array(grain)
    return -xp.log(xp.clip(flux + noise, least, most))
