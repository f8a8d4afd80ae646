"""What training on pictures of bodies and of corners has in common: samples of films, and films held out to choose weights by."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from torch import Tensor, nn

from lumbar.landmarks.annotated import AnnotatedFilm
from lumbar.training.loop import Recipe, Task
from lumbar.training.ranks import Ranks
from lumbar.training.stream import Films, FilmStream, Sample, batches, once

Cases = list[Sample]


def picture_task(
    network: nn.Module,
    sample: Callable[..., Sample],
    reuse: int,
    loss: Callable[[object, tuple[Tensor, ...]], dict[str, Tensor]],
    judge: Callable[[nn.Module, Cases], tuple[dict[str, float], np.ndarray]],
    recipe: Recipe,
    films: Films,
    randomised: float,
    times: Callable[[AnnotatedFilm], int] = once,
) -> Task:
    """The task of training `network` on pictures of `films`.

    sample(film, rng, randomised=share): one picture and what is true of it; `reuse` of them are drawn of a film, half as many of one that is held out.
    times: how often a film that is trained on gives as many.
    judge: figures and a contact sheet of the network's answers to the pictures of the held-out films.
    """

    def stream(first_sample: int) -> Iterator[tuple[Tensor, ...]]:
        sampler = partial(sample, randomised=randomised)
        source, ranks = films.training, Ranks.here()
        samples = FilmStream(recipe.seed, first_sample, sampler, source, reuse=reuse, ranks=ranks, times=times)
        return batches(samples, recipe.batch_size, recipe.workers)

    held_out = FilmStream(0, 0, sample, films.validation, reuse=reuse)
    cases: Cases = []

    def validate(network: nn.Module) -> tuple[dict[str, float], np.ndarray]:
        if not cases:
            count = films.held_out * reuse // 2
            cases.extend(case for case, _ in zip(held_out, range(count), strict=False))
        return judge(network, cases)

    return Task(network, stream, loss, validate)
