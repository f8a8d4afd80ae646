"""Simulated vertebrae beside measured ones: sizes as shares of the body's depth, and silhouettes; then the hip bone's line over S1.

    python experiments/bone_shapes.py FOLDER [--picture FILE]

FOLDER holds bone surfaces of a lumbar spine as OBJ files in metres, x anterior, y left, z up: L1_Schrumpfverpacken.obj (the whole
vertebra) and L1_body.obj to L5, S1_body.obj and Pelvis.obj. Simulated are 100 healthy patients.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from lumbar.synthesis.beam import Beam, path_lengths
from lumbar.synthesis.engine import NUMPY
from lumbar.synthesis.skeleton import Skeleton
from lumbar.synthesis.solids import Solid
from lumbar.synthesis.spine import draw_spine
from lumbar.synthesis.vertebra import arch, body

LEVELS = ("L1", "L2", "L3", "L4", "L5")
BELOW_S1 = (0.25, 0.5, 0.75, 1.0, 1.25)
SIZES = ("body width", "body height", "length", "span of transverse processes", "height with processes")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--picture", type=Path)
    given = arguments.parse_args()
    rows = []
    for name in LEVELS:
        whole, trunk = (load(given.folder / f"{name}_{part}.obj") for part in ("Schrumpfverpacken", "body"))
        measured = sizes([whole], [trunk], tilt_of(trunk))
        drawn = np.array([sizes(*simulated(seed, name), 0.0) for seed in range(100)])
        print(f"{name} (of the body's depth)")
        for size, one, mean, deviation in zip(SIZES, measured, drawn.mean(axis=0), drawn.std(axis=0), strict=True):
            print(
                f"  {size:30} measured {one:5.2f}   simulated {mean:5.2f} +- {deviation:4.2f}   z {(one - mean) / deviation:+.1f}"
            )
        level = [shadow([whole.moved(turn(tilt_of(trunk)), np.zeros(3))])]
        level += [shadow(simulated(seed, name)[0]) for seed in range(4)]
        rows.append(np.hstack(level))
    measured = line_over_s1([load(given.folder / "Pelvis.obj")], s1_endplate(load(given.folder / "S1_body.obj")))
    drawn = np.array([simulated_line(seed) for seed in range(100)])
    print("the hip bones' line over S1, before S1's posterior corner (of S1's depth; endplate turned to 34 degrees)")
    for below, one, each in zip(BELOW_S1, measured, drawn.T, strict=True):
        print(f"  {below:4.2f} below   measured {one:5.2f}   simulated {each.mean():5.2f} +- {each.std():4.2f}")
    if given.picture:
        cv2.imwrite(str(given.picture), np.vstack(rows))


def load(path: Path) -> Solid:
    """An OBJ surface in mm, in the simulator's frame."""
    lines = [line.split() for line in path.read_text().splitlines() if line[:2] in ("v ", "f ")]
    vertices = np.array([[float(x) for x in line[1:4]] for line in lines if line[0] == "v"]) * 1000
    triangles = np.array([[int(x.split("/")[0]) - 1 for x in line[1:4]] for line in lines if line[0] == "f"])
    return Solid(vertices[:, [0, 2, 1]] * (1, 1, -1), triangles, 1.0)


def simulated(seed: int, name: str) -> tuple[list[Solid], list[Solid]]:
    """The whole vertebra and its body, endplates level."""
    rng = np.random.default_rng([11, seed])
    spine = draw_spine(rng, healthy=True)
    skeleton = Skeleton.draw(rng, spine)
    corners, shape = spine.corners()[name], skeleton.shapes[name]
    along = corners[0] - corners[1] + corners[2] - corners[3]
    level = turn(-float(np.degrees(np.arctan2(along[1], along[0]))))
    trunk = body(corners, shape, skeleton.quality)
    rest = arch(corners, shape, skeleton.quality, 0.0, {"L5": 1.0, "L4": 0.3}.get(name, 0.0))
    whole, own = ([solid.moved(level, np.zeros(3)) for solid in solids] for solids in (trunk + rest, trunk))
    return whole, own


def s1_endplate(trunk: Solid) -> np.ndarray:
    """Anterior and posterior corner (2, 2): the foremost and the highest of S1's median points."""
    middle = trunk.vertices[np.abs(trunk.vertices[:, 2]) < 6, :2]
    return np.stack([middle[middle[:, 0].argmax()], middle[middle[:, 1].argmax()]])


def simulated_line(seed: int) -> np.ndarray:
    """`line_over_s1` of one patient."""
    rng = np.random.default_rng([11, seed])
    spine = draw_spine(rng, healthy=True)
    plate = spine.corners()["S1"][:2]
    skeleton = Skeleton.draw(rng, spine)
    return line_over_s1([bone for side in (1.0, -1.0) for bone in skeleton.hip_bone(spine, side)], plate)


def line_over_s1(bones: list[Solid], plate: np.ndarray) -> np.ndarray:
    """Where most of the bones' surface lies behind one another, at heights BELOW_S1 under S1's posterior corner: (5,), forwards from it."""
    anterior, posterior = plate
    depth = np.linalg.norm(anterior - posterior)
    level = turn(-34.0 - float(np.degrees(np.arctan2(*(anterior - posterior)[::-1]))))
    columns = np.arange(-0.7, 1.3, 0.05)
    seen = np.zeros((len(BELOW_S1), len(columns)))
    for solid in (bone for bone in bones if bone.density > 0):
        points = (solid.vertices - [*posterior, 0.0]) @ level.T / depth
        a, b, c = (points[solid.triangles[:, k]] for k in range(3))
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
        for shares in np.random.default_rng(1).dirichlet((1, 1, 1), 200):
            x, y, _ = (shares[0] * a + shares[1] * b + shares[2] * c).T
            for row, below in zip(seen, BELOW_S1, strict=True):
                near = np.abs(y + below) < 0.1
                row += np.histogram(x[near], [*columns, columns[-1] + 0.05], weights=area[near])[0]
    return np.asarray(columns[seen.argmax(axis=1)] + 0.025)


def sizes(whole: list[Solid], trunk: list[Solid], tilt_deg: float) -> np.ndarray:
    """The five SIZES over the body's depth."""
    all_points, body_points = (
        np.concatenate([s.vertices for s in solids]) @ turn(tilt_deg).T for solids in (whole, trunk)
    )
    middle = np.abs(body_points[:, 2]) < 3
    depth = np.ptp(body_points[middle, 0])
    x, y, z = np.ptp(all_points, axis=0)
    return np.array([np.ptp(body_points[:, 2]), np.ptp(body_points[middle, 1]), x, z, y]) / depth


def tilt_of(trunk: Solid) -> float:
    """The turn in degrees that levels a body: by the plane fitted to the upper quarter of its median points."""
    points = trunk.vertices[np.abs(trunk.vertices[:, 2]) < 8]
    best = 0.0
    for _ in range(3):
        turned = points @ turn(best).T
        top = turned[turned[:, 1] > np.quantile(turned[:, 1], 0.8)]
        low = turned[turned[:, 1] < np.quantile(turned[:, 1], 0.2)]
        slopes = [np.polyfit(part[:, 0], part[:, 1], 1)[0] for part in (top, low)]
        best -= float(np.degrees(np.arctan(np.mean(slopes))))
    return best


def turn(angle_deg: float) -> np.ndarray:
    a = np.radians(angle_deg)
    return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])


def shadow(solids: list[Solid]) -> np.ndarray:
    """A lateral picture, 240 x 320, of filled solids."""
    outer = [solid.with_density(1.0) for solid in solids if solid.density > 0]
    points = np.concatenate([solid.vertices for solid in outer])
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    beam = Beam(2100, 2000, 0.4, np.eye(3), (160.0, 120.0), (160.0, 120.0))
    lengths = path_lengths([solid.moved(np.eye(3), -middle) for solid in outer], beam, 240, 320, NUMPY)
    return np.asarray(255 * (1 - np.exp(-lengths / 30)), np.uint8)


if __name__ == "__main__":
    main()
