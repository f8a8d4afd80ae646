"""How the patient stands in the beam, and what part of the patient falls on the film."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lumbar.synthesis.beam import Beam
from lumbar.synthesis.solids import rotation
from lumbar.synthesis.spine import Spine

ASKEW = 0.25
"""Share of patients who stand badly, turned and tilted to the beam by more than twice as much as the others: our own estimate."""


@dataclass(frozen=True, slots=True)
class Framing:
    """A beam and the size of the film in it, in pixels."""

    beam: Beam
    height: int
    width: int


def draw_framing(
    rng: np.random.Generator, spine: Spine, height: int, usual: bool = False, askew: float = ASKEW
) -> Framing:
    """How the patient stands and what part falls on the film: from a standing whole spine to a film cut at the lumbar spine's ends.

    usual: the framing of a flexion study, all of L1 to S1 on a film of the trunk. askew: the share of patients who stand badly.
    """
    far = 2.2 if rng.random() >= 1 - askew else 1.0
    turn = rotation(far * rng.normal(0, 2.5), far * rng.normal(0, 4.0), float(np.clip(rng.normal(0, 4), -12, 12)))
    to_detector = rng.uniform(1000, 1500)
    to_patient = to_detector - rng.uniform(170, 320)
    points = spine.curved(spine.edges()) @ turn.T * (-1, -1, 1)
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    size = high - low
    kind = 0.5 if usual else rng.random()
    fill = (
        rng.uniform(0.2, 0.34) if kind < 0.05 else rng.uniform(0.34, 0.72) if kind < 0.86 else rng.uniform(0.72, 0.95)
    )
    pixel_mm = size[1] / (height * fill)
    widest = min(height * 1.1, 430 / pixel_mm)
    width = int(max(size[0] / pixel_mm * 1.08, min(height * rng.uniform(0.42, 1.1), widest))) // 16 * 16 + 16
    free = np.array([width, height]) - size / pixel_mm
    at = free * (np.clip(rng.normal(0.55, 0.2), 0.03, 0.97), np.clip(rng.normal(0.42, 0.22), 0.03, 0.97))
    if not usual and rng.random() < 0.03:
        # Cut off above or below, by as much as a vertebra and a half.
        beyond = rng.uniform(0.02, 0.28) * size[1] / pixel_mm
        at[1] = rng.choice([-beyond, free[1] + beyond])
    origin = at - low / pixel_mm
    # The central ray goes through the middle of the lumbar spine, give or take.
    central = at + size / pixel_mm * (0.5, 0.45) + rng.normal(0, 25, 2) / pixel_mm
    beam = Beam(
        to_detector,
        to_patient,
        float(pixel_mm),
        turn,
        (float(origin[0]), float(origin[1])),
        (float(central[0]), float(central[1])),
    )
    return Framing(beam, height, width)
