"""The picture of the constructions in docs/definitions.md: each measurement drawn on the same two vertebrae, with its value.

python experiments/constructions.py docs/constructions.svg
"""

from __future__ import annotations

import sys

import matplotlib
import numpy as np

matplotlib.use("agg")
from matplotlib import pyplot
from matplotlib.axes import Axes

from lumbar.geometry import FloatArray, unit
from lumbar.measurements.discs import height_index
from lumbar.measurements.levels import (
    displacement_along_endplate,
    displacement_from_wall,
    intervertebral_angle,
    slip_percent,
)

# U and L of a slipped, forward tilted level in mm: superior and inferior, anterior and posterior corners.
UPPER = {"sa": (40.0, 40.0), "sp": (7.0, 37.0), "ia": (42.0, 14.0), "ip": (9.0, 8.0)}
LOWER = {"sa": (33.0, 1.0), "sp": (0.0, 0.0), "ia": (31.0, -26.0), "ip": (-3.0, -26.0)}
BONE, LINE, RESULT = "0.55", "#0072b2", "#d55e00"


def main(path: str) -> None:
    u, l_ = ({name: np.array(at) for name, at in corners.items()} for corners in (UPPER, LOWER))
    figure, panels = pyplot.subplots(1, 4, figsize=(13, 4.2))
    wall = displacement_from_wall(u["ip"], l_["sp"], l_["ip"])
    up = unit(l_["sp"] - l_["ip"])
    foot = l_["ip"] + ((u["ip"] - l_["ip"]) @ up) * up
    draw(panels[0], u, l_, f"displacement, wall\n{wall:+.1f} mm")
    panels[0].plot(*np.array([l_["ip"] - 4 * up, foot + 8 * up]).T, color=LINE, lw=1)
    panels[0].plot(*np.array([foot, u["ip"]]).T, color=RESULT, lw=2)

    along = displacement_along_endplate(u["ip"], l_["sa"], l_["sp"])
    e = unit(l_["sa"] - l_["sp"])
    at = l_["sp"] + along * e
    percent = slip_percent(u["ip"], l_["sa"], l_["sp"])
    draw(panels[1], u, l_, f"displacement, endplate; slip\n{along:+.1f} mm; {percent:+.0f} %")
    panels[1].plot(*np.array([l_["sp"] - 4 * e, l_["sa"] + 6 * e]).T, color=LINE, lw=1)
    panels[1].plot(*np.array([u["ip"], at]).T, color=LINE, lw=1, ls=":")
    panels[1].plot(*np.array([l_["sp"], at]).T, color=RESULT, lw=2.5)

    angle = intervertebral_angle(u["ia"], u["ip"], l_["sa"], l_["sp"])
    draw(panels[2], u, l_, f"intervertebral angle\n{angle:+.0f}°")
    for one, other in ((u["ip"], u["ia"]), (l_["sp"], l_["sa"])):
        way = unit(other - one)
        panels[2].plot(*np.array([one - 4 * way, other + 14 * way]).T, color=LINE, lw=1)
    start, end = (np.arctan2(*(b - a)[::-1]) for a, b in ((l_["sp"], l_["sa"]), (u["ip"], u["ia"])))
    e, upper_e = unit(l_["sa"] - l_["sp"]), unit(u["ia"] - u["ip"])
    crossing = l_["sp"] + e * np.linalg.solve(np.column_stack([e, -upper_e]), u["ip"] - l_["sp"])[0]
    turn, reach = np.linspace(start, end, 20), float(np.linalg.norm(l_["sa"] + 10 * e - crossing))
    panels[2].plot(crossing[0] + reach * np.cos(turn), crossing[1] + reach * np.sin(turn), color=RESULT, lw=2)

    index = height_index(u["ia"], u["ip"], l_["sa"], l_["sp"])
    draw(panels[3], u, l_, f"disc heights; index\n{index:.0f} %")
    middles = (u["ia"] + u["ip"]) / 2, (l_["sa"] + l_["sp"]) / 2
    for one, other in ((u["ia"], l_["sa"]), (u["ip"], l_["sp"]), middles):
        panels[3].plot(*np.array([one, other]).T, color=RESULT, lw=2)
    figure.tight_layout()
    figure.savefig(path)


def draw(axes: Axes, upper: dict[str, FloatArray], lower: dict[str, FloatArray], title: str) -> None:
    for name, body in (("U", upper), ("L", lower)):
        outline = np.array([body[corner] for corner in ("sa", "sp", "ip", "ia", "sa")])
        axes.fill(*outline.T, color=BONE, alpha=0.25, lw=0)
        axes.plot(*outline.T, color=BONE, lw=1.2)
        axes.text(*outline[:4].mean(axis=0), name, ha="center", va="center", fontsize=13, color="0.35")
        for corner, at in body.items():
            side = 1 if corner.endswith("a") else -1
            axes.annotate(
                corner,
                at,
                (6 * side, 0),
                textcoords="offset points",
                ha="left" if side > 0 else "right",
                va="center",
                fontsize=8,
            )
    axes.set_title(title, fontsize=11)
    axes.set_aspect("equal")
    axes.set(xlim=(-16, 66), ylim=(-34, 48))
    axes.axis("off")
    axes.annotate("anterior →", (50, -33), fontsize=8, color="0.35")


if __name__ == "__main__":
    main(sys.argv[1])
