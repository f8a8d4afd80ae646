"""One vertebra in 3-D: a body with rims, concave endplates and waists around the four corners, and the arch behind it.

Proportions are published ones checked by eye against the surfaces of a Visible Human lumbar spine. Lengths of the arch
are shares of the body's depth; its own frame has x forwards along the endplates, y up along the posterior wall, z to the right.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from lumbar.geometry import FloatArray, unit
from lumbar.synthesis.findings import Finding
from lumbar.synthesis.solids import Solid, bone_tube, loft, shell

AROUND = 48
_ENDPLATE_RADII = (0.3, 0.55, 0.75, 0.88)
_WALL_HEIGHTS = (0.05, 0.12, 0.25, 0.42, 0.58, 0.75, 0.88, 0.95)


@dataclass(frozen=True, slots=True)
class BoneQuality:
    """One patient's bone: spongy and cortical density in mm of cortical bone a mm, and how thick walls and endplates are (mm)."""

    spongy: float
    cortical: float
    wall_mm: float
    endplate_mm: float
    arch_mm: float
    arch_density: float

    @classmethod
    def draw(cls, rng: np.random.Generator, osteopenic: bool) -> BoneQuality:
        """From porous to dense. Trabecular bone of 35 to 230 mg/cm3 is 0.03 to 0.2 of cortical bone."""
        loss = (
            rng.uniform(0.1, 0.5) if osteopenic else 1.0
        )  # spongy bone goes first: endplates stand out as in a drawing
        return cls(
            spongy=loss * float(np.exp(rng.uniform(np.log(0.03), np.log(0.20)))),
            cortical=(0.75 + 0.25 * loss) * rng.uniform(0.35, 1.0),
            wall_mm=rng.uniform(0.3, 0.9),
            endplate_mm=rng.uniform(0.45, 1.3),
            arch_mm=rng.uniform(0.4, 1.3),
            arch_density=rng.uniform(0.45, 1.0),
        )


@dataclass(frozen=True, slots=True, eq=False)
class VertebraShape:
    """What is particular to one vertebra, whichever way it is turned. Shares of the body's depth or height.

    sinks, waists: of the upper and lower endplate, of the front and back wall. lips: osteophytes at the four corners.
    arch: factors of the arch's parts. nodes: pits in the endplates (p, q, depth, radius, 1 for the upper one).
    """

    width: float
    waists: tuple[float, float]
    sinks: tuple[float, float]
    sink_back: float
    side_rise: tuple[float, float]
    rim: float
    notch: float
    square: float
    wave: tuple[float, float, float, float]
    lips: tuple[float, float, float, float]
    nodes: tuple[tuple[float, float, float, float, float], ...]
    arch: FloatArray = field(repr=False)
    arch_offset: float = 0.0

    @classmethod
    def draw(cls, rng: np.random.Generator, name: str, findings: tuple[Finding, ...]) -> VertebraShape:
        """A vertebra of the patient with these findings."""
        kinds = {finding.kind for finding in findings}
        own = [finding for finding in findings if finding.at == name]
        more_sink = sum(finding.sink for finding in own)
        rough = rng.uniform(0.008, 0.03) if "irregular endplates" in kinds else rng.uniform(0.0, 0.006)
        lip_chance, lip_size = (0.45, 0.22) if "osteophytes" in kinds else (0.06, 0.10)
        lips = [
            rng.uniform(0.03, lip_size) if rng.random() < lip_chance * share else 0.0 for share in (1, 0.35, 1, 0.35)
        ]
        nodes = [
            (
                rng.uniform(-0.5, 0.3),
                rng.uniform(-0.5, 0.5),
                rng.uniform(0.08, 0.22),
                rng.uniform(0.12, 0.3),
                float(upper),
            )
            for finding in own
            if finding.kind == "Schmorl node"
            for upper in [rng.random() < 0.5]
        ]
        deep = rng.uniform(0.0, 0.09) * (rng.random() < 0.4)
        return cls(
            width=rng.normal({"L5": 1.42, "L4": 1.35}.get(name, 1.30), 0.08),
            waists=(rng.uniform(0.03, 0.16), rng.uniform(0.0, 0.09)),
            sinks=(rng.uniform(0.01, 0.07) + deep + more_sink, rng.uniform(0.02, 0.09) + deep + more_sink),
            sink_back=rng.uniform(0.0, 0.6),
            side_rise=(rng.normal(0.01, 0.02), rng.normal(0.0, 0.02)),
            rim=rng.uniform(0.01, 0.06),
            notch=rng.uniform(0.02, 0.12),
            square=rng.uniform(0.45, 0.8),
            wave=(rough, rng.uniform(2, 7), rng.uniform(0, 6.3), rng.uniform(0, 6.3)),
            lips=(lips[0], lips[1], lips[2], lips[3]),
            nodes=tuple(nodes),
            arch=rng.normal(1.0, 0.10, 14).clip(0.7, 1.3),
            arch_offset=sum(finding.slip for finding in own if finding.arch_stays),
        )


def body(
    corners: FloatArray, shape: VertebraShape, bone: BoneQuality, plates: tuple[float, float] = (1.0, 1.0)
) -> list[Solid]:
    """The body around corners (4, 2), in the order of `anatomy.Corner`: cortex and spongy bone.

    plates: shares of the usual thickness of the lower and the upper endplate; fused bodies have next to none between them.
    """
    height = float(np.linalg.norm((corners[0] + corners[1] - corners[2] - corners[3]) / 2))
    depth = float(np.linalg.norm(corners[2] - corners[3]))
    lower, upper = (max(share * bone.endplate_mm, 0.02) / height for share in plates)
    outer, inner = _surfaces(corners, depth, height, shape, 2 * bone.wall_mm / depth, lower, upper)
    return shell(loft(outer, 1.0), loft(inner, 1.0), bone.cortical, bone.spongy)


def clicked(edges: FloatArray, bone: BoneQuality) -> FloatArray:
    """Where the corners (4 or 2, 2) of a body, or of S1, around `edges` are marked, in mm: where the middle of the endplate's line meets the wall's contour.

    That is half the endplate's thickness inside the bone: 0.4 mm, or 0.011 of a body 36 mm deep, under a superior endplate of 0.8 mm. Marked so, discs are as high, to
    0.01 of L3's depth on average, as readers' points have them on 45 films of BUU-LSPINE. Osteophytes and the rounding of the rim are passed over, as readers do.
    """
    points = edges.copy()
    for plate, inwards in ((points[:2], -1.0), (points[2:], 1.0))[: len(edges) // 2]:
        forward = unit(plate[0] - plate[1])
        plate += inwards * bone.endplate_mm / 2 * np.array([-forward[1], forward[0]])
    return points


def _surfaces(
    corners: FloatArray, depth: float, height: float, shape: VertebraShape, wall: float, lower: float, upper: float
) -> FloatArray:
    """Rings (2, K, n, 3) from below upwards: the outer surface, and one inside it by `wall` (of half depth), `lower` and `upper` (of height)."""
    inside = np.array([0.0, 1.0])[:, None, None]
    angle = np.linspace(0, 2 * np.pi, AROUND, endpoint=False)
    p = np.cos(angle)
    p = np.where(p > 0, np.abs(p) ** 0.9, -(np.abs(p) ** shape.square))
    q = np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.85
    p = np.where(p < 0, p + shape.notch * np.exp(-((q / 0.38) ** 2)) * (p < -0.3), p)
    p = np.where(p < 0, p / -p.min(), p)  # what stands out furthest behind is what is seen, and clicked
    plates, walls = len(_ENDPLATE_RADII), len(_WALL_HEIGHTS)
    radius = np.array([*_ENDPLATE_RADII, 1 - shape.rim, *[1.0] * walls, 1 - shape.rim, *_ENDPLATE_RADII[::-1]])[:, None]
    level = np.array([0.0] * (plates + 1) + list(_WALL_HEIGHTS) + [1.0] * (plates + 1))[:, None]
    bevel = shape.rim * depth / (2 * height)  # as high as it is deep
    level = np.where((level > 0) & (level < 1), bevel + (level - 0.05) / 0.9 * (1 - 2 * bevel), level)
    waist = 1 - np.abs(2 * level - 1) ** 2.5
    pinch = np.where(p > 0, shape.waists[0], shape.waists[1]) * waist
    sides = 1 - 0.5 * (shape.waists[0] + shape.waists[1]) * waist
    beyond = np.zeros_like(level * p)
    for lip, (at_p, at_level) in zip(shape.lips, ((1, 1), (-1, 1), (1, 0), (-1, 0)), strict=True):
        if not lip:
            continue
        toward = np.exp(-((((angle if at_p > 0 else angle - np.pi) + np.pi) % (2 * np.pi) - np.pi) ** 2) / 0.35)
        beyond = beyond + 2 * lip * toward * np.exp(-((np.abs(level - at_level) / 0.12) ** 2)) * (radius > 0.9)
    pp = p * radius * (1 - pinch) * (1 - wall * inside) + np.where(p > 0, beyond, -beyond) * (np.abs(p) > 0.05)
    qq = q * radius * sides * (1 - wall * inside)
    dent = np.clip(1 - (radius / 0.88) ** 2, 0, None) * (1 - shape.sink_back * p * radius)
    rough, often, phase_p, phase_q = shape.wave
    grain = rough * np.sin(often * pp + phase_p) * np.cos(often * qq + phase_q)
    bottom = (shape.sinks[1] * dent + grain) * (level == 0) - shape.side_rise[1] * qq**2 * (1 - level)
    top = (shape.sinks[0] * dent + grain) * (level == 1) - shape.side_rise[0] * qq**2 * level
    for node_p, node_q, deep, wide, above in shape.nodes:
        pit = deep * np.exp(-((pp - node_p) ** 2 + (qq - node_q) ** 2) / wide**2)
        bottom, top = bottom + pit * (level == 0) * (1 - above), top + pit * (level == 1) * above
    h = lower * inside + level * (1 - (lower + upper) * inside) + bottom - top
    share = ((pp + 1) / 2)[..., None]
    sa, sp, ia, ip = corners
    under, over = ip + share * (ia - ip), sp + share * (sa - sp)
    flat = under + h[..., None] * (over - under)
    return np.concatenate([flat, (qq * shape.width * depth / 2)[..., None]], axis=-1)


def arch(
    corners: FloatArray, shape: VertebraShape, bone: BoneQuality, thoracic: float, lumbosacral: float
) -> list[Solid]:
    """Pedicles, articular and transverse processes, laminae and spinous process behind corners (4, 2).

    thoracic: from 0 (lumbar) to 1 (mid-thoracic: long, steep spinous processes). lumbosacral: 1 for L5, whose pedicles are wide.
    """
    _, sp, ia, ip = corners
    depth = float(np.linalg.norm(ia - ip))
    up = unit(sp - ip)
    forward = np.array([up[1], -up[0]])
    tall = float(np.linalg.norm(sp - ip)) / depth
    f = shape.arch
    spread = (0.33 + 0.10 * lumbosacral - 0.05 * thoracic) * f[0]

    def part(
        path: list[tuple[float, float, float]],
        size: tuple[float | FloatArray, float],
        across: tuple[float, float, float],
        share: float = 1.0,
    ) -> list[Solid]:
        radii, own, points = np.empty((len(path), 2)), np.array(path), np.empty((len(path), 3))
        radii[:, 0], radii[:, 1] = size
        points[:, :2] = ip + (own[:, :1] * forward + own[:, 1:2] * up) * depth
        points[:, 2] = own[:, 2] * depth
        dense, spongy = (share * bone.arch_density * d for d in (bone.cortical, bone.spongy))
        return bone_tube(points, radii * depth, bone.arch_mm, dense, spongy, across)

    made: list[Solid] = []
    level = tall * 0.70
    back = -0.29 * f[1]
    # Where the pars has given way the rear part stays behind while the body slips forward.
    rear = -shape.arch_offset * 0.9
    reach = 0.80 * (1 - 0.45 * thoracic) * f[10]
    below = (1 - 0.27 * lumbosacral) * f[7]
    for side in (-1.0, 1.0):
        z = side * spread
        pedicle = [(0.05, level + 0.02, z), (back / 2, level - 0.01, z), (back, level - 0.02, z)]
        made += part(pedicle, (np.array([0.24, 0.19, 0.20]) * f[2], (0.11 + 0.07 * lumbosacral) * f[3]), (0, 0, 1))
        knob = [
            (back, level - 0.12, z),
            (back - 0.08, level + 0.14, z * 1.15),
            (back - 0.17, level + 0.26 * f[5], z * 1.2),
        ]
        made += part(knob, (np.array([0.12, 0.15, 0.17]) * f[4], 0.13 * f[6]), (0, 0, 1))
        pars = [
            (back - 0.05 + rear, level - 0.06, z),
            (back - 0.12 + rear, level - 0.38 * below, z),
            (back - 0.08 + rear, level - 0.90 * below, z * 0.95),
        ]
        made += part(pars, (np.array([0.13, 0.12, 0.13]) * f[8], 0.14), (0, 0, 1))
        lamina = [(back - 0.10 + rear, level - 0.38, z * 0.9), (back - 0.34 + rear, level - 0.45, side * 0.04)]
        made += part(lamina, (0.08, 0.26 * f[9]), (0, 1, 0))
        outer = (back - 0.22 * f[4], level + 0.10, side * (spread + reach * 0.9))
        made += part(
            [(back + 0.08, level - 0.02, z * 1.1), (back - 0.04, level, z * 1.8), outer], (0.12, 0.06), (1, 0, 0), 0.6
        )
    drop = (0.10 + 0.75 * thoracic) * f[11]
    tip = (-1.15 - 0.1 * thoracic + 0.10 * lumbosacral) * f[12]
    spinous = [
        (back - 0.22 + rear, level - 0.40, 0.0),
        ((back + tip) / 2 - 0.1 + rear, level - 0.46 - drop / 2, 0.0),
        (tip + rear, level - 0.50 - drop, 0.0),
    ]
    made += part(spinous, (np.array([0.24, 0.28, 0.25]) * (1 - 0.4 * thoracic) * f[13], 0.10), (0, 0, 1))
    return made
