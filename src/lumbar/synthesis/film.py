"""From a spine to a film: who the patient is, how the patient stands in the beam, the exposure, the console, the film's fate.

`simulate_film(seed, index)` depends on its arguments alone. Everything is drawn with the anterior on the left; a film that
faces right is mirrored at the end, points and all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

import cv2
import numpy as np

from lumbar.anatomy import Posture, Side
from lumbar.geometry import FloatArray
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.localisation import LumbosacralBox
from lumbar.radiograph import PixelSpacing, Radiograph
from lumbar.synthesis import artefacts, hardware
from lumbar.synthesis.beam import Beam, path_lengths
from lumbar.synthesis.console import Console
from lumbar.synthesis.engine import NUMPY, Array, Engine
from lumbar.synthesis.exposure import FloatImage, Technique, detect
from lumbar.synthesis.findings import Finding, slip_of_worn_disc, slip_on_squared_s1, worn_levels
from lumbar.synthesis.framing import ASKEW, Framing, draw_framing
from lumbar.synthesis.skeleton import Skeleton, arm
from lumbar.synthesis.solids import Solid
from lumbar.synthesis.spine import CoronalCurve, Spine, draw_bend, draw_spine, with_slip
from lumbar.synthesis.trunk import TrunkShape, calcified_aorta, draw_gas, vacuum_disc


class Part(StrEnum):
    """What a film can be simulated without, to see what it is good for."""

    PROCESSING = "processing"
    SOFT_TISSUE = "soft tissue"
    POSTERIOR_ELEMENTS = "posterior elements"
    DOUBLE_CONTOURS = "double contours"
    PATHOLOGY = "pathology"


Parts = frozenset[Part]
NOTHING: Parts = frozenset()

PHOTOGRAPHS = 0.06
"""Share of single films that are photographs of a light box."""


@dataclass(frozen=True, slots=True, eq=False)
class Patient:
    """Everything of one patient that does not change from film to film."""

    spine: Spine
    skeleton: Skeleton
    trunk: TrunkShape
    console: Console
    texture: float
    seed: int

    @classmethod
    def draw(cls, rng: np.random.Generator, without: Parts = NOTHING) -> Patient:
        """A patient, and the console of the place where all of the patient's films are taken."""
        spine = draw_spine(rng, healthy=Part.PATHOLOGY in without)
        if Part.DOUBLE_CONTOURS in without:
            spine = replace(spine, curve=CoronalCurve(0.0, 100.0, 60.0, 0.0))
        console = Console.draw(rng)
        return cls(
            spine,
            Skeleton.draw(rng, spine),
            TrunkShape.draw(rng),
            Console.plain() if Part.PROCESSING in without else console,
            rng.uniform(0.0, 0.30),
            int(rng.integers(2**31)),
        )

    def with_squared_s1(self, rng: np.random.Generator) -> Patient:
        """The same patient, whose S1 looks like a lumbar vertebra above a disc of its own; in three of five L5 slips forward on it.

        A disc is left between S1 and S2 in 39 % of pelvises (Nayak, J Can Chiropr Assoc 2016; 60: 182). Names do not change: L5/S1 is above S1 as before.
        """
        spine = self.spine
        if rng.random() < 0.6:
            spine = with_slip(spine, slip_on_squared_s1(rng))
        isthmic = sum(finding.slip for finding in spine.findings if finding.at == "L5" and finding.arch_stays)
        spine = replace(spine, findings=(*spine.findings, Finding("squared S1")))
        return replace(self, spine=spine, skeleton=self.skeleton.with_squared_s1(rng, isthmic))

    def with_spondylosis(self, rng: np.random.Generator) -> Patient:
        """The same patient with worn levels (`WornLevel`); of spines without a slip half get a degenerative one."""
        spine = self.spine
        if not any(finding.slip for finding in spine.findings) and rng.random() < 0.5:
            spine = with_slip(spine, slip_of_worn_disc(rng))
        levels = worn_levels(rng, spine.findings)
        spine = replace(spine, findings=(*spine.findings, *(Finding("spondylosis", name) for name in levels)))
        return replace(self, spine=spine, skeleton=self.skeleton.with_spondylosis(rng, levels))


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedFilm:
    """A film facing left with its truth, and how it came about. Landmarks off the film are NaN; a photograph has no spacing.

    flat_mm: the landmarks (22, 2) in mm in each vertebra's own median plane, before any coronal curve.
    """

    annotated: AnnotatedFilm
    spine: Spine
    flat_mm: FloatArray
    beam: Beam
    posture: Posture
    photographed: bool

    @property
    def box(self) -> LumbosacralBox:
        """Around those corners of L1 to S1 that are on the film."""
        points = self.annotated.landmarks_px
        (x0, y0), (x1, y1) = np.nanmin(points, axis=0).tolist(), np.nanmax(points, axis=0).tolist()
        return LumbosacralBox(x0, y0, x1, y1, 1.0)


def simulate_film(
    seed: int, index: int, height: int = 768, engine: Engine = NUMPY, without: Parts = NOTHING
) -> AnnotatedFilm:
    """Film number `index` of the set `seed`, `height` pixels high, facing left or right, with its truth."""
    film = simulate(seed, index, height, engine, without).annotated
    return film.mirrored() if np.random.default_rng([seed, index, 1]).random() < 0.5 else film


def simulate(
    seed: int,
    index: int,
    height: int = 768,
    engine: Engine = NUMPY,
    without: Parts = NOTHING,
    photographs: float = PHOTOGRAPHS,
    squared_s1: float = 0.0,
    askew: float = ASKEW,
    spondylosis: float = 0.0,
) -> SimulatedFilm:
    """The same film facing left, with all that is known about it.

    photographs, squared_s1, askew, spondylosis: the shares that are photographed, whose patients have a squared S1, whose patients stand badly, and whose
    patients have worn levels.
    """
    rng, own = np.random.default_rng([seed, index]), np.random.default_rng([seed, index, 4])
    wear = np.random.default_rng([seed, index, 5])
    patient = Patient.draw(rng, without)
    if own.random() < squared_s1:
        patient = patient.with_squared_s1(own)
    if wear.random() < spondylosis:
        patient = patient.with_spondylosis(wear)
    posture = Posture.NEUTRAL
    if rng.random() < 0.35:
        posture = Posture(rng.choice(["flexion", "extension"]))
    spine = patient.spine if posture is Posture.NEUTRAL else draw_bend(rng, patient.spine)[posture]
    framing = draw_framing(rng, spine, height, askew=askew)
    if Part.DOUBLE_CONTOURS in without:
        framing = replace(framing, beam=framing.beam.from_afar())
    return expose(patient, spine, posture, framing, rng, engine, without, photographs)


def simulate_study(seed: int, index: int, height: int = 1024, engine: Engine = NUMPY) -> dict[Posture, SimulatedFilm]:
    """The same patient in flexion, neutral and extension, facing left, repositioned before each exposure."""
    rng = np.random.default_rng([seed, index, 3])
    patient = Patient.draw(rng)
    return {
        posture: expose(
            patient, spine, posture, draw_framing(rng, spine, height, usual=True), rng, engine, photographs=0.0
        )
        for posture, spine in draw_bend(rng, patient.spine).items()
    }


def expose(
    patient: Patient,
    spine: Spine,
    posture: Posture,
    framing: Framing,
    rng: np.random.Generator,
    engine: Engine,
    without: Parts = NOTHING,
    photographs: float = 0.0,
) -> SimulatedFilm:
    """One exposure of `patient`, bent as `spine` is, with anterior on the left."""
    beam, height, width = framing.beam, framing.height, framing.width
    own = np.random.default_rng(patient.seed)
    bone = path_lengths(_bones(patient, spine, framing, own, without), beam, height, width, engine)
    metal_solids = _metal(spine, own)
    metal = path_lengths(metal_solids, beam, height, width, engine) if metal_solids else None
    water = _tissue(patient, spine, framing, rng, engine, without)
    grains = rng.standard_normal((2, height, width), dtype=np.float32)
    bone = bone * (
        1 + patient.texture * engine.blurred(engine.array(grains[1]), 0.8 / beam.pixel_mm) * (1.6 / beam.pixel_mm)
    )
    technique = Technique.usual() if Part.PROCESSING in without else Technique.draw(rng)
    flat = patient.skeleton.landmarks(spine)
    points = beam.project(spine.curved(flat))
    log_signal = detect(
        water,
        engine.xp.clip(bone, 0, None),
        metal,
        beam.pixel_mm,
        _chamber(beam.project(spine.curved(spine.edges())), height, width),
        technique,
        _grain(grains[0], rng),
        engine,
    )
    pixels = patient.console.apply(engine.numpy(log_signal))
    if Part.PROCESSING not in without:
        pixels = artefacts.marked(pixels, posture, rng)
    photo = bool(rng.random() < photographs) and Part.PROCESSING not in without
    if photo:
        pixels, points = artefacts.photographed(pixels, points, rng)
    outside = np.any((points < -0.5) | (points > np.array([width, height]) - 0.5), axis=1)
    spacing = PixelSpacing(beam.pixel_mm, beam.pixel_mm, "simulated, plane of the spine", "patient")
    radiograph = Radiograph(pixels, None if photo else spacing, Side.LEFT, posture)
    film = AnnotatedFilm(radiograph, np.where(np.reshape(outside, (-1, 1)), np.nan, points))
    return SimulatedFilm(film, spine, flat, beam, posture, photo)


def _chamber(points: FloatArray, height: int, width: int) -> tuple[slice, slice]:
    """Where the exposure is measured: the rows and columns of the film from L2 to L4."""
    low, high = np.clip(points[4:16].min(axis=0), 0, None), points[4:16].max(axis=0)
    x0, y0 = int(min(low[0], width - 8)), int(min(low[1], height - 8))
    return slice(y0, max(y0 + 8, int(high[1]))), slice(x0, max(x0 + 8, int(high[0])))


def _grain(grain: FloatImage, rng: np.random.Generator) -> FloatImage:
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.5, 1.0)) * 1.8, np.float32)
    return grain


def _bones(patient: Patient, spine: Spine, framing: Framing, rng: np.random.Generator, without: Parts) -> list[Solid]:
    # A rib comes down from its vertebra by as much as 120 mm.
    beyond = 130 / framing.beam.pixel_mm
    middles = {name: framing.beam.project(np.array([*c.mean(axis=0), 0.0])) for name, c in spine.corners().items()}
    seen = frozenset(name for name, (_, y) in middles.items() if -beyond < y < framing.height + beyond / 2)
    made = patient.skeleton.solids(spine, seen, arches=Part.POSTERIOR_ELEMENTS not in without)
    for finding in spine.findings:
        if finding.kind == "cement":
            made += hardware.cement(spine, finding.at, rng)
        elif finding.kind == "aortic calcification":
            made += calcified_aorta(spine, rng)
    return made


def _metal(spine: Spine, rng: np.random.Generator) -> list[Solid]:
    made: list[Solid] = []
    for finding in spine.findings:
        if finding.kind == "screws and rods":
            made += hardware.screws_and_rods(spine, finding.at, rng)
        elif finding.kind == "cage":
            made += hardware.cage(spine, finding.at, rng)
    return made


def _tissue(
    patient: Patient, spine: Spine, framing: Framing, rng: np.random.Generator, engine: Engine, without: Parts
) -> Array:
    """All soft tissue less all gas, in mm of water (H, W): the smooth parts are projected at a quarter of the film's pixels."""
    height, width = framing.height, framing.width
    if Part.SOFT_TISSUE in without:
        return engine.array(np.full((height, width), 280.0, np.float32))
    smooth = patient.trunk.flesh(spine)
    lungs = patient.trunk.lungs_of(spine)
    bones_of_arm: list[Solid] = []
    if rng.random() < 0.15:
        bones_of_arm, flesh = arm(spine, rng)
        smooth += flesh
    rows, columns = -(-height // 4), -(-width // 4)
    coarse = path_lengths(smooth + lungs, framing.beam.smaller(4), rows, columns, engine)
    coarse = engine.resized(coarse, rows * 4, columns * 4)[:height, :width]
    sharp = draw_gas(rng, spine, patient.trunk) + patient.trunk.waistband(spine)
    sharp += [solid.with_density(2.0 * solid.density) for solid in bones_of_arm]  # cortical bone as water
    for finding in spine.findings:
        if finding.kind == "vacuum disc":
            sharp += vacuum_disc(spine, finding.at, rng)
    fine = path_lengths(sharp, framing.beam, height, width, engine)
    # Muscles, bowel walls and vessels that have no solid of their own.
    shape = (rows * 4, columns * 4)
    mottle = sum(
        strength * _texture(shape, size_mm / framing.beam.pixel_mm, rng)[:height, :width]
        for strength, size_mm in ((rng.uniform(1, 14), 60.0), (rng.uniform(0.5, 4), 14.0))
    )
    inside = engine.xp.clip(coarse / 150.0, 0.0, 1.0)
    return engine.xp.clip(coarse + fine + engine.array(np.asarray(mottle, np.float32)) * inside, 0.0, None)


def _texture(shape: tuple[int, int], scale_px: float, rng: np.random.Generator) -> FloatImage:
    """Smooth noise of unit deviation that varies over about `scale_px`."""
    height, width = shape
    cells = (max(2, int(height / scale_px) + 2), max(2, int(width / scale_px) + 2))
    coarse = rng.standard_normal(cells, dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
