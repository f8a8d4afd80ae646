"""The simulator's arithmetic in torch is that in numpy: path lengths to the bit or nearly, films to a stated tolerance."""

import cv2
import numpy as np
import pytest
import torch

from lumbar.synthesis import Part, simulate_film
from lumbar.synthesis.beam import Beam, path_lengths
from lumbar.synthesis.engine import NUMPY, kernel_size
from lumbar.synthesis.exposure import Technique, detect
from lumbar.synthesis.film import Patient
from lumbar.synthesis.solids import ellipsoid, rotation, shell, tube
from lumbar.synthesis.torch_engine import TorchEngine
from tests.test_architecture import loaded_by

SEED = 12
TORCH = TorchEngine("cuda" if torch.cuda.is_available() else "cpu")
BEAM = Beam(1150.0, 920.0, 0.5, rotation(3, -4, 8), (100.3, 120.7), (90.2, 110.1))


def a_few_solids():
    bone = shell(ellipsoid((0, 0, 0), (20, 14, 22), 1.0), ellipsoid((0, 0, 0), (18, 12, 20), 1.0), 1.0, 0.2)
    beyond_the_film = ellipsoid((80, 60, 0), (70, 40, 60), 0.3)
    return [*bone, beyond_the_film, tube([(-20, -20, 9), (0, 10, -5), (30, 20, 10)], (4, 3), 2.0)]


def both(make):
    """What `make` gives with each engine, as numpy arrays."""
    return [engine.numpy(make(engine)) for engine in (NUMPY, TORCH)]


def films(index, **kwargs):
    return [simulate_film(SEED, index, height=256, engine=engine, **kwargs) for engine in (NUMPY, TORCH)]


def test_path_lengths_are_the_same_in_both_engines():
    ours, theirs = both(lambda engine: path_lengths(a_few_solids(), BEAM, 230, 190, engine))
    assert theirs.dtype == np.float32 and ours.max() > 20
    np.testing.assert_allclose(theirs, ours, atol=1e-3)


def test_no_solid_on_the_film_is_no_path_length():
    for lengths in both(lambda engine: path_lengths([ellipsoid((900, 0, 0), (5, 5, 5), 1.0)], BEAM, 40, 30, engine)):
        assert lengths.shape == (40, 30) and not lengths.any()


@pytest.mark.parametrize("shape", [(160, 96), (131, 77)])  # whole blocks of eight, and not
def test_the_detector_reads_the_same_log_signal(shape):
    rng = np.random.default_rng(0)
    water, bone, metal = (rng.uniform(0, top, shape).astype(np.float32) for top in (300, 30, 5))
    grain = rng.standard_normal(shape, dtype=np.float32)
    chamber = slice(40, 90), slice(20, 60)
    ours, theirs = both(
        lambda engine: detect(
            *(engine.array(v) for v in (water, bone, metal)), 0.4, chamber, Technique.usual(), grain, engine
        )
    )
    np.testing.assert_allclose(theirs, ours, atol=2e-5)


@pytest.mark.parametrize("index", range(5))
def test_an_unprocessed_film_is_the_same_but_for_rounding(index):
    ours, theirs = films(index, without=frozenset({Part.PROCESSING}))
    np.testing.assert_array_equal(theirs.landmarks_px, ours.landmarks_px)
    np.testing.assert_allclose(theirs.radiograph.pixels, ours.radiograph.pixels, atol=5e-5)


@pytest.mark.parametrize("index", range(10))
def test_a_film_is_the_same_within_the_stated_tolerance(index):
    ours, theirs = films(index)
    assert theirs.anterior is ours.anterior and theirs.radiograph.spacing == ours.radiograph.spacing
    np.testing.assert_array_equal(theirs.landmarks_px, ours.landmarks_px)
    off = np.abs(theirs.radiograph.pixels - ours.radiograph.pixels)
    if Patient.draw(np.random.default_rng([SEED, index])).console.clahe_clip:
        assert off.mean() < 0.01 and (off > 0.02).mean() < 0.1
    else:
        assert (off > 5e-5).mean() < 0.01  # JPEG may take a block or two along


def test_some_of_these_films_went_through_clahe_and_some_did_not():
    clips = [Patient.draw(np.random.default_rng([SEED, index])).console.clahe_clip for index in range(10)]
    assert 0 < np.count_nonzero(clips) < 10


@pytest.mark.parametrize("shape", [(64, 40), (7, 9), (1, 5)])
@pytest.mark.parametrize("sigma_px", [0.3, 1.7, 30.0])  # the widest window is 241 pixels: mirrored again and again
def test_a_blur_mirrors_the_border_as_opencv_does(shape, sigma_px):
    image = np.random.default_rng(1).uniform(0, 1, shape).astype(np.float32)
    wanted = cv2.GaussianBlur(image, kernel_size(sigma_px), sigma_px, borderType=cv2.BORDER_REFLECT_101)
    for found in both(lambda engine: engine.blurred(engine.array(image), sigma_px)):
        np.testing.assert_allclose(found, wanted, atol=3e-6)


def test_shrinking_takes_the_means_of_blocks():
    image = np.arange(48, dtype=np.float32).reshape(4, 12)
    for found in both(lambda engine: engine.resized(engine.array(image), 2, 4)):
        np.testing.assert_allclose(found, [[7, 10, 13, 16], [31, 34, 37, 40]])


@pytest.mark.parametrize("size", [(32, 24), (29, 20)])
def test_growing_is_linear_in_both_engines(size):
    image = np.random.default_rng(2).uniform(0, 300, (8, 6)).astype(np.float32)
    ours, theirs = both(lambda engine: engine.resized(engine.array(image), *size))
    np.testing.assert_allclose(theirs, ours, atol=1e-3)


def test_counts_become_owners_and_running_numbers():
    first, counts = np.array([7, 8, -1]), np.array([2, 0, 3])
    for owners in both(lambda engine: engine.owners(engine.array(counts))):
        assert owners.tolist() == [0, 0, 2, 2, 2]

    def numbers(engine):
        own = engine.array(counts)
        return engine.counted(engine.array(first), own, engine.owners(own))

    for running in both(numbers):
        assert running.tolist() == [7, 8, -1, 0, 1] and running.dtype == np.int64


def test_both_engines_take_all_there_is_in_parts():
    for engine in (NUMPY, TORCH):
        things = np.arange(2500)
        assert np.concatenate([things[part] for part in engine.parts(2500)]).tolist() == things.tolist()
        assert list(engine.parts(0)) == []


def test_many_small_values_on_a_large_one_are_not_lost():
    values = np.array([2.0**24] + [1.0] * 100, np.float32)
    index = np.zeros(101, np.int64)

    def summed(engine):
        total = engine.nothing(2)
        for part in (slice(0, 40), slice(40, None)):
            engine.add(total, engine.array(index[part]), engine.array(values[part]))
        return engine.single(total)

    for total in both(summed):
        assert total.tolist() == [2.0**24 + 100, 0.0] and total.dtype == np.float32


def test_simulating_in_numpy_loads_no_torch():
    assert "torch" not in loaded_by("from lumbar.synthesis import simulate_film; simulate_film(1, 1, height=64)")
