"""What goes wrong with spines: drawn once a patient, applied to the bones, and listed in the truth.

Shares are chosen for training, not counted in any clinic: every finding must be met often enough to be learnt.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding of one vertebra (or of the disc below it), or of the whole spine where `at` is empty.

    slip: added, as a share of the endplate below. anterior_height, posterior_height, disc_height: factors.
    arch_stays: the posterior arch does not go along with the slip (isthmic). sink: of the endplates, added, as a share of the height.
    """

    kind: str
    at: str = ""
    slip: float = 0.0
    anterior_height: float = 1.0
    posterior_height: float = 1.0
    disc_height: float = 1.0
    arch_stays: bool = False
    sink: float = 0.0

    def __str__(self) -> str:
        """As the manifest names it: `wedge fracture L1`."""
        return f"{self.kind} {self.at}".strip()


_SLIPPED_AT = {"L1": 0.04, "L2": 0.08, "L3": 0.16, "L4": 0.40, "L5": 0.32}
_GRADES = ((0.06, 0.25, 0.70), (0.25, 0.50, 0.20), (0.50, 0.75, 0.07), (0.75, 1.08, 0.03))
"""Least and largest slip, and share among anterolistheses: Meyerding I to IV, the last reaching into V. Retrolistheses are of grade I but for some."""
_FRACTURED_AT = ("T11", "T12", "L1", "L2", "L3", "L4")


def draw_findings(rng: np.random.Generator) -> tuple[Finding, ...]:
    """What is wrong with one patient's spine; often nothing."""
    found: list[Finding] = []
    if rng.random() < 0.36:
        found.append(_slip(rng))
    if rng.random() < 0.12:
        found += [_fracture(rng) for _ in range(int(rng.integers(1, 3)))]
    for name in ("L5", "L4", "L3", "L2", "L1"):
        if rng.random() < 0.13:
            narrow = rng.uniform(0.25, 0.6)
            found.append(Finding("disc narrowing", name, disc_height=narrow))
            if rng.random() < 0.25:
                found.append(Finding("vacuum disc", name))
        if rng.random() < 0.05:
            found.append(Finding("Schmorl node", name))
    for kind, chance in (
        ("osteophytes", 0.25),
        ("irregular endplates", 0.15),
        ("osteopenia", 0.25),
        ("scoliosis", 0.18),
        ("six lumbar vertebrae", 0.04),
        ("four lumbar vertebrae", 0.04),
        ("transitional L5", 0.04),
        ("aortic calcification", 0.12),
    ):
        if rng.random() < chance:
            found.append(Finding(kind))
    if rng.random() < 0.07:
        found.append(Finding("screws and rods", str(rng.choice(["L5", "L4", "L3", "L2"]))))
    if rng.random() < 0.03:
        found.append(Finding("cage", str(rng.choice(["L5", "L4", "L3"]))))
    if rng.random() < 0.03:
        found.append(Finding("cement", str(rng.choice(_FRACTURED_AT))))
    return tuple(found)


def _slip(rng: np.random.Generator) -> Finding:
    at = str(rng.choice(list(_SLIPPED_AT), p=list(_SLIPPED_AT.values())))
    worn = rng.uniform(0.3, 0.95)
    if rng.random() < 0.15:
        low, high, _ = _GRADES[0] if rng.random() < 0.85 else _GRADES[rng.choice(len(_GRADES), p=_shares())]
        return Finding("retrolisthesis", at, slip=-rng.uniform(max(low, 0.08), high), disc_height=worn)
    low, high, _ = _GRADES[rng.choice(len(_GRADES), p=_shares())]
    slip = rng.uniform(low, high)
    isthmic = bool(rng.random() < (0.7 if at == "L5" else 0.25))
    kind = "isthmic anterolisthesis" if isthmic else "degenerative anterolisthesis"
    return Finding(kind, at, slip=slip, disc_height=worn * (1 - 0.4 * slip), arch_stays=isthmic)


def slip_on_squared_s1(rng: np.random.Generator) -> Finding:
    """A forward slip of L5 of a tenth to three fifths, mostly isthmic: what takes a squared S1 for one vertebra more."""
    isthmic = bool(rng.random() < 0.75)
    kind = "isthmic anterolisthesis" if isthmic else "degenerative anterolisthesis"
    return Finding(kind, "L5", slip=rng.uniform(0.1, 0.6), disc_height=rng.uniform(0.35, 1.0), arch_stays=isthmic)


def slip_of_worn_disc(rng: np.random.Generator) -> Finding:
    """A degenerative forward slip as worn discs and facets let it happen: of L4 most often, of grade I or a little more."""
    at = str(rng.choice(["L5", "L4", "L3"], p=[0.3, 0.55, 0.15]))
    return Finding("degenerative anterolisthesis", at, slip=rng.uniform(0.06, 0.35), disc_height=rng.uniform(0.3, 0.8))


def worn_levels(rng: np.random.Generator, found: tuple[Finding, ...]) -> tuple[str, ...]:
    """Vertebrae above levels of spondylosis: those with a slip or a narrow disc, and some of the lowest three, one at least."""
    known = {finding.at for finding in found if finding.slip or finding.kind == "disc narrowing"}
    chances = {"L5": 0.45, "L4": 0.45, "L3": 0.25, "L2": 0.1, "L1": 0.1}
    worn = tuple(name for name, chance in chances.items() if rng.random() < chance or name in known)
    return worn or ("L4",)


def _shares() -> list[float]:
    return [share for _, _, share in _GRADES]


def _fracture(rng: np.random.Generator) -> Finding:
    at = str(rng.choice(_FRACTURED_AT))
    kind = str(rng.choice(["wedge fracture", "biconcave fracture", "crush fracture"], p=[0.5, 0.3, 0.2]))
    if kind == "wedge fracture":
        return Finding(kind, at, anterior_height=rng.uniform(0.5, 0.82), sink=rng.uniform(0, 0.06))
    if kind == "biconcave fracture":
        return Finding(kind, at, sink=rng.uniform(0.10, 0.25))
    return Finding(kind, at, anterior_height=rng.uniform(0.5, 0.8), posterior_height=rng.uniform(0.65, 0.9))
