"""Endless samples of films, simulated or from a folder: what the two networks are trained on.

Each film is used for several samples before the next takes its place, and samples are drawn by seed and step: a stream that starts at step k goes on where one that was killed at step k had stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from lumbar.datasets import BuuFolder, Case
from lumbar.geometry import FloatArray
from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.synthesis import simulate_film
from lumbar.training.ranks import ALONE, Ranks

Sample = tuple[np.ndarray, ...]
_VALIDATION_SET = 990_000

Sampler = Callable[[AnnotatedFilm, np.random.Generator], Sample]


def once(film: AnnotatedFilm) -> int:
    """Every film as often."""
    return 1


class FilmStream(IterableDataset[Sample]):
    """Samples drawn from a shuffled pool of films; each gives `reuse` samples, `times` as often. Those of other `ranks` draw from other films."""

    def __init__(
        self,
        seed: int,
        first_sample: int,
        sampler: Sampler,
        source: Callable[[int], AnnotatedFilm],
        reuse: int = 6,
        ranks: Ranks = ALONE,
        times: Callable[[AnnotatedFilm], int] = once,
    ) -> None:
        super().__init__()
        self.ranks, self.times = ranks, times
        self.seed, self.first_sample, self.sampler, self.source, self.reuse = seed, first_sample, sampler, source, reuse

    def __iter__(self) -> Iterator[Sample]:
        """Samples of this worker, without end."""
        cv2.setNumThreads(1)
        torch.set_num_threads(1)
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        pool_size = 24 // workers + 1
        worker, workers = self.ranks.rank * workers + worker, self.ranks.world * workers
        rng = np.random.default_rng([self.seed, self.first_sample, worker])
        film = self.first_sample // self.reuse + worker
        pool: list[list[object]] = []
        while True:
            if len(pool) < pool_size:
                drawn = self.source(film)
                pool.append([drawn, self.reuse * self.times(drawn)])
                film += workers
            entry = pool[int(rng.integers(len(pool)))]
            entry[1] = int(entry[1]) - 1  # type: ignore[call-overload]
            if entry[1] == 0:
                pool.remove(entry)
            yield self.sampler(entry[0], rng)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Films:
    """Where samples come from: films by number, without end, to train on, and `held_out` others to choose weights by."""

    training: Callable[[int], AnnotatedFilm]
    validation: Callable[[int], AnnotatedFilm]
    held_out: int

    @classmethod
    def simulated(cls, seed: int, held_out: int = 64) -> Films:
        """Films of the simulator's set `seed`; those held out are of a set of their own, the same for every seed."""
        return cls(
            lambda index: simulate_film(seed, index), lambda index: simulate_film(_VALIDATION_SET, index), held_out
        )

    def with_simulated(self, share: float, seed: int) -> Films:
        """These films with simulated ones of set `seed` among them, evenly spread; those held out stay as they are.

        share: of the films that are trained on, from 0 to 1. Raises ValueError for another.
        """
        if not 0 <= share <= 1:
            raise ValueError(f"share must be from 0 to 1; got {share}")

        def mixed(index: int) -> AnnotatedFilm:
            before, after = (int(share * count + 1e-9) for count in (index, index + 1))
            return simulate_film(seed, index) if after > before else self.training(index - before)

        return replace(self, training=mixed)

    def seen_by(self, look: Callable[[AnnotatedFilm], AnnotatedFilm]) -> Films:
        """These films, each as `look` returns it."""
        return replace(
            self,
            training=lambda index: look(self.training(index)),
            validation=lambda index: look(self.validation(index)),
        )

    @classmethod
    def of_folder(cls, folder: BuuFolder, seed: int) -> Films:
        """The folder's films (one a patient), one in eight of them held out, drawn by `seed`."""
        order = np.random.default_rng(seed).permutation(len(folder)).tolist()
        held_out = max(1, len(order) // 8)
        if len(order) < 2:
            raise ValueError("a folder to train on must hold at least two films with their csv; got one")
        cases = [folder.cases[index] for index in order]
        return cls.of_cases(cases[held_out:], cases[:held_out])

    @classmethod
    def of_cases(cls, training: Sequence[Case], validation: Sequence[Case]) -> Films:
        """These films on disk. Raises ValueError where either are none."""
        for name, cases in (("training", training), ("validation", validation)):
            if not cases:
                raise ValueError(f"{name} must hold at least one film with its csv; got none")
        return cls(
            lambda index: training[index % len(training)].open(),
            lambda index: validation[index % len(validation)].open(),
            len(validation),
        )


def batches(stream: FilmStream, batch_size: int, workers: int) -> Iterator[tuple[Tensor, ...]]:
    """Batches of tensors from `workers` processes (0: in this one)."""
    loader = DataLoader(
        stream,
        batch_size=batch_size,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        multiprocessing_context="fork" if workers else None,
    )
    return iter(loader)


def visible_only(points: FloatArray, height: int, width: int, margin: float = 0.25) -> FloatArray:
    """`points` (22, 2) with NaN for corners further than `margin` of the size outside the crop."""
    slack = np.array([width, height]) * margin
    outside = ((points < -slack) | (points > np.array([width, height]) - 1 + slack)).any(axis=1, keepdims=True)
    return np.where(outside, np.nan, points)
