"""Bones on the canvas: vertebrae with rims, concave endplates, waists and posterior elements; sacrum, pelvis, ribs, arms.

Attenuations are line integrals in excess of the soft tissue around: about 0.4 through a vertebral body from side to side.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lumbar.geometry import FloatArray, unit
from lumbar.synthesis.canvas import Canvas, curve, ellipse
from lumbar.synthesis.spine import NAMES, Spine


@dataclass(frozen=True, slots=True)
class BoneLook:
    """How one patient's bone shows: spongy bone, endplates, walls, posterior elements, and the tilt to the beam."""

    spongy: float
    endplate: float
    wall: float
    posterior: float
    tilt: float
    edge_blur_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> BoneLook:
        """From osteopenic to dense, from a true lateral to one tilted by several degrees."""
        density = rng.uniform(0.3, 1.25)
        return cls(
            spongy=0.36 * density * rng.uniform(0.5, 1.3),
            endplate=0.42 * density * rng.uniform(0.5, 1.6),
            wall=0.22 * density * rng.uniform(0.4, 1.6),
            posterior=0.34 * density * rng.uniform(0.6, 1.4),
            tilt=abs(rng.normal(0, 0.035)),
            edge_blur_mm=rng.uniform(0.25, 0.7),
        )


def draw_skeleton(canvas: Canvas, spine: Spine, rng: np.random.Generator) -> None:
    """All bones of one patient, far ones first."""
    corners = spine.corners()
    look = BoneLook.draw(rng)
    depth = spine.segments[2].depth
    if rng.random() < 0.85:
        draw_ribs(canvas, corners, depth, rng)
    draw_pelvis(canvas, corners["S1"], depth, look, rng)
    draw_sacrum(canvas, corners["S1"], look, rng)
    for name in NAMES:
        draw_posterior_elements(canvas, corners[name], depth, look, rng)
        draw_body(canvas, corners[name], look, rng)
    if rng.random() < 0.05:
        draw_screws(canvas, corners, rng)


def draw_body(canvas: Canvas, corners: FloatArray, look: BoneLook, rng: np.random.Generator) -> None:
    """A vertebral body: an elliptic drum with waists, a rim above and below, and endplates that sink in between."""
    sa, sp, ia, ip = corners
    depth, height = float(np.linalg.norm(ia - ip)), float(np.linalg.norm((sa + sp - ia - ip) / 2))
    waists = rng.uniform(0.01, 0.09, 2) * depth * (1.0, 0.6)
    sink = rng.uniform(0.0, 0.06, 2) * height + rng.uniform(0, 0.09) * height * (rng.random() < 0.3)
    front, back = curve(ia, sa, waists[0]), curve(sp, ip, waists[1])
    outline = np.concatenate([front, curve(sa, sp, sink[0])[1:], back[1:], curve(ip, ia, sink[1])[1:-1]])
    centre = outline.mean(axis=0)
    along = unit(ia - ip + sa - sp)
    brightness = look.spongy * rng.uniform(0.8, 1.2)
    # A drum is thin at its front and back walls and full in the middle.
    for inner, share in ((1.0, 0.5), (0.93, 0.25), (0.8, 0.25)):
        offset = outline - centre
        squeezed = outline - np.outer(offset @ along, along) * (1 - inner)
        canvas.area(squeezed, brightness * share, look.edge_blur_mm)
    wall = look.wall * rng.uniform(0.6, 1.3)
    canvas.line(front, wall, rng.uniform(0.7, 1.5), look.edge_blur_mm)
    canvas.line(back, wall * rng.uniform(0.5, 1.1), rng.uniform(0.7, 1.5), look.edge_blur_mm)
    endplate = look.endplate * rng.uniform(0.7, 1.2)
    tilt = max(0.0, look.tilt + rng.normal(0, 0.012)) * depth
    for (a, p), bulge in (((sa, sp), sink[0]), ((ip, ia), sink[1])):
        thickness = rng.uniform(0.8, 1.9)
        canvas.line(curve(a, p, bulge), endplate * rng.uniform(0.5, 1.0), thickness, look.edge_blur_mm)
        rim = endplate * rng.uniform(0.15, 0.6)
        if tilt > 0.4:
            # Seen at a slant the rim is an ellipse: its near and its far half part.
            canvas.line(curve(a, p, tilt + bulge * 0.3), rim, thickness * 0.8, look.edge_blur_mm)
            canvas.line(curve(a, p, -tilt), rim, thickness * 0.8, look.edge_blur_mm)
        else:
            canvas.line(np.stack([a, p]), rim, thickness * 0.8, look.edge_blur_mm)
    _draw_osteophytes(canvas, corners, along, depth, look, rng)


def _draw_osteophytes(
    canvas: Canvas, corners: FloatArray, along: FloatArray, depth: float, look: BoneLook, rng: np.random.Generator
) -> None:
    for corner, forward in ((0, 1.0), (2, 1.0), (1, -1.0), (3, -1.0)):
        if rng.random() < (0.10 if forward > 0 else 0.03):
            tip = corners[corner] + along * forward * depth * rng.uniform(0.04, 0.16) + rng.normal(0, 0.04, 2) * depth
            base = corners[corner] - along * forward * depth * 0.08
            up = np.array([-along[1], along[0]]) * depth * rng.uniform(0.03, 0.08)
            canvas.area(np.array([base + up, tip, base - up]), look.spongy * rng.uniform(0.6, 1.4), look.edge_blur_mm)


def draw_posterior_elements(
    canvas: Canvas, corners: FloatArray, depth: float, look: BoneLook, rng: np.random.Generator
) -> None:
    """Pedicle, articular processes, lamina and spinous process; both sides nearly on top of each other."""
    _, sp, ia, ip = corners
    back = -unit(ia - ip)
    up = unit(sp - ip)
    height = float(np.linalg.norm(sp - ip))
    length = rng.uniform(0.20, 0.32) * depth
    pedicle_top, pedicle_bottom = sp - up * height * rng.uniform(0.02, 0.12), sp - up * height * rng.uniform(0.42, 0.58)
    joint = (pedicle_top + pedicle_bottom) / 2 + back * (length + 0.10 * depth)
    axis = float(np.degrees(np.arctan2(up[1], up[0])))
    apart = rng.normal(0, 0.03, 2) * depth
    for side in (-1.0, 1.0):
        shift = side * apart
        bone = look.posterior * rng.uniform(0.4, 0.8)
        pedicle = (
            np.array([pedicle_top, pedicle_top + back * length, pedicle_bottom + back * length, pedicle_bottom]) + shift
        )
        canvas.area(pedicle, bone, look.edge_blur_mm)
        canvas.line(
            curve(pedicle[0], pedicle[1], -0.03 * depth), look.wall * rng.uniform(0.3, 1.0), 1.0, look.edge_blur_mm
        )
        canvas.line(
            curve(pedicle[3], pedicle[2], 0.06 * depth), look.wall * rng.uniform(0.4, 1.2), 1.0, look.edge_blur_mm
        )
        upper = joint + shift + up * rng.uniform(0.12, 0.30) * depth + back * rng.uniform(-0.02, 0.10) * depth
        lower = joint + shift - up * rng.uniform(0.25, 0.50) * depth + back * rng.uniform(0.05, 0.20) * depth
        for centre, radii in ((upper, (0.26, 0.12)), (lower, (0.32, 0.13))):
            size = (radii[0] * depth * rng.uniform(0.8, 1.2), radii[1] * depth * rng.uniform(0.8, 1.2))
            outline = ellipse(centre, size, axis + rng.uniform(5, 35))
            canvas.area(outline, bone * rng.uniform(0.6, 1.2), look.edge_blur_mm)
            canvas.line(outline, look.wall * rng.uniform(0.1, 0.7), 0.9, look.edge_blur_mm)
    lamina = np.array([joint + up * 0.1 * depth, joint - up * rng.uniform(0.35, 0.5) * depth + back * 0.35 * depth])
    canvas.line(lamina, look.posterior * rng.uniform(0.2, 0.6), 0.16 * depth, 0.03 * depth)
    spinous = joint + back * rng.uniform(0.45, 0.70) * depth - up * rng.uniform(0.30, 0.55) * depth
    canvas.area(
        ellipse(
            spinous, (rng.uniform(0.34, 0.48) * depth, rng.uniform(0.16, 0.28) * depth), axis - 90 + rng.uniform(-5, 25)
        ),
        look.posterior * rng.uniform(0.15, 0.7),
        rng.uniform(0.6, 1.5),
    )


def draw_sacrum(canvas: Canvas, plate: FloatArray, look: BoneLook, rng: np.random.Generator) -> None:
    """S1 to S5 and the coccyx: a curved wedge with faint remains of its discs and a crest behind."""
    anterior, posterior = plate
    depth = width = float(np.linalg.norm(anterior - posterior))
    forward = unit(anterior - posterior)
    angle = float(np.arctan2(forward[1], forward[0]))
    front, back = [anterior], [posterior]
    for k in range(7):
        angle -= np.radians(rng.uniform(3, 15) if k < 5 else rng.uniform(10, 30))
        e, down = np.array([np.cos(angle), np.sin(angle)]), np.array([np.sin(angle), -np.cos(angle)])
        width *= rng.uniform(0.74, 0.86)
        centre = (front[-1] + back[-1]) / 2 + down * depth * rng.uniform(0.66, 0.82) * (1 - 0.1 * k)
        front.append(centre + e * width / 2)
        back.append(centre - e * width / 2)
    ventral, dorsal = np.array(front), np.array(back)
    density = rng.uniform(0.6, 1.2)
    canvas.area(np.concatenate([ventral, dorsal[::-1]]), look.spongy * density, look.edge_blur_mm * 1.5)
    canvas.line(ventral, look.endplate * rng.uniform(0.3, 1.0), rng.uniform(0.8, 1.6), look.edge_blur_mm)
    canvas.line(dorsal, look.endplate * rng.uniform(0.2, 0.8), rng.uniform(0.8, 1.6), look.edge_blur_mm)
    for k in range(1, 5):
        canvas.line(np.stack([ventral[k], dorsal[k]]), look.endplate * rng.uniform(0.05, 0.5), 1.0, look.edge_blur_mm)
    crest = dorsal[:5] - unit(ventral[:5] - dorsal[:5]) * rng.uniform(0.25, 0.45) * depth
    canvas.area(np.concatenate([dorsal[:5], crest[::-1]]), look.posterior * rng.uniform(0.2, 0.7), 1.2)
    bulge = rng.uniform(-0.02, 0.05) * depth
    thickness = rng.uniform(0.9, 1.9)
    canvas.line(curve(anterior, posterior, bulge), look.endplate * rng.uniform(0.5, 1.2), thickness, look.edge_blur_mm)
    if look.tilt > 0.02:
        canvas.line(curve(anterior, posterior, -look.tilt * depth), look.endplate * 0.3, thickness, look.edge_blur_mm)


def draw_pelvis(canvas: Canvas, plate: FloatArray, depth: float, look: BoneLook, rng: np.random.Generator) -> None:
    """Two iliac wings, hip joints and thigh bones; the far side a little larger than the near one."""
    anterior = plate[0]
    middle = plate.mean(axis=0)
    hips = middle + np.array([rng.uniform(-0.1, 1.3), -rng.uniform(2.2, 3.3)]) * depth
    crest_height, wing = rng.uniform(0.3, 1.4), rng.uniform(1.5, 2.3)
    for side in (-1.0, 1.0):
        shift = side * rng.normal(0, 0.10, 2) * depth
        size = 1 + side * rng.uniform(0.0, 0.06)
        bone = look.spongy * rng.uniform(0.3, 0.9)
        t = np.linspace(np.radians(-8), np.radians(188), 26)
        crest = (
            middle
            + shift
            + size * depth * np.stack([0.25 + wing * np.cos(t), -0.25 + (0.25 + crest_height) * np.sin(t)], axis=1)
        )
        neck = hips + shift + np.array([[-0.75, 0.2], [0.75, 0.4]]) * depth
        canvas.area(np.concatenate([crest, neck]), bone, rng.uniform(0.6, 1.5))
        canvas.line(crest, look.wall * rng.uniform(0.4, 1.6), rng.uniform(1.2, 2.6), look.edge_blur_mm * 1.5)
        notch = curve(
            middle + shift + np.array([-0.9, -1.0]) * depth, hips + shift + np.array([-0.7, 0.0]) * depth, 0.4 * depth
        )
        canvas.line(notch, look.wall * rng.uniform(0.2, 1.0), 1.2, look.edge_blur_mm)
        brim = curve(anterior + shift, hips + shift + np.array([0.8, 0.3]) * depth, rng.uniform(-0.3, 0.1) * depth)
        canvas.line(brim, look.wall * rng.uniform(0.2, 1.2), rng.uniform(1.0, 2.5), look.edge_blur_mm * 1.5)
        head = hips + shift
        radius = rng.uniform(0.60, 0.72) * depth * size
        canvas.area(ellipse(head, (radius, radius), 0), look.spongy * rng.uniform(0.4, 1.0), 0.8)
        canvas.line(ellipse(head, (radius, radius), 0), look.wall * rng.uniform(0.3, 1.4), 1.0, look.edge_blur_mm)
        canvas.line(
            ellipse(head, (radius * 1.15,) * 2, 0)[:17], look.wall * rng.uniform(0.3, 1.4), 1.4, look.edge_blur_mm
        )
        thigh = np.stack(
            [head + np.array([0.0, -0.6 * depth]), head + np.array([rng.uniform(-0.5, 2.5), -5.0]) * depth]
        )
        canvas.line(thigh, look.spongy * rng.uniform(0.6, 1.4), 0.8 * depth, 1.0)
        ischium = curve(head + np.array([-0.5, -0.4]) * depth, head + np.array([-0.7, -2.0]) * depth, 0.2 * depth)
        canvas.line(ischium, look.spongy * rng.uniform(0.4, 1.0), 0.5 * depth, 1.5)


def draw_ribs(canvas: Canvas, corners: dict[str, FloatArray], depth: float, rng: np.random.Generator) -> None:
    """Ribs from T8 to T12, in pairs, from behind downwards and forwards; the twelfth is short or missing."""
    strength, steep = rng.uniform(0.05, 0.22), rng.uniform(20, 60)
    for name in ("T8", "T9", "T10", "T11", "T12"):
        if name == "T12" and rng.random() < 0.2:
            continue
        reach = {"T12": rng.uniform(0.7, 2.6), "T11": rng.uniform(2.0, 4.0)}.get(name, rng.uniform(3.5, 6.0)) * depth
        head = corners[name][1]
        for _ in range(2):
            start = head + np.array([-rng.uniform(0.1, 0.5), rng.uniform(-0.25, 0.1)]) * depth
            angle = np.radians(steep + rng.normal(0, 6))
            turn = start + np.array([-rng.uniform(0.3, 0.9), -rng.uniform(0.3, 0.8)]) * depth
            end = turn + reach * np.array([np.cos(angle), -np.sin(angle)])
            path = np.concatenate(
                [curve(start, turn, -0.1 * depth), curve(turn, end, rng.uniform(-0.4, 0.1) * depth, 15)]
            )
            width = rng.uniform(0.2, 0.34) * depth
            canvas.line(path, strength, width, 1.0)
            side = np.array([0.35, 0.5]) * width
            for edge in (side, -side):
                canvas.line(path + edge, strength * rng.uniform(0.3, 1.0), 0.9, 0.5)


def draw_arm(canvas: Canvas, corners: dict[str, FloatArray], depth: float, rng: np.random.Generator) -> None:
    """An upper arm or forearm that was not lifted out of the way, across the upper front of the film."""
    start = corners["T12"][0] + np.array([rng.uniform(0.5, 4.0), rng.uniform(-3.0, 3.0)]) * depth
    end = start + np.array([rng.uniform(3, 8), rng.uniform(-5, 3)]) * depth
    canvas.line(np.stack([start, end]), rng.uniform(0.3, 1.0), rng.uniform(1.6, 2.6) * depth, 2.0)
    canvas.line(np.stack([start, end]), rng.uniform(0.2, 0.6), rng.uniform(0.4, 0.7) * depth, 0.8)


def draw_screws(canvas: Canvas, corners: dict[str, FloatArray], rng: np.random.Generator) -> None:
    """Pedicle screws in two or three neighbouring vertebrae, and the rod that joins them."""
    first = int(rng.integers(0, 4))
    heads = []
    for name in NAMES[first : first + int(rng.integers(2, 4))]:
        _, sp, ia, ip = corners[name]
        forward, up = unit(ia - ip), unit(sp - ip)
        depth, height = float(np.linalg.norm(ia - ip)), float(np.linalg.norm(sp - ip))
        entry = sp - up * height * 0.3 - forward * depth * rng.uniform(0.4, 0.6)
        canvas.line(np.stack([entry, entry + forward * depth * rng.uniform(1.0, 1.3)]), rng.uniform(1, 2.5), 5.5, 0.3)
        canvas.area(ellipse(entry, (6.0, 8.0), rng.uniform(0, 30)), rng.uniform(1, 3), 0.3)
        heads.append(entry)
    canvas.line(np.array(heads), rng.uniform(1, 3), 5.5, 0.3)
