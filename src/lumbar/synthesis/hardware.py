"""What surgeons leave behind: pedicle screws and rods, cages, bone cement. Screws and rods in mm of titanium, the rest of bone."""

from __future__ import annotations

import numpy as np

from lumbar.geometry import FloatArray, unit
from lumbar.synthesis.solids import Solid, ellipsoid, rotation, tube
from lumbar.synthesis.spine import NAMES, Spine


def screws_and_rods(spine: Spine, lowest: str, rng: np.random.Generator) -> list[Solid]:
    """Screws through both pedicles of two to four neighbouring vertebrae from `lowest` upwards, and a rod on each side."""
    corners, poses = spine.corners(), spine.poses()
    first = NAMES.index(lowest)
    span = NAMES[first : first + int(rng.integers(2, 5))]
    made: list[Solid] = []
    length, radius, aim = rng.uniform(1.0, 1.35), rng.uniform(2.5, 3.6), rng.normal(0, 6)
    with_sacrum = lowest == "L5" and rng.random() < 0.6
    for side in (-1.0, 1.0):
        heads = []
        if with_sacrum:
            sa, sp = corners["S1"]
            along = unit(sa - sp)
            down = np.array([along[1], -along[0]])
            depth = float(np.linalg.norm(sa - sp))
            entry = sp - along * 0.45 * depth + down * 0.25 * depth
            made += _screw(entry, along, depth, side, length * 0.85, radius)
            heads.append((*entry, side * 0.5 * depth))
        for name in span:
            sa, sp, ia, ip = corners[name]
            depth, up = float(np.linalg.norm(ia - ip)), unit(sp - ip)
            along = rotation(about_z_deg=aim + rng.normal(0, 2))[:2, :2] @ unit(sa - sp + ia - ip)
            entry = ip + (sp - ip) * 0.7 - along * 0.5 * depth + up * rng.normal(0, 0.02) * depth
            own = _screw(entry, along, depth, side, length, radius)
            made += [solid.moved(*poses[name]) for solid in own]
            turned, shift = poses[name]
            heads.append(tuple(turned @ (*entry, side * 0.5 * depth) + shift))
        path = np.array(heads)
        if len(path) == 1:
            continue
        ends = np.concatenate([path[:1] + (path[0] - path[1]) * 0.2, path, path[-1:] + (path[-1] - path[-2]) * 0.2])
        made.append(tube(ends, (2.9, 2.9), 1.0))
    return made


def _screw(
    entry: FloatArray, along: FloatArray, depth: float, side: float, length: float, radius: float
) -> list[Solid]:
    tip = entry + along * depth * length
    start, end = np.array([*entry, side * 0.5 * depth]), np.array([*tip, side * 0.18 * depth])
    shares = np.linspace(0, 1, 8)[:, None]
    path = start + (end - start) * shares
    sizes = np.repeat(np.linspace(radius, 0.6 * radius, 8)[:, None], 2, axis=1)
    return [tube(path, sizes, 1.0), ellipsoid(start, (5.5, 5.5, 5.5), 1.0)]


def cage(spine: Spine, name: str, rng: np.random.Generator) -> list[Solid]:
    """Markers of a polymer cage in the disc below vertebra `name`: mm of titanium."""
    corners = spine.corners()
    order = NAMES.index(name)
    lower = corners[NAMES[order - 1]][:2] if order else corners["S1"]
    upper = corners[name][2:]
    made = []
    for share in (rng.uniform(0.15, 0.3), rng.uniform(0.7, 0.85)):
        a, b = (pair[1] + (pair[0] - pair[1]) * share for pair in (lower, upper))
        for z in (-8.0, 8.0):
            path = [(*(a + (b - a) * k), z) for k in (0.2, 0.5, 0.8)]
            made.append(tube(path, (0.6, 0.6), 1.0, around=8))
    return made


def cement(spine: Spine, name: str, rng: np.random.Generator) -> list[Solid]:
    """Radio-opaque cement in the body of `name`: mm of cortical bone."""
    corners = spine.corners()[name]
    depth, height = (float(np.linalg.norm(corners[a] - corners[b])) for a, b in ((2, 3), (1, 3)))
    made = []
    for _ in range(int(rng.integers(2, 6))):
        at = corners.mean(axis=0) + rng.normal(0, 0.10, 2) * (depth, height)
        radii = rng.uniform(0.12, 0.25, 3) * (depth, height, depth)
        made.append(ellipsoid((*at, rng.normal(0, 0.2) * depth), radii, rng.uniform(0.8, 1.6)))
    return [solid.moved(*spine.poses()[name]) for solid in made]
