"""The whole story on simulated films, with the weights that ship."""

from dataclasses import replace

import numpy as np
import pytest

from lumbar import pipeline
from lumbar.anatomy import Side, Vertebra
from lumbar.calibration import WITH_CORNERS, WITHOUT_CLOSE_UPS
from lumbar.landmarks import SpineLandmarks
from lumbar.landmarks.consensus import Consensus
from lumbar.landmarks.decoding import NO_CANDIDATES
from lumbar.landmarks.same_names import NO_NAMES, name_together
from lumbar.landmarks.spine import endplate_depth
from lumbar.pipeline import CHECK_NAMES, RENAMED, TOLD, UNLIKE_OTHERS, UPSIDE_DOWN, Reader, networks_of
from lumbar.radiograph import PixelSpacing, Radiograph
from lumbar.reading import NO_SPINE, Reading
from lumbar.runtime import CLOSE_UP, CORNER, FOLDER, network_at, weights_in
from lumbar.search import Located, Networks, Search, Sight, _Found
from lumbar.synthesis import simulate_film
from lumbar.windows import upright_frame, window_around

UNSEEN = 4242
"""A set of films that no network was trained on or chosen by."""


@pytest.fixture(scope="module")
def reader() -> Reader:
    return Reader.shipped(threads=1)


CLEAR = (3, 4, 5)


def a_clear_film(index: int = 0):
    return simulate_film(UNSEEN, CLEAR[index]).facing_left()


def errors(reading: Reading, truth: np.ndarray) -> np.ndarray:
    depth = np.linalg.norm(truth[::2] - truth[1::2], axis=1).mean()
    return np.linalg.norm(reading.landmarks.points_px - truth, axis=1) / depth


def test_simulated_films_are_read_whole(reader):
    """Eight films of any facing: the corners of most lie within a tenth of an endplate's depth of the truth."""
    found = []
    for index in range(8):
        film = simulate_film(UNSEEN, index)
        unknown = Radiograph(film.radiograph.pixels, film.radiograph.spacing)
        reading = reader.read(unknown)
        right = (
            reading.anterior is film.anterior
            and np.median(np.nan_to_num(errors(reading, film.landmarks_px), nan=1.0)) < 0.1
        )
        found.append(bool(right))
    assert sum(found) >= 6


def test_a_film_and_its_mirror_image_read_the_same(reader):
    film = a_clear_film()
    one, other = (reader.read(f.radiograph) for f in (film, film.mirrored()))
    for a, b in zip(one.measurements, other.measurements, strict=True):
        assert type(a) is type(b)
        if hasattr(a, "value"):
            assert a.value == pytest.approx(b.value, abs=0.2)  # resampling rounds differently


def test_non_square_pixels_change_nothing(reader):
    """The same film with half as many rows, each twice as far apart."""
    film = a_clear_film(1)
    pixels, spacing = film.radiograph.pixels, film.radiograph.spacing
    rows = pixels.shape[0] // 2 * 2
    flat = pixels[:rows].reshape(rows // 2, 2, -1).mean(axis=1)
    squashed = Radiograph(flat, PixelSpacing(2 * spacing.row_mm, spacing.column_mm, "test", "patient"), Side.LEFT)
    whole, half = reader.read(film.radiograph), reader.read(squashed)
    back = half.landmarks.points_px * [1, 2] + [0, 0.5]
    depth = np.linalg.norm(film.landmarks_px[0] - film.landmarks_px[1])
    assert np.nanmedian(np.linalg.norm(back - whole.landmarks.points_px, axis=1)) / depth < 0.05


def test_lengths_follow_the_spacing_and_slips_do_not(reader):
    film = a_clear_film().radiograph
    double = Radiograph(
        film.pixels, PixelSpacing(2 * film.spacing.row_mm, 2 * film.spacing.column_mm, "test", "patient"), Side.LEFT
    )
    one, two = reader.read(film), reader.read(double)
    assert two.measured("slip", "L3/L4").value == pytest.approx(one.measured("slip", "L3/L4").value)
    name = "sagittal_displacement_endplate"
    assert two.measured(name, "L3/L4").value == pytest.approx(2 * one.measured(name, "L3/L4").value)


@pytest.mark.parametrize("seed", range(8))
def test_white_noise_is_no_spine(reader, seed):
    assert reader.read(Radiograph(np.random.default_rng(seed).random((600, 500), dtype=np.float32))).box is None


@pytest.mark.parametrize("what", ["blank", "gradient"])
def test_a_picture_without_a_spine_is_answered_with_no_spine(reader, what):
    y, x = np.mgrid[0:600, 0:500].astype(np.float32)
    pixels = {
        "blank": np.zeros((600, 500), np.float32),
        "gradient": (x + y) / 1200,
    }[what]
    reading = reader.read(Radiograph(pixels))
    assert reading.box is None and NO_SPINE in reading.warnings and not reading.landmarks.present.any()
    assert Reading.from_json(reading.to_json()) == reading


def test_the_same_film_gives_the_same_reading(reader):
    film = a_clear_film(2).radiograph
    assert reader.read(film).to_json() == reader.read(film).to_json()


def test_a_given_facing_is_kept_and_doubted_where_the_film_looks_otherwise(reader):
    film = a_clear_film().radiograph
    reading = reader.read(film.facing(Side.RIGHT), facing_source="--facing")
    assert reading.anterior is Side.RIGHT and reading.facing_source == "--facing"
    assert any("looks as if its anterior were on the left" in warning for warning in reading.warnings)
    assert reader.read(film).facing_source == "given" and not reader.read(film).warnings


def with_localiser(change) -> Reader:
    """The shipped reader, with what its localiser says changed: boxes (B, 4, N) and scores (B, 2, N)."""
    weights = weights_in(FOLDER)
    network = {stage: network_at(each.path, 1) for stage, each in weights.items()}

    def localiser(batch):
        (output,) = network["localiser"](batch)
        return (np.concatenate(change(output[:, :4], output[:, 4:]), axis=1),)

    return Reader(networks_of(weights, {**network, "localiser": localiser}), {})


@pytest.mark.parametrize(("margin", "found"), [(0.1, Side.LEFT), (0.4, Side.RIGHT)])
def test_a_film_that_may_face_either_way_is_looked_at_both_ways(margin, found):
    """The localiser takes a film that faces left for one that faces right: by a little it is overruled, clearly it is believed."""

    def mistaken(boxes, scores):
        score = scores.max(axis=1)
        wrong, right = score * 0.5, score * (0.5 - margin)
        return boxes, np.stack([np.stack([right[0], wrong[0]]), np.stack([wrong[1], right[1]])])

    film = replace(a_clear_film().radiograph, anterior=None)
    assert with_localiser(mistaken).read(film).anterior is found


@pytest.mark.parametrize(("other", "found"), [(0.60, Side.LEFT), (0.66, Side.RIGHT)])
def test_the_other_way_round_must_be_clearly_surer(reader, monkeypatch, other, found):
    """The localiser says left, and hardly so; that way the film is read at 0.55."""

    def seen(radiograph, anterior, located, doubt):
        surety = 0.55 if anterior is Side.LEFT else other
        return Sight(anterior, upright_frame(radiograph, anterior), None, NO_NAMES, 1.0, surety)

    monkeypatch.setattr(Located, "facing", lambda located: (Side.LEFT, 0.1))
    monkeypatch.setattr(reader, "_see", seen)
    assert reader._sight_of(replace(a_clear_film().radiograph, anterior=None)).anterior is found


@pytest.mark.parametrize(
    ("first", "thorough", "bodies_down", "chosen"),
    [
        (0.50, 0.60, 0, "first"),  # the same names: the first look leaves little doubt
        (0.50, 0.60, 1, "thorough"),  # other names, surer
        (0.60, 0.50, 1, "first"),  # other names, less sure
        (0.35, 0.60, 0, "thorough"),  # the first look is doubtful
        (0.35, 0.30, 1, "first"),
    ],
)
def test_more_windows_overrule_the_first_look_where_they_name_otherwise_and_more_surely(
    reader, first, thorough, bodies_down, chosen
):
    film = a_clear_film()
    search = Search(reader._networks, WITH_CORNERS, film.radiograph, Side.LEFT)
    points = search.upright.apply(film.landmarks_px)
    step = points[4:8].mean(axis=0) - points[:4].mean(axis=0)

    def found(where, surety):
        landmarks = SpineLandmarks(where, np.zeros((22, 2, 2)), np.full(22, surety))
        return _Found(Consensus(NO_CANDIDATES, np.zeros((0, 4, 2, 2))), NO_NAMES, landmarks)

    looks = {"first": found(points, first), "thorough": found(points + bodies_down * step, thorough)}
    assert search._chosen(looks["first"], looks["thorough"]) is looks[chosen]


def test_a_spine_beside_the_box_is_found():
    """The box lies above the spine by more than its own height, as it may on films of the whole spine."""

    def too_high(boxes, scores):
        up = np.zeros_like(boxes)
        up[:, [1, 3]] = 1.3 * (boxes[:, [3]] - boxes[:, [1]])
        return boxes - up, scores

    film = a_clear_film()
    reading = with_localiser(too_high).read(film.radiograph)
    assert np.median(errors(reading, film.landmarks_px)) < 0.1


def test_a_reader_takes_any_function_for_a_network():
    """Networks that see nothing: the reader says so."""

    def blind_localiser(batch):
        return (np.zeros((len(batch), 6, 84), np.float32),)

    def never(batch):
        raise AssertionError("there is no box to look into")

    blind = Reader(Networks(blind_localiser, never, 64, (64, 32)), {})
    assert blind.read(a_clear_film().radiograph).box is None


def test_a_window_holds_the_spine_at_the_share_asked_for():
    x0, y0, x1, y1 = window_around(np.array([10.0, 20.0, 60.0, 120.0]), 0.5, 2.0)
    assert (y1 - y0, x1 - x0) == (200, 100) and ((x0 + x1) / 2, (y0 + y1) / 2) == (35, 70)


def test_every_corner_that_is_found_has_an_error_bar(reader):
    landmarks: SpineLandmarks = reader.read(a_clear_film().radiograph).landmarks
    assert np.isfinite(landmarks.covariance_px[landmarks.present]).all()
    assert (np.linalg.eigvalsh(landmarks.covariance_px[landmarks.present]) > 0).all()


def test_films_read_together_keep_names_that_agree(reader):
    films = [a_clear_film().radiograph, a_clear_film().mirrored().radiograph]
    together = reader.read_together(films, ["one", "other"])
    for radiograph, reading in zip(films, together, strict=True):
        np.testing.assert_allclose(reading.landmarks.points_px, reader.read(radiograph).landmarks.points_px)
        assert RENAMED not in reading.warnings


def test_a_film_of_a_study_that_is_not_read_surely_is_turned_like_those_that_are():
    """The localiser is clearly wrong about the first film that it sees: alone that is believed, in a study it is not."""
    asked = []

    def mistaken_once(boxes, scores):
        asked.append(scores)
        score = scores.max(axis=1) * 0.5
        wrong, right = (score, 0.2 * score) if len(asked) == 1 else (0.2 * score, score)
        return boxes, np.stack([np.stack([right[0], wrong[0]]), np.stack([wrong[1], right[1]])])

    film = replace(a_clear_film().radiograph, anterior=None)
    assert with_localiser(mistaken_once).read(film).anterior is Side.RIGHT
    asked.clear()
    readings = with_localiser(mistaken_once).read_together([film, film, film], ["flexion", "neutral", "extension"])
    assert [reading.anterior for reading in readings] == [Side.LEFT] * 3


@pytest.mark.parametrize("alike", [0.0, 2.0])
def test_a_doubtful_film_of_a_study_is_read_only_if_its_bodies_are_like_those_of_the_others(reader, monkeypatch, alike):
    def first_doubtful(films):
        together = name_together(films)
        together.named[0][3:] = -1
        return replace(together, alike=[alike, 3.0])

    monkeypatch.setattr(pipeline, "name_together", first_doubtful)
    film = a_clear_film().radiograph
    monkeypatch.setattr(reader, "calibration", replace(reader.calibration, least_confidence=0.6, unsure=0.6))
    one, other = reader.read_together([film, film], ["one", "other"])
    assert other.box is not None and UNLIKE_OTHERS not in other.warnings
    if alike:
        assert one.box is not None and {RENAMED, CHECK_NAMES} <= set(one.warnings)
    else:
        assert one.box is None and UNLIKE_OTHERS in one.warnings and RENAMED not in one.warnings


@pytest.mark.parametrize("vertebra", [Vertebra.L3, Vertebra.S1])
def test_a_body_that_was_misread_is_looked_for_where_the_other_films_of_the_study_tell(reader, monkeypatch, vertebra):
    film, see, seen = a_clear_film(), reader._sight_of, []

    def misreading_once(radiograph):
        sight = see(radiograph)
        if not seen:
            body = sight.candidates.corners[sight.named[list(Vertebra).index(vertebra)]]
            body[1] += 0.4 * (body[1] - body[0])
        seen.append(sight)
        return sight

    true = reader.read(film.radiograph).landmarks.points_px
    monkeypatch.setattr(reader, "_sight_of", misreading_once)
    wrong, right, _ = reader.read_together([film.radiograph] * 3, ["flexion", "neutral", "extension"])
    np.testing.assert_allclose(wrong.landmarks.points_px, true, atol=0.02 * endplate_depth(true))
    assert f"{vertebra}: {TOLD}" in wrong.warnings and RENAMED not in wrong.warnings
    assert not any(TOLD in warning for warning in right.warnings)


@pytest.mark.parametrize("rows", [slice(None, None, -1), slice(None)])
def test_a_film_that_lies_upside_down_is_told_so(reader, rows):
    """Turned, or turned and mirrored; alone or among the others of its study."""
    film = replace(a_clear_film().radiograph, anterior=None)
    turned = replace(film, pixels=film.pixels[::-1, rows])
    alone, (among, other, _) = (
        reader.read(turned),
        reader.read_together([turned, film, film], ["turned", "one", "other"]),
    )
    assert alone.box is None and among.box is None and other.box is not None
    assert UPSIDE_DOWN in alone.warnings and UPSIDE_DOWN in among.warnings and UPSIDE_DOWN not in other.warnings


def test_a_film_of_noise_does_not_cost_the_others_of_its_study_their_reading(reader):
    noise = Radiograph(np.random.default_rng(0).random((400, 300)).astype(np.float32), None)
    one, other = reader.read_together([noise, a_clear_film().radiograph], ["noise", "film"])
    assert one.box is None and NO_SPINE in one.warnings and other.box is not None


def test_who_reads_is_asked_to_check_names_that_are_doubtful(reader, monkeypatch):
    film = a_clear_film().radiograph
    assert CHECK_NAMES not in reader.read(film).warnings
    monkeypatch.setattr(reader, "calibration", replace(reader.calibration, unsure=1.0))
    assert CHECK_NAMES in reader.read(film).warnings


def test_the_close_up_brings_the_corners_nearer(reader):
    """The paper's two stages alone, and with ours: the same films, whose names both have right."""
    alone = Reader.of({stage: w for stage, w in weights_in(FOLDER).items() if stage not in (CLOSE_UP, CORNER)}, 1)
    assert (alone.calibration, reader.calibration) == (WITHOUT_CLOSE_UPS, WITH_CORNERS)
    medians = []
    for each in (alone, reader):
        found = [errors(each.read(f.radiograph), f.landmarks_px) for f in map(a_clear_film, range(3))]
        medians.append(float(np.nanmedian(found)))
    assert medians[1] < 0.7 * medians[0]
