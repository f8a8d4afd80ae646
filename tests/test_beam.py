"""Path lengths against closed forms: what a ray covers in a ball, a slab, a wedge, and any convex solid."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lumbar.synthesis.beam import Beam, path_lengths
from lumbar.synthesis.engine import NUMPY
from lumbar.synthesis.solids import Solid, bone_tube, ellipsoid, loft, merged, rotation, shell, tube

UPRIGHT = np.eye(3)
SIDE = 96


def a_beam(pixel_mm=0.5, turn=UPRIGHT, origin_px=(47.3, 44.6), central_px=(51.7, 40.2), sod=900.0):
    return Beam(1100.0, sod, pixel_mm, turn, origin_px, central_px)


def film_of(*solids, beam=None, side=SIDE):
    return path_lengths(solids, beam or a_beam(), side, side, NUMPY)


def a_block(x_mm, y_mm, z_mm, density=1.0):
    x, y, z = x_mm / 2, y_mm / 2, z_mm / 2
    return loft(np.array([[(-x, -y, k), (x, -y, k), (x, y, k), (-x, y, k)] for k in (-z, z)]), density)


def a_wedge(angle_deg, length_mm=40.0):
    """Its edge runs along y at x = -20; its front is square to z, its back rises with x."""
    thick = length_mm * np.tan(np.radians(angle_deg))
    return loft(np.array([[(-20, y, 0), (20, y, 0), (20, y, thick)] for y in (-30.0, 30.0)]), 1.0)


def rays(beam, side=SIDE):
    """Source (3,) and unit directions (side, side, 3) in the patient's frame."""
    scale = beam.source_to_patient_mm / beam.pixel_mm
    x, y = np.meshgrid(np.arange(side) - beam.central_px[0], np.arange(side) - beam.central_px[1])
    towards = np.stack([-x / scale, -y / scale, np.ones_like(x)], axis=-1) @ beam.turn
    off = (np.array(beam.origin_px) - beam.central_px) * beam.pixel_mm
    source = np.array([off[0], off[1], -beam.source_to_patient_mm]) @ beam.turn
    return source, towards / np.linalg.norm(towards, axis=-1, keepdims=True)


def chords(beam, centre, radii, turn=UPRIGHT, side=SIDE):
    """Lengths within an ellipsoid, from the quadratic equation."""
    source, towards = rays(beam, side)
    at, along = (source - centre) @ turn / radii, towards @ turn / radii
    a, b, c = (along**2).sum(axis=-1), along @ at, at @ at - 1
    return 2 * np.sqrt(np.clip(b**2 - a * c, 0, None)) / a


def lengths_between_planes(beam, solid, side=SIDE):
    """Lengths within a convex solid, each ray cut by the plane of each face in turn."""
    source, towards = rays(beam, side)
    entry, leave = np.full((side, side), -np.inf), np.full((side, side), np.inf)
    for a, b, c in solid.vertices[solid.triangles]:
        normal = np.cross(b - a, c - a)
        if not np.linalg.norm(normal) > 1e-12:
            continue
        with np.errstate(divide="ignore"):
            at = normal @ (a - source) / (towards @ normal)
        inwards = towards @ normal < 0
        entry, leave = np.where(inwards, np.maximum(entry, at), entry), np.where(inwards, leave, np.minimum(leave, at))
    return np.clip(leave - entry, 0, None)


def test_a_ball_is_as_thick_as_its_chords_and_finer_ones_are_so_to_second_order():
    beam, radii = a_beam(turn=rotation(8, -20, 5)), (17.0, 20.0, 14.0)
    exact = chords(beam, (1.0, -2.0, 3.0), radii)
    balls = [ellipsoid((1, -2, 3), radii, 1.0, rings=n, around=2 * n) for n in (15, 30, 60, 120)]
    errors = [np.abs(film_of(ball, beam=beam) - exact) for ball in balls]
    means = np.array([error.mean() for error in errors])
    np.testing.assert_allclose(means[:-1] / means[1:], 4, atol=0.4)
    assert errors[-1][exact > 5].max() < 0.03 and errors[-1].max() < 0.7  # a tangent ray sees the flat facets most


def test_a_slab_square_to_the_beam_is_its_thickness_over_the_cosine_of_the_ray():
    beam = a_beam(pixel_mm=2.0)
    cosine = rays(beam)[1][..., 2]
    np.testing.assert_allclose(film_of(a_block(500, 500, 30), beam=beam), 30 / cosine, rtol=2e-6)


@pytest.mark.parametrize("angle_deg", [-50, -10, 25, 60])
def test_a_tilted_slab_is_as_thick_whether_it_or_the_patient_is_turned(angle_deg):
    turn = rotation(about_y_deg=angle_deg) @ rotation(about_x_deg=12)
    slab = a_block(500, 500, 20)
    beam = a_beam()
    exact = 20 / np.abs(rays(beam)[1] @ turn[:, 2])
    np.testing.assert_allclose(film_of(slab.moved(turn, np.zeros(3)), beam=beam), exact, rtol=1e-5)
    np.testing.assert_allclose(film_of(slab, beam=a_beam(turn=turn)), exact, rtol=1e-5)


def test_a_wedge_gains_the_same_from_column_to_column_in_parallel_rays():
    seen = film_of(a_wedge(30.0), beam=a_beam().from_afar())
    inside = seen[48, 10:84]
    np.testing.assert_allclose(
        np.diff(inside), -0.5 * np.tan(np.radians(30)), atol=2e-4
    )  # anterior, +x, is on the left


def test_a_wedge_is_exact_in_a_diverging_beam():
    beam, wedge = a_beam(turn=rotation(10, 35, -20)), a_wedge(40.0)
    np.testing.assert_allclose(film_of(wedge, beam=beam), lengths_between_planes(beam, wedge), atol=2e-3)


def test_what_lies_nearer_to_the_source_is_projected_larger():
    beam = Beam(1100, 900, 0.3, UPRIGHT, (200.0, 300.0), (200.0, 300.0))
    assert beam.magnification == pytest.approx(11 / 9)
    points = beam.project(np.array([[30.0, 0, 0], [30.0, 0, -90], [30.0, 60, 100]]))
    np.testing.assert_allclose(points, [[100, 300], [200 - 100 / 0.9, 300], [110, 120]])


@pytest.mark.parametrize("z_mm", [-120.0, 0.0, 150.0])
def test_the_shadow_of_a_ball_is_that_of_its_tangent_cone(z_mm):
    middle = (150.0, 150.0)
    seen = film_of(
        ellipsoid((0, 0, z_mm), (40, 40, 40), 1.0, rings=80, around=160),
        beam=a_beam(origin_px=middle, central_px=middle),
        side=301,
    )
    radius_px = 900 * np.tan(np.arcsin(40 / (900 + z_mm))) / 0.5
    assert np.count_nonzero(seen) == pytest.approx(np.pi * radius_px**2, rel=0.003)
    assert np.count_nonzero(seen[150]) == pytest.approx(2 * radius_px, abs=1)


def test_a_shell_is_cortical_bone_outside_and_spongy_bone_inside():
    outer, inner = a_block(60, 60, 40), a_block(52, 52, 30)
    both = shell(outer, inner, cortical=0.9, spongy=0.2)
    assert [solid.density for solid in both] == pytest.approx([0.9, -0.7])
    expected = (0.9 * 10 + 0.2 * 30) / rays(a_beam())[1][..., 2]
    np.testing.assert_allclose(film_of(*both)[30:60, 30:60], expected[30:60, 30:60], rtol=1e-5)


def test_path_lengths_add_up_over_solids_and_grow_with_density():
    a, b = ellipsoid((4, 0, 0), (12, 15, 9), 0.8), a_block(20, 14, 30, -0.3)
    np.testing.assert_allclose(film_of(a, b), film_of(a) + film_of(b), atol=1e-5)
    np.testing.assert_allclose(film_of(a.with_density(2.4)), 3 * film_of(a), atol=1e-5)
    np.testing.assert_array_equal(film_of(a, a.with_density(-0.8)), 0)


def test_without_solids_the_film_is_empty():
    assert film_of().shape == (SIDE, SIDE) and not film_of().any()


@st.composite
def convex_solids(draw):
    """Balls of few facets and blocks, of any shape and turned anyhow: rounding has every chance."""
    turn = rotation(*(draw(st.sampled_from([0, 45, 90, 180]) | st.floats(-180, 180)) for _ in range(3)))
    size = [draw(st.sampled_from([2.0, 8.0, 20.0]) | st.floats(1.0, 20.0)) for _ in range(3)]
    made = a_block(*size)
    if rings := draw(st.integers(0, 9)):
        made = ellipsoid((0, 0, 0), size, 1.0, rings=rings, around=draw(st.integers(3, 16)))
    return made.moved(turn, np.array([draw(st.integers(-3, 3)) for _ in range(3)]))


@settings(max_examples=80, deadline=None, derandomize=True)
@given(convex_solids(), st.sampled_from([(32.0, 32.0), (31.5, 32.5), (20.3, 40.9)]))
def test_no_ray_leaks_through_a_seam(solid, central_px):
    beam = a_beam(pixel_mm=1.0, origin_px=(32.0, 32.0), central_px=central_px)
    seen, exact = film_of(solid, beam=beam, side=64), lengths_between_planes(beam, solid, side=64)
    extent = np.linalg.norm(solid.vertices[:, None] - solid.vertices, axis=-1).max()
    assert seen.min() > -1e-3 and seen.max() < extent + 1e-3
    assert (np.abs(seen - exact) > 0.01).sum() <= 3  # rays along a face: all of it or nothing


@settings(max_examples=40, deadline=None, derandomize=True)
@given(convex_solids())
def test_rays_that_pass_by_a_solid_are_exactly_zero(solid):
    beam = a_beam(pixel_mm=1.0, origin_px=(32.0, 32.0), central_px=(30.0, 33.0))
    middle = solid.vertices.mean(axis=0)
    swollen = Solid(middle + (solid.vertices - middle) * 1.01, solid.triangles, 1.0)
    passing = lengths_between_planes(beam, swollen, side=64) == 0
    assert passing.any() and not film_of(solid, beam=beam, side=64)[passing].any()


@pytest.mark.parametrize("seed", range(30))
def test_a_face_along_the_ray_counts_for_no_more_than_itself(seed):
    """A block's face in the plane of the source but for nanometres: which triangles turn to it is rounding's choice."""
    rng = np.random.default_rng(seed)
    roughness_mm = 10 ** rng.uniform(-7, -5)
    rings = []
    for y in np.linspace(-20.3, 20.1, 12):
        ring = np.array([(0, y, -20), (0, y, -3), (0, y, 11), (0, y, 20), (20, y, 20), (20, y, -20.0)])
        ring[:4, 0] += rng.normal(0, roughness_mm, 4)
        rings.append(ring)
    block = loft(np.array(rings), 1.0).moved(UPRIGHT, np.array([0, 0, 400.0]))
    seen = film_of(block, beam=a_beam(origin_px=(48.0, 48.0), central_px=(48.0, 48.0), sod=500.0))
    assert seen.min() > -41 and seen.max() < 2 * 41


def test_faces_without_area_do_no_harm():
    """A tent over a square: the flap that closes its ridge has no area, but on the film rounding lends it some."""
    square = np.array([(-20, -20, 9), (20, -20, 9), (20, 20, 9), (-20, 20, 9.0)])
    ridge = np.array([(2, 1, 0.0)]) * [[-5.7], [7.2], [-3.1], [-1.3]]
    tent = loft(np.stack([square, ridge, ridge]), 1.0)
    seen = film_of(tent, beam=a_beam(origin_px=(48.0, 48.0), central_px=(48.0, 48.0)))
    assert np.isfinite(seen).all() and seen.min() > -1e-3 and seen.max() < 9.1


def test_a_solid_partly_off_the_film_is_cut_and_nothing_else():
    solids = [ellipsoid((6, 4, 0), (30, 38, 25), 1.0, rotation(20, 30, 40)), a_block(50, 30, 20, 0.5)]
    wide = a_beam(origin_px=(100.3, 94.6), central_px=(90.7, 110.2))
    whole = film_of(*solids, beam=wide, side=210)
    for right, down in ((80, 10), (100, 100), (5, 110), (60, 60)):
        cut = replace(wide, origin_px=(100.3 - right, 94.6 - down), central_px=(90.7 - right, 110.2 - down))
        part = film_of(*solids, beam=cut)
        assert part.any()
        np.testing.assert_allclose(part, whole[down : down + SIDE, right : right + SIDE], atol=5e-3)


def test_a_solid_that_is_all_off_the_film_leaves_it_empty():
    for far in ((200, 0, 0), (-200, 0, 0), (0, 200, 0), (0, -200, 0)):
        assert not film_of(ellipsoid(far, (20, 20, 20), 1.0)).any()


def test_a_solid_behind_the_source_is_refused_with_the_remedy():
    with pytest.raises(ValueError, match="enlarge source_to_patient_mm"):
        film_of(ellipsoid((0, 0, -890), (20, 20, 20), 1.0))


@pytest.mark.parametrize("factor", [2, 4])
def test_a_smaller_film_shows_the_means_of_blocks(factor):
    beam = a_beam(turn=rotation(5, 10, 15))
    ball = ellipsoid((0, 0, 0), (18, 20, 15), 1.0, rings=30, around=60)
    side = SIDE // factor
    blocks = film_of(ball, beam=beam).reshape(side, factor, side, factor)
    inside = blocks.min(axis=(1, 3)) > 12
    small = film_of(ball, beam=beam.smaller(factor), side=side)
    assert np.abs(small - blocks.mean(axis=(1, 3)))[inside].max() < 0.05 * factor**2
    assert small.mean() == pytest.approx(blocks.mean(), rel=0.002 * factor)
    points = np.array([[10.0, -7.0, 30.0]])
    np.testing.assert_allclose((beam.project(points) + 0.5) / factor - 0.5, beam.smaller(factor).project(points))


def test_in_parallel_rays_the_film_adds_up_to_the_volume():
    beam = a_beam(turn=rotation(0, 0, 20)).from_afar()
    solid = tube([(-12, -10, 3), (0, 2, -4), (12, 8, 5)], (5, 7), 1.0)
    assert film_of(solid, beam=beam).sum() * 0.5**2 == pytest.approx(solid.volume, rel=0.002)


def test_a_ray_down_the_seam_of_a_bone_meets_its_cortex_twice():
    bone = bone_tube([(0, y, 0) for y in (-30, 0, 30)], (6, 8), cortex_mm=1.5, cortical=1.0, spongy=0.25)
    seen = film_of(*bone, beam=a_beam(origin_px=(48.0, 48.0), central_px=(48.0, 48.0)))
    np.testing.assert_allclose(seen[48, 48], 2 * 1.5 + 0.25 * 2 * 6.5, rtol=1e-5)


def a_bent_tube():
    return tube([(0, 0, 0), (3, 6, 2), (5, 13, 3), (5, 20, 3), (3, 27, 2), (-1, 34, 1), (-5, 40, 0)], (3, 4), 1.0)


@pytest.mark.parametrize("solid", [a_bent_tube(), ellipsoid((1, 2, 3), (4, 5, 6), 1.0), a_block(3, 4, 5)])
def test_a_surface_is_closed_and_faces_outwards(solid):
    edges = solid.triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)
    there, back = {tuple(e) for e in edges.tolist()}, {tuple(e[::-1]) for e in edges.tolist()}
    assert len(there) == len(edges) and there == back
    assert solid.volume > 0


def test_volumes_are_right():
    assert a_block(3, 4, 5).volume == pytest.approx(60)
    assert a_wedge(45.0).volume == pytest.approx(40 * 40 / 2 * 60)
    ball = ellipsoid((7, -8, 9), (3, 4, 5), 1.0, rotation(10, 20, 30), rings=80, around=160)
    assert ball.volume == pytest.approx(4 / 3 * np.pi * 60, rel=1e-3)
    section = 12 / 2 * np.sin(2 * np.pi / 12) * 3 * 4
    ends = 2 * (3 + 4) / 4 * section * (1 + 0.6 + 0.36) / 3
    assert tube([(0, y, 0) for y in range(0, 60, 10)], (3, 4), 1.0).volume == pytest.approx(50 * section + ends)


def test_rings_may_wind_either_way_and_moving_keeps_the_volume():
    rings = np.array([[(c, y, s) for c, s in ((3, 0), (0, 2), (-3, 0), (0, -2))] for y in (0.0, 5.0)])
    prism, other = loft(rings, 1.0), loft(rings[:, ::-1], 1.0)
    assert prism.volume == pytest.approx(other.volume) == pytest.approx(60)
    assert prism.moved(rotation(20, 30, 40), np.array([5.0, 6.0, 7.0])).volume == pytest.approx(60)


def test_a_tube_is_wide_along_across():
    sections = tube([(0, 0, 0), (0, 30, 0)], (2, 7), 1.0).vertices
    np.testing.assert_allclose(np.abs(sections).max(axis=0)[[0, 2]], [2, 7], rtol=1e-6)


def test_merged_solids_keep_their_own_triangles_and_densities():
    a, b = a_block(1, 1, 1, 0.5), a_block(2, 2, 2, 2.0)
    vertices, triangles, density = merged([a, b])
    np.testing.assert_array_equal(vertices[triangles[density == 2.0]], b.vertices[b.triangles])
    assert len(triangles) == len(a.triangles) + len(b.triangles)
