"""Research: two readers who do not see each other mark the same films, and are compared."""

import json
import shutil

import numpy as np
import pytest
from fastapi.testclient import TestClient

from lumbar.anatomy import LANDMARKS
from lumbar.datasets.coco import read_coco
from lumbar.landmarks.table import read_landmarks
from lumbar.serving import Blobs, Settings, Store, create_app
from lumbar.serving.annotation import add_folder, compare_readers, nothing_marked, reader_folder
from tests.command import lumbar
from tests.desks import FLEXED, NO_LIMITS, STRAIGHT, a_film_file, awaited
from tests.spines import on_film


@pytest.fixture
def folder(tmp_path):
    """Three films without annotations, and a note."""
    for i in range(3):
        (tmp_path / f"000{i}-F-050Y1.png").write_bytes(a_film_file(i))
    (tmp_path / "note.txt").write_text("taken in May")
    return tmp_path


def desk_of(folder, reader):
    home = reader_folder(folder, reader) / "desk"
    blobs = Blobs(home)
    store = Store.open(f"sqlite:///{home / 'desk.db'}")
    assert add_folder(store, blobs, folder, reader) == []
    settings = Settings(hosts=None, limits=NO_LIMITS, annotate=folder, reader=reader)
    return create_app(store, blobs, lambda: nothing_marked, settings)


def mark(client, name: str, points: np.ndarray, sign: bool = True) -> dict:
    """Place all corners of a film, in two goes, and sign it."""
    (listed,) = client.get("/api/studies", params={"name": name}).json()["studies"]
    study = awaited(client, listed["id"])
    film = study["films"][0]
    corners = {f"{v}_{c}": list(point) for (v, c), point in zip(LANDMARKS, points, strict=True)}
    for part in (list(corners)[:1], list(corners)[1:]):
        body = {
            "base": film["version"],
            "author": "anybody",
            "do": {"action": "move", "corners": {k: corners[k] for k in part}},
        }
        answer = client.post(f"/api/films/{film['id']}/corrections", json=body)
        assert answer.status_code == 201, answer.text
        film = answer.json()["film"]
    if sign:
        body = {"versions": {film["id"]: film["version"]}, "author": "anybody"}
        assert client.post(f"/api/studies/{study['id']}/sign-offs", json=body).status_code == 201
    return film


POINTS = on_film(STRAIGHT).points_px


def test_a_film_starts_without_a_corner_and_is_written_once_it_is_signed(folder):
    with TestClient(desk_of(folder, "ada")) as client:
        film = mark(client, "0000", POINTS, sign=False)
        assert film["author"] == "ada" and all(film["ellipses"].values())
        assert not (folder / "readers" / "ada" / "0000-F-050Y1.csv").exists()
        mark(client, "0001", POINTS)
    out = folder / "readers" / "ada"
    assert np.allclose(read_landmarks(out / "0001-F-050Y1.csv"), POINTS, atol=0.01)
    (entry,) = read_coco(out / "coco.json")
    assert entry.film == "0001-F-050Y1.png" and np.allclose(entry.points_px, POINTS, atol=0.01)


def test_a_blank_film_does_not_say_that_there_is_no_spine(folder):
    with TestClient(desk_of(folder, "ada")) as client:
        listed = client.get("/api/studies").json()["studies"][0]
        film = awaited(client, listed["id"])["films"][0]
        assert film["kind"] == "blank" and film["warnings"] == [] and not any(film["corners"].values())


def test_readers_do_not_meet(folder):
    """The first reader's name has letters that no hexadecimal id has, so it can stand in the page only as a name."""
    with TestClient(desk_of(folder, "nora")) as client:
        mark(client, "0000", POINTS)
    with TestClient(desk_of(folder, "bob")) as client:
        page = client.get("/api/studies").json()
        assert page["total"] == 3 and "nora" not in json.dumps(page)
        assert page["counts"].get("signed") is None


def test_a_film_that_faces_right_is_not_written(folder):
    with TestClient(desk_of(folder, "ada")) as client:
        study = awaited(client, client.get("/api/studies").json()["studies"][0]["id"])
        film = study["films"][0]
        turn = {"base": 1, "author": "a", "do": {"action": "turn"}}
        assert client.post(f"/api/films/{film['id']}/corrections", json=turn).status_code == 201
        sign = client.post(f"/api/studies/{study['id']}/sign-offs", json={"versions": {film["id"]: 2}, "author": "a"})
        assert sign.status_code == 422 and "mirror the film" in sign.json()["detail"]
    assert not list((folder / "readers" / "ada").glob("*.csv"))


def test_films_come_from_the_folder_alone_and_only_once(folder):
    with TestClient(desk_of(folder, "ada")) as client:
        sent = client.post("/api/studies", files={"films": ("x.png", a_film_file())}, data={"author": "a"})
        assert sent.status_code == 409
    (folder / "0003-F-050Y1.png").write_bytes(a_film_file(3))
    with TestClient(desk_of(folder, "ada")) as client:
        assert client.get("/api/studies").json()["total"] == 4


def test_two_readers_agree_as_far_as_their_points_do(folder):
    shifts = {"ada": (0.0, 0.0, 0.0), "bob": (4.0, 4.0, 4.0)}
    films = (on_film(STRAIGHT).points_px, on_film(FLEXED).points_px, on_film(STRAIGHT).points_px)
    for reader, shift in shifts.items():
        with TestClient(desk_of(folder, reader)) as client:
            for i, points in enumerate(films):
                moved = np.array(points)
                moved[15] += [shift[i], 0.0]  # L4's inferior posterior corner, forwards or back
                mark(client, f"000{i}", moved)
    found = compare_readers(folder, ("ada", "bob"))
    by_key = {(row.quantity, row.site): row.agreement for row in found.compared}
    slip, elsewhere = by_key["slip", "L4/L5"], by_key["slip", "L1/L2"]
    expected = -100 * 4.0 * 0.2 / 32  # the film faces left: +x is backwards
    assert slip.n == 3 and slip.bias == pytest.approx(expected, abs=0.3) and slip.icc > 0.8
    assert elsewhere.bias == pytest.approx(0, abs=0.05)
    assert found.films == ("0000-F-050Y1", "0001-F-050Y1", "0002-F-050Y1") and found.corners_missed == 0
    assert len(found.corners_px) == 66 and found.corners_px.max() == pytest.approx(4.0, abs=0.02)
    assert ("sagittal_displacement_wall", "L4/L5") not in by_key  # no spacing, no mm
    done = lumbar("agreement", folder, "--reader", "ada", "--reader", "bob", "--out", folder / "out")
    assert done.returncode == 0 and "ICC(2,1)" in done.stdout and "bob less ada: 3 films, 66 corners" in done.stdout
    document = json.loads((folder / "out" / "agreement.json").read_text())
    (entry,) = (q for q in document["quantities"] if (q["quantity"], q["site"]) == ("slip", "L4/L5"))
    assert entry["bias"] == pytest.approx(slip.bias)


def test_a_reader_who_signed_nothing_is_named(folder):
    done = lumbar("agreement", folder, "--reader", "ada", "--reader", "bob")
    assert done.returncode == 2 and "ada has signed no film yet" in done.stderr


def test_two_films_of_one_name_are_told(folder):
    shutil.copy(folder / "0000-F-050Y1.png", folder / "0000-F-050Y1.bmp")
    blobs, store = Blobs(folder / "x"), Store.open(f"sqlite:///{folder / 'x.db'}")
    problems = add_folder(store, blobs, folder, "ada")
    store.close()
    assert len(problems) == 1 and "its csv would be that of" in problems[0]
