"""The whole story: a film goes in, a reading comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lumbar.anatomy import Side, Vertebra
from lumbar.crop import cut, network_input, standardised
from lumbar.geometry import Affine2D, FloatArray, letterbox
from lumbar.landmarks import SpineLandmarks
from lumbar.landmarks.close_up import CloseUp, cut_close_up, decode, place_in
from lumbar.landmarks.consensus import Consensus, ErrorModel, agree, named_landmarks
from lumbar.landmarks.corner_view import cut_corners
from lumbar.landmarks.decoding import NO_CANDIDATES, Candidates, find_level_candidates, name_by_level
from lumbar.landmarks.same_names import Together, name_together, told_places
from lumbar.landmarks.second_look import Look, look_closer, look_there
from lumbar.landmarks.third_look import look_at_corners
from lumbar.localisation import LumbosacralBox
from lumbar.localisation.decoding import best_box
from lumbar.radiograph import Radiograph
from lumbar.reading import Reading
from lumbar.runtime import CLOSE_UP, CORNER, FOLDER, Weights, fitted_errors, network_at, sha256_of, weights_in
from lumbar.windows import Window, boxes_like, upright_frame, whole_film, window_around

Network = Callable[[NDArray[np.float32]], tuple[NDArray[Any], ...]]

FILLS = (0.45, 0.55, 0.65, 0.75, 0.85)
"""Shares of a window's height that the spine takes: wide windows name, narrow ones place."""

FIRST_FILLS = (0.65,)
"""Those that a film is looked at through at first. Where the close-ups then leave no doubt of the names, the others would change nothing:
on lumbar-bench-1's validation films the corners come out alike, from a fifth of the landmark network's work."""

CLEAR_FACING = 0.3
"""A film whose two facing scores differ by more says clearly which way it faces."""

SURE_FACING = 0.65
"""Landmarks with a larger mean confidence were not read the wrong way round: of 71 simulated films, the surest reached 0.62 so."""

LEAST_CORNERS = 8
"""Fewer corners are no lumbar spine either."""

SURE = 0.5
"""Landmarks whose mean confidence is below this are looked for again around other boxes, and do not overrule the localiser's facing."""

UPSIDE_DOWN = "the film looks as if it were upside down: turn it by 180 degrees"

CHECK_NAMES = "the networks are hardly sure which vertebra is which: check the names"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What scores, confidences and spreads are worth, which depends on the networks that they come from.

    least_box_score: a box scored below this is not looked into. least_confidence: landmarks whose mean confidence is below this are no
    lumbar spine. unsure: where it is below this, whoever reads is asked to check the names. errors: of the corners.
    """

    least_box_score: float
    least_confidence: float
    unsure: float
    errors: ErrorModel


WITHOUT_CORNERS = Calibration(
    least_box_score=0.04,  # it need only point at a place: what lies there shows in the close-ups
    least_confidence=0.3,  # refuses wrong names and little else; what a film without a spine reaches is in the model card
    unsure=0.4,  # lies in a gap of the validation films' confidences
    errors=ErrorModel(
        spread_share=0.403,
        least_deviation=0.006,
        wider={Vertebra.L2: 0.95, Vertebra.L3: 0.95, Vertebra.L4: 1.1, Vertebra.L5: 1.15, Vertebra.S1: 1.2},
    ),
)
"""Of localiser, landmarks and close-ups. Chosen on lumbar-bench-1's validation films, the errors by experiments/error_bars.py on other simulated
films, how much wider or narrower those of a vertebra are by simulated studies; see the model card."""

WITH_CORNERS = replace(
    WITHOUT_CORNERS,
    errors=ErrorModel(
        spread_share=0.539,
        least_deviation=0.0027,
        wider={Vertebra.L4: 1.2, Vertebra.L5: 1.35, Vertebra.S1: 1.3},
    ),
)
"""Of all four networks that ship; only the errors differ."""

WITHOUT_CLOSE_UPS = Calibration(
    least_box_score=0.15,
    least_confidence=0.35,
    unsure=0.35,  # no more than what is refused: nobody has measured where the paper's two stages alone are in doubt
    errors=ErrorModel(spread_share=0.664, least_deviation=0.0246),
)
"""Of the paper's two stages alone."""

RENAMED = "the vertebrae were named to agree with the other films of the study, not as this film alone suggests"

TOLD = "looked for where the other films of the study tell that it lies"

UNLIKE_OTHERS = "what is seen on the film does not have the shapes of the study's other films"

ALIKE = 1.0
"""A film of a study whose bodies are as much like those of its other films is read though alone it would be refused. Our own choice: of five
such films of 210 simulated studies the three named right exceeded it, at 1.6 and more, and the two named wrong did not, at 0.6 and less."""

_NO_NAMES = np.full(len(Vertebra), -1, dtype=np.intp)
_NOTHING = (np.full((22, 2), np.nan), np.full((22, 2, 2), np.nan), np.zeros(22))


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
    named: NDArray[np.intp]
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
    named: NDArray[np.intp]
    landmarks: SpineLandmarks

    @property
    def surety(self) -> float:
        return float(self.landmarks.confidence.mean())


class Reader:
    """Reads films with one localiser, one landmark network, one that looks at each body again, and one that looks at each corner.

    localiser: a batch (B, 3, S, S) -> (B, 4 + 2, N) boxes in input pixels with a score for each side the anterior may be on.
    landmarks: a batch (B, 3, H, W) of crops that face left -> heatmap, centre offset, corner offset.
    close_up: a batch (B, 2, 128, 128) of close-ups -> corner maps and kinds; None reads with the paper's two stages alone.
    corner: a batch (B, 22, 4, 64, 64) of the corners of films -> a map each; None leaves corners where the close-ups place them.
    sha256: of each network's weights, by stage. calibration: of what they say; it follows from whether there are close-ups. errors: of the
    corners, where they were fitted to somebody's own films; None: those of the calibration.
    Raises ValueError for a corner network without a close-up's.
    """

    def __init__(
        self,
        localiser: Network,
        landmarks: Network,
        localiser_size: int,
        crop_size: tuple[int, int],
        sha256: dict[str, str],
        close_up: Network | None = None,
        corner: Network | None = None,
        errors: ErrorModel | None = None,
    ) -> None:
        if close_up is None and corner is not None:
            raise ValueError("corner must have a close_up beside it, which says where corners are; got none")
        self._localiser, self._landmarks, self._close_up, self._corner = localiser, landmarks, close_up, corner
        self._localiser_size, self._crop_size, self.sha256 = localiser_size, crop_size, sha256
        usual = WITHOUT_CLOSE_UPS if close_up is None else WITHOUT_CORNERS if corner is None else WITH_CORNERS
        self.calibration = usual if errors is None else replace(usual, errors=errors)

    @classmethod
    def shipped(cls, threads: int | None = None, precision: str = "fp32", device: str = "cpu") -> Reader:
        """A reader with the weights that came with the package, at one of `runtime.PRECISIONS`, on one of `runtime.DEVICES`."""
        return cls.of(weights_in(FOLDER, precision), threads, device)

    @classmethod
    def of(cls, weights: Mapping[str, Weights], threads: int | None = None, device: str = "cpu") -> Reader:
        """A reader with the weights of each of `runtime.STAGES`; where the close-up's are missing, by the paper's two stages alone.

        Error bars that `lumbar calibrate` wrote beside them count instead of those that ship.
        """
        functions = {stage: network_at(each.path, threads, device) for stage, each in weights.items()}
        landmarks = weights["landmarks"]
        return cls(
            functions["localiser"],
            functions["landmarks"],
            weights["localiser"].height,
            (landmarks.height, landmarks.width),
            sha256_of(weights),
            functions.get(CLOSE_UP),
            functions.get(CORNER),
            fitted_errors(weights),
        )

    def read(self, radiograph: Radiograph, film: str = "film", facing_source: str = "given") -> Reading:
        """Everything that can be measured on the film; a film without a lumbar spine gives a reading without a box.

        facing_source: where `radiograph.anterior` came from, one of `reading.FACING_SOURCES`; where it is None, the facing is
        found from the film itself.
        """
        sight = self._sight_of(radiograph)
        return self._reading(radiograph, film, sight, sight.named, 0.0, facing_source)

    def read_together(
        self,
        radiographs: Sequence[Radiograph],
        films: Sequence[str],
        facing_source: str = "given",
        each: Callable[[Sequence[Radiograph]], Iterable[Radiograph]] = lambda radiographs: radiographs,
    ) -> list[Reading]:
        """Readings of several films of one patient, whose vertebrae bear the same names on all of them (`landmarks.same_names`).

        each: what goes through the films, such as a progress bar.
        """
        sights, together = self._seen_together(radiographs, [self._sight_of(film) for film in each(radiographs)])
        return [
            self._reading(*of_film, facing_source)
            for of_film in zip(radiographs, films, sights, together.named, together.alike, strict=True)
        ]

    def _reading(
        self,
        radiograph: Radiograph,
        film: str,
        sight: Sight,
        named: NDArray[np.intp],
        alike: float,
        facing_source: str,
    ) -> Reading:
        """alike: how much the bodies are like those of the study's other films (`same_names.Together`), 0 for a film alone."""
        box, landmarks, doubts = None, SpineLandmarks(*_NOTHING), list(sight.doubts)
        if sight.consensus is not None:
            consensus = self._sharpened(radiograph, sight.upright, sight.consensus, named)
            found = named_landmarks(consensus, self.calibration.errors, named)
            surety, corners = found.confidence.mean(), found.present.sum()
            if corners < LEAST_CORNERS or (surety < self.calibration.least_confidence and alike < ALIKE):
                doubts.append(UNLIKE_OTHERS)
            else:
                box, landmarks = _on_film(sight.upright.inverse, found, sight.box_score)
                told = np.isin(named, sorted(sight.told))
                if not np.array_equal(named[~told], sight.named[~told]):
                    doubts.append(RENAMED)
                doubts += [f"{v}: {TOLD}" for v, by_others in zip(Vertebra, told, strict=True) if by_others]
                if surety < self.calibration.unsure:
                    doubts.append(CHECK_NAMES)
        return Reading.of(
            film,
            radiograph.facing(sight.anterior),
            box,
            landmarks,
            facing_source="film" if radiograph.anterior is None else facing_source,
            weights=self.sha256,
            doubts=doubts,
        )

    def _sight_of(self, radiograph: Radiograph) -> Sight:
        """The film seen as facing the way that is given or else found."""
        outputs = self._locate(radiograph)
        looks, margin = _looks(outputs)
        side = radiograph.anterior or looks
        sight = self._see(radiograph, side, outputs[int(side is Side.RIGHT)], self.calibration.unsure)
        if side is not looks and margin > CLEAR_FACING:
            doubt = f"the film looks as if its anterior were on the {looks}, and it was read as on the {side}"
            sight = replace(sight, doubts=(doubt,))
        elif radiograph.anterior is None and margin <= CLEAR_FACING and sight.surety < SURE_FACING:
            # It may face either way: a spine that is read the wrong way round is read with less confidence. The localiser's word
            # stands unless the other way is read surely.
            turned = looks.opposite
            other = self._see(radiograph, turned, outputs[int(turned is Side.RIGHT)], self.calibration.unsure)
            if other.surety > max(sight.surety, SURE):
                sight = other
        if sight.surety < SURE and self._upside_down(radiograph):
            return Sight(sight.anterior, sight.upright, None, _NO_NAMES, sight.box_score, doubts=(UPSIDE_DOWN,))
        return sight

    def _upside_down(self, radiograph: Radiograph) -> bool:
        """Whether the film, turned by 180 degrees, is at once read surely."""
        turned = replace(radiograph, pixels=radiograph.pixels[::-1, ::-1])
        outputs = self._locate(turned)
        side = _looks(outputs)[0]
        return self._see(turned, side, outputs[int(side is Side.RIGHT)], doubt=0.0).surety > SURE_FACING

    def _seen_together(
        self, radiographs: Sequence[Radiograph], sights: Sequence[Sight]
    ) -> tuple[list[Sight], Together]:
        """The films of one patient, seen and named as suits them all best.

        A film that is not read surely is searched thoroughly, and the other way round, too, where its facing is not given: which of what
        is found is right the other films tell. The surest film is left as it is, and one that shows no lumbar spine, too. Then bodies are looked
        for where the other films tell that they lie, and taken if they suit all films better and none loses its name.
        """
        seen = list(sights)
        together = name_together([sight.candidates for sight in seen])
        surest = max((sight.surety for sight in sights), default=0.0)
        for i in sorted(range(len(seen)), key=lambda i: -sights[i].surety):
            if sights[i].consensus is None or sights[i].surety >= min(SURE_FACING, surest):
                continue
            for other in self._other_sights(radiographs[i], sights[i]):
                tried = [*seen[:i], other, *seen[i + 1 :]]
                again = name_together([sight.candidates for sight in tried])
                if again.score > together.score:
                    seen, together = tried, again
        for i, radiograph in enumerate(radiographs):
            if (guided := self._guided(radiograph, seen, together, i)) is None:
                continue
            tried = [*seen[:i], guided, *seen[i + 1 :]]
            again = name_together([sight.candidates for sight in tried])
            if again.score > together.score and (again.named[i] >= 0).sum() >= (together.named[i] >= 0).sum():
                seen, together = tried, again
        return seen, together

    def _guided(self, radiograph: Radiograph, seen: Sequence[Sight], together: Together, film: int) -> Sight | None:
        """The film's sight with the bodies that close-ups show where the other films tell; None where those have nothing to tell."""
        sight = seen[film]
        places = told_places([each.candidates for each in seen], together.named, film)
        if sight.consensus is None or self._close_up is None or not places:
            return None
        look = self._close_ups_of(radiograph, sight.upright)
        consensus, moved = look_there(sight.consensus, places, together.named[film], look)
        named = np.where(sight.named >= 0, moved[sight.named], -1)
        told = frozenset(range(len(consensus.candidates))) - frozenset(moved.tolist())
        return replace(sight, consensus=consensus, named=named, told=told)

    def _other_sights(self, radiograph: Radiograph, sight: Sight) -> list[Sight]:
        outputs = self._locate(radiograph)
        sides = [sight.anterior] if radiograph.anterior is not None else [sight.anterior, sight.anterior.opposite]
        found = [self._see(radiograph, side, outputs[int(side is Side.RIGHT)], SURE_FACING) for side in sides]
        return [replace(other, doubts=sight.doubts) for other in found if other.consensus is not None]

    def box(self, radiograph: Radiograph, anterior: Side) -> FloatArray | None:
        """The lumbosacral area (x0, y0, x1, y1) in the upright frame; None where the film shows no lumbar spine."""
        box, score = self._boxed(radiograph, anterior, self._locate(radiograph)[int(anterior is Side.RIGHT)])
        return None if score < self.calibration.least_box_score else box

    def _locate(self, radiograph: Radiograph) -> NDArray[Any]:
        """The localiser's raw outputs (2, 6, N) for the film as it is and for its mirror image."""
        size = self._localiser_size
        upright = upright_frame(radiograph, Side.LEFT)
        view = letterbox(whole_film(radiograph, upright), size, size, "upright", "crop")
        crop = standardised(*cut(radiograph.pixels, upright.then(view), size, size))
        (outputs,) = self._localiser(network_input([crop, crop[:, ::-1]]))
        return np.asarray(outputs)

    def _boxed(self, radiograph: Radiograph, anterior: Side, output: NDArray[Any]) -> tuple[FloatArray, float]:
        """The box in the upright frame, and its score, from what the localiser says of the film turned so."""
        size = self._localiser_size
        window = whole_film(radiograph, upright_frame(radiograph, anterior))
        view = letterbox(window, size, size, "upright", "crop")
        edges, score, _ = best_box(output)
        return view.inverse.apply(edges.reshape(2, 2)).ravel(), float(score)

    def _see(self, radiograph: Radiograph, anterior: Side, output: NDArray[Any], doubt: float) -> Sight:
        """The bodies on the film, taken to face this way.

        output: the localiser's. doubt: where the first look is less sure, they are looked for thoroughly; 0: by the first look alone.
        """
        upright = upright_frame(radiograph, anterior)
        box, score = self._boxed(radiograph, anterior, output)
        nothing = Sight(anterior, upright, None, _NO_NAMES, score)
        if score < self.calibration.least_box_score:
            return nothing
        found = self._first_look(radiograph, upright, box)
        if doubt and (found is None or found.surety < doubt):
            thorough = self._thorough_look(radiograph, upright, box)
            found = thorough if found is None else max(found, thorough, key=lambda each: each.surety)
        if found is None or found.surety < self.calibration.least_confidence:
            return nothing
        if found.landmarks.present.sum() < LEAST_CORNERS:
            return nothing
        return Sight(anterior, upright, found.consensus, found.named, score, found.surety)

    def _first_look(self, radiograph: Radiograph, upright: Affine2D, box: FloatArray) -> _Found | None:
        """What few windows and the close-ups show; None where that leaves a corner without an error bar, as it does without close-ups."""
        if self._close_up is None:
            return None
        found = self._closer(radiograph, upright, self._placed(radiograph, upright, box, FIRST_FILLS))
        return found if np.isfinite(found.landmarks.covariance_px[found.landmarks.present]).all() else None

    def _thorough_look(self, radiograph: Radiograph, upright: Affine2D, box: FloatArray) -> _Found:
        """What all windows and the close-ups show; around other boxes, too, if need be."""
        found = self._closer(radiograph, upright, self._placed(radiograph, upright, box, FILLS))
        # The box may be too long, too short, or off by some levels: the surest of several answers it. The close-ups have to say
        # which that is, since the windows alone are as sure of wrong names.
        fills = FILLS if self._close_up is None else FIRST_FILLS
        for other in boxes_like(box):
            if found.surety >= SURE:
                break
            again = self._closer(radiograph, upright, self._placed(radiograph, upright, other, fills))
            found = max(found, again, key=lambda each: each.surety)
        return found

    def _placed(self, radiograph: Radiograph, upright: Affine2D, box: FloatArray, fills: Sequence[float]) -> _Found:
        """Bodies in the upright frame: found in windows around `box`, then again in windows around those with a name."""
        found = self._named(self._look(radiograph, upright, box, fills))
        if found.landmarks.present.sum() < LEAST_CORNERS:
            return found
        points = found.landmarks.points_px[found.landmarks.present]
        around = np.concatenate([points.min(axis=0), points.max(axis=0)])
        return self._named(self._look(radiograph, upright, around, fills))

    def _closer(self, radiograph: Radiograph, upright: Affine2D, found: _Found) -> _Found:
        """What close-ups make of it; the same where there are none."""
        if self._close_up is None:
            return found
        return self._named(look_closer(found.consensus, self._close_ups_of(radiograph, upright)))

    def _named(self, consensus: Consensus) -> _Found:
        named = name_by_level(consensus.candidates)
        return _Found(consensus, named, named_landmarks(consensus, self.calibration.errors, named))

    def _look(self, radiograph: Radiograph, upright: Affine2D, spine: FloatArray, fills: Sequence[float]) -> Consensus:
        """Candidates in the upright frame, agreed on by windows of several sizes around `spine` (x0, y0, x1, y1)."""
        height, width = self._crop_size
        views, windows = [], []
        for fill in fills:
            window = window_around(spine, fill, height / width)
            windows.append(window)
            views.append(letterbox(window, height, width, "upright", "crop"))
        crops = [standardised(*cut(radiograph.pixels, upright.then(view), height, width)) for view in views]
        maps = self._landmarks(network_input(crops))
        looks: list[tuple[Candidates, Window]] = []
        for i, (view, window) in enumerate(zip(views, windows, strict=True)):
            found = find_level_candidates(tuple(m[i] for m in maps))
            looks.append((found.mapped(view.inverse), window))
        return agree(looks)

    def _sharpened(
        self, radiograph: Radiograph, upright: Affine2D, consensus: Consensus, named: NDArray[np.intp]
    ) -> Consensus:
        """The corners of named bodies as views of each alone show them; the same where there is no network for that."""
        network = self._corner
        if network is None:
            return consensus

        def look(views: Mapping[int, Affine2D]) -> dict[int, tuple[FloatArray, FloatArray]]:
            on_film = {landmark: upright.then(view) for landmark, view in views.items()}
            (maps,) = network(cut_corners(radiograph.pixels, on_film)[None])
            return {landmark: place_in(maps[0, landmark]) for landmark in views}

        return look_at_corners(consensus, named, look)

    def _close_ups_of(self, radiograph: Radiograph, upright: Affine2D) -> Look:
        """What looks at bodies of this film through views from the upright frame."""

        def look(views: Sequence[Affine2D]) -> list[CloseUp]:
            assert self._close_up is not None
            close_ups = [cut_close_up(radiograph.pixels, upright.then(view)) for view in views]
            maps, kinds = self._close_up(np.stack(close_ups))
            return [decode(of_body, kind) for of_body, kind in zip(maps, kinds, strict=True)]

        return look


def _looks(outputs: NDArray[Any]) -> tuple[Side, float]:
    """Which way the film seems to face, and by how much: each side's score is the mean of what the film and its mirror image say."""
    as_it_is, as_mirrored = (output[4:].max(axis=1) for output in outputs)
    left, right = float(as_it_is[0] + as_mirrored[1]) / 2, float(as_it_is[1] + as_mirrored[0]) / 2
    return (Side.LEFT, left - right) if left >= right else (Side.RIGHT, right - left)


def _on_film(to_film: Affine2D, landmarks: SpineLandmarks, score: float) -> tuple[LumbosacralBox, SpineLandmarks]:
    points = to_film.apply(landmarks.points_px)
    spine = SpineLandmarks(points, to_film.apply_covariance(landmarks.covariance_px), landmarks.confidence)
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    return LumbosacralBox(float(low[0]), float(low[1]), float(high[0]), float(high[1]), min(1.0, score)), spine
