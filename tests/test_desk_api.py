"""The desk's API as a clinic's own program would use it."""

import json
import time
from dataclasses import replace
from io import BytesIO
from zipfile import ZipFile

import pytest
from fastapi.testclient import TestClient
from pydicom import dcmread

from lumbar.landmarks import SpineLandmarks
from lumbar.reading import Reading
from lumbar.serving import Settings
from tests.desks import NO_LIMITS, a_desk, a_film_file, a_move, awaited, films, knowing, uploaded


@pytest.fixture
def client(tmp_path):
    with TestClient(a_desk(tmp_path)) as client:
        yield client


def corrected(client, film, do, base=None, author="Ada"):
    return client.post(
        f"/api/films/{film['id']}/corrections", json={"base": base or film["version"], "do": do, "author": author}
    )


def test_a_study_is_read_and_its_motion_assessed(client):
    study = uploaded(client, "flexion.png", "extension.png", name="Case 7")
    assert study["name"] == "Case 7" and study["status"] == "open"
    assert [film["posture"] for film in study["films"]] == ["flexion", "extension"]
    level = study["motion"]["levels"][3]
    assert level["site"] == "L4/L5" and level["verdict"] == "unstable" and level["translation"].startswith("+")
    assert {said["criteria"] for said in level["by_criteria"]} >= {"paper", "white-panjabi"}


def test_a_corrected_vertebra_changes_its_film_the_motion_and_the_verdict(client):
    study = uploaded(client, "flexion.png", "extension.png")
    flexed = study["films"][0]
    moved = {name: [x + 22.0, y] for name, (x, y) in flexed["corners"].items() if name.startswith("L4")}
    answer = corrected(client, flexed, {"action": "move", "corners": moved})
    assert answer.status_code == 201
    after = answer.json()
    slip = [film["levels"][3]["figures"][2][0] for film in (flexed, after["film"])]
    assert slip[0].startswith("+36.0") and slip[1].startswith("+22.")
    assert after["motion"]["levels"][3]["verdict"] != "unstable"
    assert after["film"]["moved"] == list(moved) and after["film"]["version"] == 2
    kept = client.get(f"/api/studies/{study['id']}").json()
    assert kept["motion"] == after["motion"]
    for what in ("corners", "levels", "lines", "ellipses", "version", "what", "author"):
        assert kept["films"][0][what] == after["film"][what]


def test_figures_are_those_of_the_command_line(client):
    """The stored document is a reading, measured anew by `Reading.remeasured` and nothing else."""
    study = uploaded(client, "flexion.png")
    film = study["films"][0]
    corrected(client, film, a_move(study))
    document = client.get(f"/api/films/{film['id']}/versions/2").json()
    reading = Reading.from_json(json.dumps(document))
    again = reading.remeasured(reading.landmarks)
    assert again.measurements == reading.measurements and again.grades == reading.grades


def test_a_trial_keeps_nothing(client):
    study = uploaded(client, "flexion.png")
    film = study["films"][0]
    tried = client.post(f"/api/films/{film['id']}/measure", json={"base": 1, "do": a_move(study)}).json()
    assert tried["film"]["levels"] != film["levels"]
    assert client.get(f"/api/studies/{study['id']}").json() == study


def test_a_correction_of_an_old_version_is_refused_and_both_are_told(client):
    study = uploaded(client, "flexion.png")
    film = study["films"][0]
    assert corrected(client, film, a_move(study), author="Ada").status_code == 201
    late = corrected(client, film, a_move(study, dx=9), author="Bob")
    assert late.status_code == 409 and late.json()["current"] == {film["id"]: 2}
    history = client.get(f"/api/films/{film['id']}/versions").json()
    assert [(v["version"], v["parent"], v["author"]) for v in history] == [(1, None, "lumbar"), (2, 1, "Ada")]


def test_nothing_is_overwritten_by_going_back(client):
    study = uploaded(client, "flexion.png")
    film = study["films"][0]
    second = corrected(client, film, a_move(study)).json()["film"]
    third = corrected(client, second, {"action": "restore", "version": 1}).json()["film"]
    assert third["corners"] == film["corners"] and third["moved"] == [] and third["ellipses"] == film["ellipses"]
    history = client.get(f"/api/films/{film['id']}/versions").json()
    assert [v["what"] for v in history][1:] == ["L4 inferior posterior moved", "back to version 1"]


def test_names_are_shifted_and_shifted_back(client):
    study = uploaded(client, "flexion.png")
    film = study["films"][0]
    up = corrected(client, film, {"action": "shift", "direction": "up"}).json()["film"]
    assert up["corners"]["L1_inferior_anterior"] == film["corners"]["L2_inferior_anterior"]
    assert up["corners"]["L5_superior_anterior"] == film["corners"]["S1_superior_anterior"]
    assert up["corners"]["S1_superior_anterior"] is None and up["corners"]["L5_inferior_anterior"] is None
    down = corrected(client, up, {"action": "shift", "direction": "down"}).json()["film"]
    kept = [name for name in film["corners"] if not name.startswith("L1")]
    assert {name: down["corners"][name] for name in kept} == {name: film["corners"][name] for name in kept}


def test_an_absent_vertebra_is_said_and_not_measured(client):
    study = uploaded(client, "flexion.png")
    corners = {name: None for name in study["films"][0]["corners"] if name.startswith("L1")}
    film = corrected(client, study["films"][0], {"action": "move", "corners": corners}).json()["film"]
    text, why = film["levels"][0]["figures"][2]
    assert film["what"] == "L1 absent" and text == "–" and "L1" in why
    far_slip = "1 warning"  # the film's L4 lies a third of an endplate forward: check the names
    assert client.get("/api/studies").json()["studies"][0]["flags"] == ["L1 incomplete", far_slip]


def test_a_film_turned_round_measures_the_other_way(client):
    study = uploaded(client, "flexion.png")
    film = study["films"][0]
    turned = corrected(client, film, {"action": "turn"}).json()["film"]
    assert turned["anterior"] != film["anterior"] and turned["facing_source"] == "given"
    assert turned["corners"]["L3_superior_anterior"] == film["corners"]["L3_superior_posterior"]


def test_a_moved_corner_has_the_error_of_a_person(client):
    """0.023 of an endplate of 32 mm at 0.2 mm a pixel: 3.7 pixels, of which 95 % lie within 2.45."""
    study = uploaded(client, "flexion.png")
    film = corrected(client, study["films"][0], a_move(study)).json()["film"]
    ellipse = film["ellipses"]["L4_inferior_posterior"]
    assert ellipse["rx"] == pytest.approx(ellipse["ry"]) == pytest.approx(0.023 * 32 / 0.2 * 2.448, rel=0.02)


def test_a_spacing_makes_mm_and_a_posture_a_study(client):
    study = uploaded(client, "one.png", "two.png")
    assert "lordosis" in str(study["motion"]["reason"])
    film = study["films"][0]
    said = corrected(client, film, {"action": "posture", "posture": "flexion"}).json()
    assert said["film"]["posture"] == "flexion" and said["film"]["posture_source"] == "given"
    assert said["motion"]["reason"] is None and said["motion"]["levels"]
    sized = corrected(client, said["film"], {"action": "spacing", "row_mm": 0.1, "column_mm": 0.1}).json()["film"]
    assert (
        "given at the desk" in sized["spacing"] and sized["levels"][3]["figures"][1] != film["levels"][3]["figures"][1]
    )


def test_signing_names_what_was_seen(client):
    study = uploaded(client, "flexion.png", "extension.png")
    seen = {film["id"]: film["version"] for film in study["films"]}
    sign = f"/api/studies/{study['id']}/sign-offs"
    corrected(client, study["films"][0], a_move(study))
    stale = client.post(sign, json={"versions": seen, "author": "Ada"})
    assert stale.status_code == 409 and stale.json()["current"][study["films"][0]["id"]] == 2
    seen[study["films"][0]["id"]] = 2
    signed = client.post(sign, json={"versions": seen, "author": "Ada", "comment": "fine"}).json()
    assert signed["status"] == "signed" and signed["sign_offs"][0]["comment"] == "fine"
    corrected(client, signed["films"][1], a_move(study, film=1))
    changed = client.get(f"/api/studies/{study['id']}").json()
    assert changed["status"] == "changed" and len(changed["sign_offs"]) == 1


def test_the_worklist_puts_the_doubtful_first_and_filters(client):
    for name in ("extension.png", "flexion.png"):
        uploaded(client, name, name=name)
    plain, doubtful = (client.get("/api/studies", params={"name": n}).json()["studies"][0] for n in ("ext", "flex"))
    film = client.get(f"/api/studies/{doubtful['id']}").json()["films"][0]
    corrected(client, film, {"action": "shift", "direction": "down"})
    page = client.get("/api/studies").json()
    assert [s["id"] for s in page["studies"]] == [doubtful["id"], plain["id"]] and page["counts"] == {"open": 2}
    assert page["studies"][0]["doubt"] > page["studies"][1]["doubt"]
    assert client.get("/api/studies", params={"flagged": True}).json()["total"] == 1
    assert client.get("/api/studies", params={"status": "signed"}).json()["studies"] == []


def test_exports_hold_the_figures_and_who_signed(client):
    study = uploaded(client, "flexion.png", "extension.png", name="../Case 7")
    client.post(
        f"/api/studies/{study['id']}/sign-offs",
        json={"versions": {film["id"]: 1 for film in study["films"]}, "author": "Ada"},
    )
    got = {kind: client.get(f"/api/studies/{study['id']}/export/{kind}") for kind in ("json", "csv", "html", "pdf")}
    document = got["json"].json()
    assert document["sign_offs"][0]["author"] == "Ada" and document["study"]["levels"][3]["verdict"] == "unstable"
    assert Reading.from_json(json.dumps(document["films"][0]["reading"])).film == "flexion.png"
    assert ",translation_change,L4/L5," in got["csv"].text and ",unstable by paper: unstable,L4/L5," in got["csv"].text
    assert "Signed by Ada" in got["html"].text and got["html"].headers["content-security-policy"] == "sandbox"
    assert got["html"].headers["content-disposition"] == 'attachment; filename="Case_7.html"'
    assert got["pdf"].status_code == 501 or got["pdf"].content.startswith(b"%PDF")


def fitting(radiographs, names, source):
    """The readings of `knowing`, on films of other sizes."""
    found = []
    for film, reading in zip(radiographs, knowing(radiographs, names, source), strict=True):
        share, was = film.height / reading.height, reading.landmarks
        smaller = SpineLandmarks(was.points_px * share, was.covariance_px * share**2, was.confidence)
        found.append(replace(reading, width=film.width, height=film.height).remeasured(smaller))
    return found


def test_a_study_of_dicom_films_is_exported_as_dicom(tmp_path):
    """The machine's report, the corrected one that follows it, and the study's, with UIDs that are the same whenever they are asked for."""
    pytest.importorskip("highdicom", reason="DICOM needs lumbar[pacs]")
    with TestClient(a_desk(tmp_path, read=fitting)) as client:
        _exported_as_dicom(client)


def _exported_as_dicom(client):
    study = awaited(client, client.post("/api/studies/example?author=Ada").json()["id"])
    address = f"/api/studies/{study['id']}/export/dicom"

    def objects():
        answer = client.get(address)
        assert answer.status_code == 200, answer.text
        with ZipFile(BytesIO(answer.content)) as packed:
            return {name: dcmread(BytesIO(packed.read(name))) for name in packed.namelist()}

    machine = objects()
    corrected(client, study["films"][0], a_move(study))
    found = objects()
    assert {n: o.SOPInstanceUID for n, o in found.items()} == {n: o.SOPInstanceUID for n, o in objects().items()}
    films = [f"film_{i}.{kind}.dcm" for i in (1, 2, 3) for kind in ("report", "presentation", "overlay")]
    assert sorted(machine) == sorted([*films, "study.report.dcm"])
    assert set(found) - set(machine) == {"film_1.first.report.dcm"}
    first, now = found["film_1.first.report.dcm"], found["film_1.report.dcm"]
    assert first.SOPInstanceUID == machine["film_1.report.dcm"].SOPInstanceUID != now.SOPInstanceUID
    (before,) = now.PredecessorDocumentsSequence
    assert before.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert found["film_2.report.dcm"].SOPInstanceUID == machine["film_2.report.dcm"].SOPInstanceUID
    assert found["study.report.dcm"].SOPInstanceUID != machine["study.report.dcm"].SOPInstanceUID


def test_pictures_are_not_exported_as_dicom(client):
    study = uploaded(client, "flexion.png")
    answer = client.get(f"/api/studies/{study['id']}/export/dicom")
    assert answer.status_code == 422 and "flexion.png came as a picture" in answer.json()["detail"]


def test_pixels_are_those_of_the_film(client):
    import numpy as np
    from PIL import Image

    study = uploaded(client, "flexion.png")
    answer = client.get(f"/api/films/{study['films'][0]['id']}/pixels")
    assert answer.headers["cache-control"] == "private, no-store"
    shown, sent = (np.asarray(Image.open(BytesIO(data))) for data in (answer.content, a_film_file(0)))
    assert np.array_equal(shown, sent)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ([("films", ("film.png", b"no film at all"))], "neither DICOM nor"),
        ([("films", ("film.dcm", b""))], "empty"),
        ([("films", (f"{i}.png", b"x")) for i in range(4)], "one to 3 films"),
    ],
)
def test_what_is_no_film_is_refused_with_a_remedy(client, sent, words):
    answer = client.post("/api/studies", files=sent, data={"author": "Ada"})
    assert answer.status_code == 422
    assert words in str(answer.json()["detail"])
    assert client.get("/api/studies").json()["total"] == 0


def test_unknown_criteria_and_formats_are_named(client):
    study = uploaded(client, "flexion.png", "extension.png")
    wrong = client.get(f"/api/studies/{study['id']}", params={"criteria": "mine"})
    assert wrong.status_code == 422 and "ama-5" in str(wrong.json()["detail"])
    other = client.get(f"/api/studies/{study['id']}", params={"criteria": "ama-5"}).json()
    assert other["motion"]["criteria"] == "ama-5"
    assert (
        client.get(f"/api/studies/{study['id']}/export/docx").json()["detail"].startswith("format must be one of json")
    )


def test_a_corner_off_the_film_is_refused(client):
    study = uploaded(client, "flexion.png")
    answer = corrected(client, study["films"][0], {"action": "move", "corners": {"L1_superior_anterior": [5000, 1]}})
    assert answer.status_code == 422 and "must lie on the film of 1200 x 1500 pixels" in answer.json()["detail"]


def test_a_reader_that_fails_is_told_and_costs_no_other_study(tmp_path):
    def failing(radiographs, names, source):
        if "bad" in names[0]:
            raise RuntimeError("no such kernel")
        from tests.desks import knowing

        return knowing(radiographs, names, source)

    with TestClient(a_desk(tmp_path, read=failing)) as client:
        bad = uploaded(client, "bad.png")
        assert bad["status"] == "failed" and "RuntimeError" in bad["problem"] and bad["films"] == []
        assert uploaded(client, "flexion.png")["status"] == "open"
        assert client.get("/api/studies").json()["studies"][0]["id"] == bad["id"]


def test_a_desk_that_was_stopped_goes_on(tmp_path):
    def never(radiographs, names, source):
        time.sleep(0.3)
        raise AssertionError("this desk is stopped before it reads")

    app = a_desk(tmp_path, read=never)
    app.state.desk.queue.add = lambda study_id: None  # killed between keeping the films and reading them
    with TestClient(app) as client:
        waiting = client.post("/api/studies", files=films("flexion.png"), data={"author": "Ada"}).json()
    with TestClient(a_desk(tmp_path)) as client:
        assert awaited(client, waiting["id"])["films"][0]["version"] == 1


def test_the_proxy_says_who_it_is(tmp_path):
    settings = Settings(hosts=None, user_header="X-Remote-User", limits=NO_LIMITS)
    with TestClient(a_desk(tmp_path, settings)) as client:
        assert client.post("/api/studies", files=films("flexion.png"), data={"author": "Eve"}).status_code == 403
        client.headers["X-Remote-User"] = "ada@clinic"
        study = uploaded(client, "flexion.png", author="Eve")
        assert study["added_by"] == "ada@clinic" and client.get("/api/desk").json()["author"] == "ada@clinic"
        assert (
            corrected(client, study["films"][0], a_move(study), author="Eve").json()["film"]["author"] == "ada@clinic"
        )
