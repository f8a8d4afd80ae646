"""Simulated spines beside real ones: sacral slope, lordosis, disc angles and heights, slip and the shape of bodies.

    python experiments/simulator_distributions.py FOLDER [--films 2000] [--picture FILE]

FOLDER holds csv files of annotated lateral films that face left, as BUU-LSPINE has them. Simulated films are projected, not
drawn: their corners are what counts. Prints a Markdown table; says OUT where a simulated mean leaves the real 5-95 % band, and
then ends with 1. Lengths are shares of L3's superior endplate, slip is in percent of the endplate below.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from rich.progress import track

from lumbar.anatomy import LANDMARK_INDEX, Corner, Posture
from lumbar.geometry import FloatArray
from lumbar.landmarks.table import read_landmarks
from lumbar.synthesis.film import Patient
from lumbar.synthesis.framing import draw_framing
from lumbar.synthesis.spine import draw_bend

VERTEBRAE = ("L1", "L2", "L3", "L4", "L5")
SEED = 31


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("--films", type=int, default=2000)
    arguments.add_argument("--picture", type=Path)
    given = arguments.parse_args()
    real = [figures(read_landmarks(path)) for path in sorted(given.folder.glob("*.csv"))]
    simulated = [figures(corners_of(index)) for index in track(range(given.films), "simulating")]
    print(
        f"| | {len(real)} real: mean (sd) | real 5-95 % | {given.films} simulated: mean (sd) | |\n|---|---|---|---|---|"
    )
    outside = 0
    for name in real[0]:
        ours, theirs = (np.array([one[name] for one in many]) for many in (simulated, real))
        low, high = np.percentile(theirs, [5, 95])
        inside = low <= ours.mean() <= high
        outside += not inside
        print(
            f"| {name} | {theirs.mean():.2f} ({theirs.std():.2f}) | {low:.2f} to {high:.2f} | {ours.mean():.2f} ({ours.std():.2f}) "
            f"| {'inside' if inside else 'OUT'} |"
        )
    if given.picture:
        draw(real, simulated, given.picture)
    sys.exit(bool(outside))


def corners_of(index: int) -> FloatArray:
    """Corners (22, 2) on film number `index`, drawn as `simulate` draws them."""
    rng = np.random.default_rng([SEED, index])
    patient = Patient.draw(rng)
    spine = patient.spine
    if rng.random() < 0.35:
        spine = draw_bend(rng, spine)[Posture(rng.choice(["flexion", "extension"]))]
    return draw_framing(rng, spine, 768).beam.project(spine.curved(patient.skeleton.landmarks(spine)))


def figures(corners_px: FloatArray) -> dict[str, float]:
    """Every figure of one film that faces left."""
    points = corners_px * (-1.0, -1.0)

    def at(vertebra: str, corner: Corner) -> FloatArray:
        return points[LANDMARK_INDEX[vertebra, corner]]

    def plate(vertebra: str, upper: bool) -> FloatArray:
        if upper:
            return at(vertebra, Corner.SUPERIOR_ANTERIOR) - at(vertebra, Corner.SUPERIOR_POSTERIOR)
        return at(vertebra, Corner.INFERIOR_ANTERIOR) - at(vertebra, Corner.INFERIOR_POSTERIOR)

    def angle(a: FloatArray, b: FloatArray) -> float:
        return float(np.degrees(np.arctan2(a[0] * b[1] - a[1] * b[0], a @ b)))

    sacrum, unit = plate("S1", True), float(np.linalg.norm(plate("L3", True)))
    found = {
        "sacral slope (deg)": -float(np.degrees(np.arctan2(sacrum[1], sacrum[0]))),
        "lordosis L1-S1 (deg)": angle(sacrum, plate("L1", True)),
    }
    discs = list(zip(VERTEBRAE, (*VERTEBRAE[1:], "S1"), strict=True))
    for upper, lower in discs:
        found[f"disc angle {upper}/{lower} (deg)"] = angle(plate(lower, True), plate(upper, False))
    for upper, lower in discs:
        front = at(upper, Corner.INFERIOR_ANTERIOR) - at(lower, Corner.SUPERIOR_ANTERIOR)
        behind = at(upper, Corner.INFERIOR_POSTERIOR) - at(lower, Corner.SUPERIOR_POSTERIOR)
        found[f"disc height {upper}/{lower}"] = float(np.linalg.norm((front + behind) / 2)) / unit
    for upper, lower in discs:
        below = plate(lower, True)
        offset = at(upper, Corner.INFERIOR_POSTERIOR) - at(lower, Corner.SUPERIOR_POSTERIOR)
        found[f"slip {upper}/{lower} (%)"] = float(100 * offset @ below / (below @ below))
    for name in VERTEBRAE:
        fronts, backs = (
            at(name, a) - at(name, b)
            for a, b in (
                (Corner.SUPERIOR_ANTERIOR, Corner.INFERIOR_ANTERIOR),
                (Corner.SUPERIOR_POSTERIOR, Corner.INFERIOR_POSTERIOR),
            )
        )
        if name != "L3":  # whose depth is the unit
            found[f"{name} depth"] = float(np.linalg.norm(plate(name, True))) / unit
        found[f"{name} anterior height"] = float(np.linalg.norm(fronts)) / unit
        found[f"{name} posterior height"] = float(np.linalg.norm(backs)) / unit
        found[f"{name} wedge (deg)"] = -angle(plate(name, False), plate(name, True))
    return found


def draw(real: list[dict[str, float]], simulated: list[dict[str, float]], path: Path) -> None:
    """A histogram for each figure: simulated filled, real as a line, both as densities."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    columns = 6
    rows = -(-len(real[0]) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(2.3 * columns, 1.7 * rows), layout="constrained")
    for axis in axes.flat[len(real[0]) :]:
        axis.remove()
    for axis, name in zip(axes.flat, real[0], strict=False):
        ours, theirs = (np.array([one[name] for one in many]) for many in (simulated, real))
        low, high = np.percentile(np.concatenate([ours, theirs]), [0.5, 99.5])
        axis.hist(ours, np.linspace(low, high, 31), density=True, color="#9ecae1")
        axis.hist(theirs, np.linspace(low, high, 13), density=True, histtype="step", color="#d94801", linewidth=1.2)
        axis.axvspan(*np.percentile(theirs, [5, 95]), color="#d94801", alpha=0.08)
        axis.axvline(ours.mean(), color="#08519c", linewidth=1)
        axis.set_title(name, fontsize=7)
        axis.tick_params(labelsize=6)
        axis.set_yticks([])
    figure.suptitle(
        f"{len(simulated)} simulated films (blue, line: mean) and {len(real)} real ones (orange, band: 5-95 %)",
        fontsize=9,
    )
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
