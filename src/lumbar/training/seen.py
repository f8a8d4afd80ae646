"""Where close-ups see the corners of a film whose truth is known, so that the network that comes after them learns from how far that is off.

Close-ups err most on films that are hard to see, and at all corners of a film together; errors drawn by chance are alike on all films. And how far they
are off tells which films are hard, and should come more often.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from lumbar.anatomy import Vertebra, rows_of
from lumbar.geometry import Affine2D, FloatArray
from lumbar.landmarks import close_up
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.landmarks.close_up import CloseUp, cut_close_up
from lumbar.landmarks.consensus import Consensus
from lumbar.landmarks.decoding import Candidates
from lumbar.landmarks.second_look import looked_at
from lumbar.training.close_up_task import misplaced
from lumbar.windows import upright_frame

_REMEMBERED = 50_000  # films, a kilobyte each


class SeenByCloseUps:
    """Gives films `seen_px` by looking at their bodies as `second_look` does, from endplates misplaced by chance, the same each time.

    A film that comes again is not looked at again.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = network.eval()
        self._known: dict[bytes, FloatArray] = {}

    def __call__(self, film: AnnotatedFilm) -> AnnotatedFilm:
        """The film with `seen_px`."""
        key = film.landmarks_px.tobytes()
        seen = self._known.get(key)
        if seen is None:
            seen = self._seen(film, np.random.default_rng(zlib.crc32(key)))
            if len(self._known) < _REMEMBERED:
                self._known[key] = seen
        return replace(film, seen_px=seen)

    def _seen(self, film: AnnotatedFilm, rng: np.random.Generator) -> FloatArray:
        """(22, 2) in film pixels, NaN for a corner that close-ups do not place."""
        upright = upright_frame(film.radiograph, film.anterior)
        points, seen = upright.apply(film.landmarks_px), np.full(film.landmarks_px.shape, np.nan)
        bodies = [vertebra for vertebra in Vertebra if np.isfinite(points[rows_of(vertebra)][:2]).all()]
        if not bodies:
            return seen
        corners = np.stack([_first_guess(points[rows_of(vertebra)], rng) for vertebra in bodies])
        given = Candidates(corners.mean(axis=1), corners, np.ones((len(bodies), len(Vertebra))))
        unknown = np.full((len(bodies), 4, 2, 2), np.nan)
        found, _ = looked_at(Consensus(given, unknown), lambda views: self._look(film, upright, views))
        for vertebra, places, width in zip(bodies, found.candidates.corners, found.covariance, strict=True):
            placed = np.isfinite(width).all(axis=(1, 2))
            rows = rows_of(vertebra)
            seen[rows] = np.where(placed[:, None], places, np.nan)[: rows.stop - rows.start]
        return upright.inverse.apply(seen)

    @torch.no_grad()
    def _look(self, film: AnnotatedFilm, upright: Affine2D, views: Sequence[Affine2D]) -> list[CloseUp]:
        images = np.stack([cut_close_up(film.radiograph.pixels, upright.then(view)) for view in views])
        maps, kinds = self._network(torch.from_numpy(images))
        return [close_up.decode(m, k) for m, k in zip(maps.numpy(), kinds.numpy(), strict=True)]


def _first_guess(body: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Corners (4, 2) of a body (4 or 2, 2) as the landmark network may give them; where its inferior ones are unmarked, four fifths of its depth below."""
    endplate = misplaced(body[:2], rng)
    along = endplate[1] - endplate[0]
    below = endplate + 0.8 * np.array([-along[1], along[0]])
    inferior = body[2:] if len(body) == 4 else below
    return np.concatenate([endplate, np.where(np.isfinite(inferior), inferior, below)])
