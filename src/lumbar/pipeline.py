"""The whole story: a film goes in, a reading comes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from lumbar.anatomy import Side, Vertebra
from lumbar.geometry import Affine2D, FloatArray
from lumbar.landmarks import SpineLandmarks
from lumbar.landmarks.consensus import ErrorModel, named_landmarks
from lumbar.landmarks.same_names import NO_NAMES, Names, Together, name_together, told_places
from lumbar.localisation import LumbosacralBox
from lumbar.radiograph import Radiograph
from lumbar.reading import Reading
from lumbar.runtime import CLOSE_UP, CORNER, FOLDER, Weights, fitted_errors, network_at, sha256_of, weights_in
from lumbar.search import LEAST_CORNERS, SURE, Located, Network, Networks, Search, Sight

CLEAR_FACING = 0.3
"""A film whose two facing scores differ by more says clearly which way it faces."""

SURE_FACING = 0.65
"""Landmarks with a larger mean confidence were not read the wrong way round: of 71 simulated films, the surest reached 0.62 so."""

CLEARLY_SURER = 0.1
"""So much surer must the other way round be. Of 23 simulated films that the localiser was not clear of, five were truly the other way round, and
surer so by 0.23 and more; none of the others was surer, but one as sure."""

UPSIDE_DOWN = "the film looks as if it were upside down: turn it by 180 degrees"

CHECK_NAMES = "the networks are hardly sure which vertebra is which: check the names"

RENAMED = "the vertebrae were named to agree with the other films of the study, not as this film alone suggests"

TOLD = "looked for where the other films of the study tell that it lies"

UNLIKE_OTHERS = "what is seen on the film does not have the shapes of the study's other films"

ALIKE = 1.0
"""A film of a study whose bodies are as much like those of its other films is read though alone it would be refused. Our own choice: of five
such films of 210 simulated studies the three named right exceeded it, at 1.6 and more, and the two named wrong did not, at 0.6 and less."""

_NOTHING = (np.full((22, 2), np.nan), np.full((22, 2, 2), np.nan), np.zeros(22))


class Reader:
    """Reads films with some networks, and says with each reading which weights they have.

    sha256: of each network's weights, by stage. calibration: of what the networks say, which follows from how many there are. errors: of the
    corners, where they were fitted to somebody's own films; None: those of the calibration.
    """

    def __init__(self, networks: Networks, sha256: dict[str, str], errors: ErrorModel | None = None) -> None:
        usual = networks.calibration
        self._networks, self.sha256 = networks, sha256
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
        return cls(networks_of(weights, functions), sha256_of(weights), fitted_errors(weights))

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

    def box(self, radiograph: Radiograph, anterior: Side) -> FloatArray | None:
        """The lumbosacral area (x0, y0, x1, y1) in the upright frame; None where the film shows no lumbar spine."""
        box, score = Located.on(radiograph, self._networks).box(anterior)
        return None if score < self.calibration.least_box_score else box

    def _reading(
        self, radiograph: Radiograph, film: str, sight: Sight, named: Names, alike: float, facing_source: str
    ) -> Reading:
        """alike: how much the bodies are like those of the study's other films (`same_names.Together`), 0 for a film alone."""
        box, landmarks, doubts = None, SpineLandmarks(*_NOTHING), list(sight.doubts)
        if sight.consensus is not None:
            consensus = self._search(radiograph, sight.anterior).sharpened(sight.consensus, named)
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

    def _search(self, radiograph: Radiograph, anterior: Side) -> Search:
        return Search(self._networks, self.calibration, radiograph, anterior)

    def _see(self, radiograph: Radiograph, anterior: Side, located: Located, doubt: float) -> Sight:
        return self._search(radiograph, anterior).sight(located, doubt)

    def _sight_of(self, radiograph: Radiograph) -> Sight:
        """The film seen as facing the way that is given or else found."""
        located = Located.on(radiograph, self._networks)
        looks, margin = located.facing()
        side = radiograph.anterior or looks
        sight = self._see(radiograph, side, located, self.calibration.look_again)
        if side is not looks and margin > CLEAR_FACING:
            doubt = f"the film looks as if its anterior were on the {looks}, and it was read as on the {side}"
            sight = replace(sight, doubts=(doubt,))
        elif radiograph.anterior is None and margin <= CLEAR_FACING and sight.surety < SURE_FACING:
            # It may face either way: a spine that is read the wrong way round is read with less confidence. The localiser's word
            # stands unless the other way is read surely, and clearly more so.
            other = self._see(radiograph, looks.opposite, located, self.calibration.unsure)
            if other.surety > max(sight.surety + CLEARLY_SURER, SURE):
                sight = other
        if sight.surety < SURE and self._upside_down(radiograph):
            return replace(sight, consensus=None, named=NO_NAMES, surety=0.0, doubts=(UPSIDE_DOWN,))
        return sight

    def _upside_down(self, radiograph: Radiograph) -> bool:
        """Whether the film, turned by 180 degrees, is at once read surely."""
        turned = replace(radiograph, pixels=radiograph.pixels[::-1, ::-1])
        located = Located.on(turned, self._networks)
        return self._see(turned, located.facing()[0], located, doubt=0.0).surety > SURE_FACING

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
            guided = self._guided(radiograph, seen, together, i)
            if guided is seen[i]:
                continue
            tried = [*seen[:i], guided, *seen[i + 1 :]]
            again = name_together([sight.candidates for sight in tried])
            if again.score > together.score and (again.named[i] >= 0).sum() >= (together.named[i] >= 0).sum():
                seen, together = tried, again
        return seen, together

    def _guided(self, radiograph: Radiograph, seen: Sequence[Sight], together: Together, film: int) -> Sight:
        """The film's sight with the bodies that close-ups show where the other films tell; the same where those have nothing to tell."""
        places = told_places([each.candidates for each in seen], together.named, film)
        if not places:
            return seen[film]
        return self._search(radiograph, seen[film].anterior).guided(seen[film], places, together.named[film])

    def _other_sights(self, radiograph: Radiograph, sight: Sight) -> list[Sight]:
        """What a thorough search finds, and where the facing is not given one the other way round, too."""
        located = Located.on(radiograph, self._networks)
        sides = [sight.anterior] if radiograph.anterior is not None else [sight.anterior, sight.anterior.opposite]
        found = [self._see(radiograph, side, located, SURE_FACING) for side in sides]
        return [replace(other, doubts=sight.doubts) for other in found if other.consensus is not None]


def networks_of(weights: Mapping[str, Weights], functions: Mapping[str, Network]) -> Networks:
    """The networks of the stages that there are weights of, each run by its function."""
    landmarks = weights["landmarks"]
    return Networks(
        functions["localiser"],
        functions["landmarks"],
        weights["localiser"].height,
        (landmarks.height, landmarks.width),
        functions.get(CLOSE_UP),
        functions.get(CORNER),
    )


def _on_film(to_film: Affine2D, landmarks: SpineLandmarks, score: float) -> tuple[LumbosacralBox, SpineLandmarks]:
    points = to_film.apply(landmarks.points_px)
    spine = SpineLandmarks(points, to_film.apply_covariance(landmarks.covariance_px), landmarks.confidence)
    low, high = np.nanmin(points, axis=0), np.nanmax(points, axis=0)
    return LumbosacralBox(float(low[0]), float(low[1]), float(high[0]), float(high[1]), min(1.0, score)), spine
