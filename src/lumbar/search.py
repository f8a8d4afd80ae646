"""The search for a lumbar spine on one film that is taken to face one way: a box, bodies around it, and what close-ups make of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import Side
from lumbar.calibration import WITH_CORNERS, WITHOUT_CLOSE_UPS, WITHOUT_CORNERS, Calibration
from lumbar.crop import cut, network_input, standardised
from lumbar.geometry import Affine2D, FloatArray, letterbox
from lumbar.landmarks import SpineLandmarks
from lumbar.landmarks.close_up import CloseUp, cut_close_up, decode, place_in
from lumbar.landmarks.consensus import Consensus, ErrorModel, agree, named_landmarks
from lumbar.landmarks.corner_view import cut_corners
from lumbar.landmarks.decoding import NO_CANDIDATES, Candidates, find_level_candidates, name_by_level
from lumbar.landmarks.same_names import NO_NAMES, Names
from lumbar.landmarks.second_look import look_closer, look_there
from lumbar.landmarks.spine import endplate_depth
from lumbar.landmarks.third_look import look_at_corners
from lumbar.localisation.decoding import best_box
from lumbar.radiograph import Radiograph
from lumbar.windows import Window, boxes_like, upright_frame, whole_film, window_around

Network = Callable[[NDArray[np.float32]], tuple[NDArray[Any], ...]]

FILLS = (0.45, 0.55, 0.65, 0.75, 0.85)
"""Shares of a window's height that the spine takes: wide windows name, narrow ones place."""

FIRST_FILLS = (0.65,)
"""Those that a film is looked at through at first. Where the close-ups then leave no doubt of the names, the others would change nothing:
on lumbar-bench-1's validation films the corners come out alike, from a fifth of the landmark network's work."""

LEAST_CORNERS = 8
"""Fewer corners are no lumbar spine."""

_NEXT_NAME = 0.4  # landmarks that are further apart than so many endplate depths are those of two vertebrae

SURE = 0.5
"""Landmarks whose mean confidence is below this are looked for again around other boxes, and do not overrule the localiser's facing."""


@dataclass(frozen=True, slots=True)
class Networks:
    """One localiser, one landmark network, one that looks at each body again, and one that looks at each corner.

    localiser: a batch (B, 3, S, S) -> (B, 4 + 2, N) boxes in input pixels with a score for each side the anterior may be on; S is `localiser_size`.
    landmarks: a batch (B, 3, H, W) of crops that face left -> heatmap, centre offset, corner offset; (H, W) is `crop_size`.
    close_up: a batch (B, 2, 128, 128) of close-ups -> corner maps and kinds; None reads with the paper's two stages alone.
    corner: a batch (B, 22, 4, 64, 64) of the corners of films -> a map each; None leaves corners where the close-ups place them.
    Raises ValueError for a corner network without a close-up's.
    """

    localiser: Network
    landmarks: Network
    localiser_size: int
    crop_size: tuple[int, int]
    close_up: Network | None = None
    corner: Network | None = None

    def __post_init__(self) -> None:
        if self.close_up is None and self.corner is not None:
            raise ValueError("corner must have a close_up beside it, which says where corners are; got none")

    @property
    def calibration(self) -> Calibration:
        """What was measured for the networks that ship, as many of them as are here."""
        if self.close_up is None:
            return WITHOUT_CLOSE_UPS
        return WITHOUT_CORNERS if self.corner is None else WITH_CORNERS


@dataclass(frozen=True, slots=True, eq=False)
class Located:
    """What the localiser says of a film: its raw outputs (6, N) for the film as it is and for its mirror image, in pixels of its own square input."""

    radiograph: Radiograph
    size: int
    outputs: tuple[NDArray[Any], NDArray[Any]]

    @classmethod
    def on(cls, radiograph: Radiograph, networks: Networks) -> Located:
        """The localiser asked both ways at once."""
        size = networks.localiser_size
        upright = upright_frame(radiograph, Side.LEFT)
        view = letterbox(whole_film(radiograph, upright), size, size, "upright", "crop")
        crop = standardised(*cut(radiograph.pixels, upright.then(view), size, size))
        (outputs,) = networks.localiser(network_input([crop, crop[:, ::-1]]))
        return cls(radiograph, size, (outputs[0], outputs[1]))

    def facing(self) -> tuple[Side, float]:
        """Which side the anterior seems to be on, and by how much: a side's score is the mean of what the film and its mirror image say."""
        as_it_is, as_mirrored = (output[4:].max(axis=1) for output in self.outputs)
        left, right = float(as_it_is[0] + as_mirrored[1]) / 2, float(as_it_is[1] + as_mirrored[0]) / 2
        return (Side.LEFT, left - right) if left >= right else (Side.RIGHT, right - left)

    def box(self, anterior: Side) -> tuple[FloatArray, float]:
        """The lumbosacral area (x0, y0, x1, y1) in the upright frame of the film facing so, and its score."""
        window = whole_film(self.radiograph, upright_frame(self.radiograph, anterior))
        view = letterbox(window, self.size, self.size, "upright", "crop")
        edges, score, _ = best_box(self.outputs[int(anterior is Side.RIGHT)])
        return view.inverse.apply(edges.reshape(2, 2)).ravel(), float(score)


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What is seen on a film that is taken to face one way, before any body has a name.

    upright: film pixels -> the frame of `consensus`. consensus: None where there is no lumbar spine. named (6,): index of each
    level's candidate as this film alone has it, -1 for none. box_score: the localiser's. surety: the mean confidence of the landmarks.
    told: candidates that were looked for where the study's other films tell that a body lies. doubts: what to doubt about the film as a whole.
    """

    anterior: Side
    upright: Affine2D
    consensus: Consensus | None
    named: Names
    box_score: float
    surety: float = 0.0
    told: frozenset[int] = frozenset()
    doubts: tuple[str, ...] = ()

    @property
    def candidates(self) -> Candidates:
        """Bodies that may be one of the six; none where there is no lumbar spine."""
        return NO_CANDIDATES if self.consensus is None else self.consensus.candidates


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """Bodies, the names that suit them best, and the landmarks that follow."""

    consensus: Consensus
    named: Names
    landmarks: SpineLandmarks

    @classmethod
    def of(cls, consensus: Consensus, errors: ErrorModel) -> _Found:
        named = name_by_level(consensus.candidates)
        return cls(consensus, named, named_landmarks(consensus, errors, named))

    @property
    def surety(self) -> float:
        return float(self.landmarks.confidence.mean())

    def named_like(self, other: _Found) -> bool:
        """Whether both call the same bodies by the same names: most landmarks of the one lie at those of the other."""
        points, others = self.landmarks.points_px, other.landmarks.points_px
        apart = np.linalg.norm(points - others, axis=1)
        return bool(np.isfinite(apart).any() and np.nanmedian(apart) < _NEXT_NAME * endplate_depth(points))

    @property
    def is_spine(self) -> bool:
        return bool(self.landmarks.present.sum() >= LEAST_CORNERS)


@dataclass(frozen=True, eq=False)
class Search:
    """The networks, looking at one film that is taken to have its anterior on this side."""

    networks: Networks
    calibration: Calibration
    radiograph: Radiograph
    anterior: Side

    @cached_property
    def upright(self) -> Affine2D:
        """Film pixels -> square pixels with the anterior on the left."""
        return upright_frame(self.radiograph, self.anterior)

    def sight(self, located: Located, doubt: float) -> Sight:
        """The bodies on the film.

        doubt: where the first look is less sure, they are looked for thoroughly; 0: by the first look alone.
        """
        box, score = located.box(self.anterior)
        nothing = Sight(self.anterior, self.upright, None, NO_NAMES, score)
        if score < self.calibration.least_box_score:
            return nothing
        found = self._first_look(box)
        if doubt and (found is None or found.surety < doubt):
            thorough = self._thorough_look(box)
            found = thorough if found is None else self._chosen(found, thorough)
        if found is None or found.surety < self.calibration.least_confidence or not found.is_spine:
            return nothing
        return Sight(self.anterior, self.upright, found.consensus, found.named, score, found.surety)

    def _chosen(self, first: _Found, thorough: _Found) -> _Found:
        """The surer of two looks; the first where it leaves little doubt of itself and the other calls the same bodies by the same names."""
        if first.surety >= self.calibration.unsure and first.named_like(thorough):
            return first
        return max(first, thorough, key=lambda each: each.surety)

    def guided(self, sight: Sight, places: Mapping[int, FloatArray], named: Names) -> Sight:
        """`sight` and, beside its own bodies, those that close-ups show at `places`: level -> corners (4, 2) in the upright frame.

        named (6,): what its own bodies are called for now. The same without a close-up network.
        """
        if sight.consensus is None or self.networks.close_up is None:
            return sight
        consensus, moved = look_there(sight.consensus, places, named, self._close_ups)
        told = frozenset(range(len(consensus.candidates))) - frozenset(moved.tolist())
        own = np.where(sight.named >= 0, moved[sight.named], -1)
        return replace(sight, consensus=consensus, named=own, told=told)

    def sharpened(self, consensus: Consensus, named: Names) -> Consensus:
        """The corners of named bodies as views of each alone show them; the same where there is no network for that."""
        network = self.networks.corner
        if network is None:
            return consensus

        def look(views: Mapping[int, Affine2D]) -> dict[int, tuple[FloatArray, FloatArray]]:
            on_film = {landmark: self.upright.then(view) for landmark, view in views.items()}
            (maps,) = network(cut_corners(self.radiograph.pixels, on_film)[None])
            return {landmark: place_in(maps[0, landmark]) for landmark in views}

        return look_at_corners(consensus, named, look)

    def _first_look(self, box: FloatArray) -> _Found | None:
        """What few windows and the close-ups show; None where that leaves a corner without an error bar, as it does without close-ups."""
        if self.networks.close_up is None:
            return None
        found = self._closer(self._placed(box, FIRST_FILLS))
        return found if np.isfinite(found.landmarks.covariance_px[found.landmarks.present]).all() else None

    def _thorough_look(self, box: FloatArray) -> _Found:
        """What all windows and the close-ups show; around other boxes, too, if need be."""
        found = self._closer(self._placed(box, FILLS))
        # The box may be too long, too short, or off by some levels: the surest of several answers it. The close-ups have to say
        # which that is, since the windows alone are as sure of wrong names.
        fills = FILLS if self.networks.close_up is None else FIRST_FILLS
        for other in boxes_like(box):
            if found.surety >= SURE:
                break
            again = self._closer(self._placed(other, fills))
            found = max(found, again, key=lambda each: each.surety)
        return found

    def _placed(self, box: FloatArray, fills: Sequence[float]) -> _Found:
        """Bodies found in windows around `box`, then again in windows around those with a name."""
        found = self._named(self._look(box, fills))
        if not found.is_spine:
            return found
        points = found.landmarks.points_px[found.landmarks.present]
        around = np.concatenate([points.min(axis=0), points.max(axis=0)])
        return self._named(self._look(around, fills))

    def _closer(self, found: _Found) -> _Found:
        """What close-ups make of it; the same where there are none."""
        return found if self.networks.close_up is None else self._named(look_closer(found.consensus, self._close_ups))

    def _named(self, consensus: Consensus) -> _Found:
        return _Found.of(consensus, self.calibration.errors)

    def _look(self, spine: FloatArray, fills: Sequence[float]) -> Consensus:
        """Candidates agreed on by windows of several sizes around `spine` (x0, y0, x1, y1)."""
        height, width = self.networks.crop_size
        windows = [window_around(spine, fill, height / width) for fill in fills]
        views = [letterbox(window, height, width, "upright", "crop") for window in windows]
        pixels = self.radiograph.pixels
        crops = [standardised(*cut(pixels, self.upright.then(view), height, width)) for view in views]
        maps = self.networks.landmarks(network_input(crops))
        looks: list[tuple[Candidates, Window]] = []
        for i, (view, window) in enumerate(zip(views, windows, strict=True)):
            found = find_level_candidates(tuple(m[i] for m in maps))
            looks.append((found.mapped(view.inverse), window))
        return agree(looks)

    def _close_ups(self, views: Sequence[Affine2D]) -> list[CloseUp]:
        """Bodies of the film as seen through views from the upright frame."""
        assert self.networks.close_up is not None
        close_ups = [cut_close_up(self.radiograph.pixels, self.upright.then(view)) for view in views]
        maps, kinds = self.networks.close_up(np.stack(close_ups))
        return [decode(of_body, kind) for of_body, kind in zip(maps, kinds, strict=True)]
