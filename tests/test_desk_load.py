"""The desk under load, killed, and asked nonsense."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import httpx2
import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings

from lumbar.serving import Blobs, Store
from tests.desks import a_desk, a_move, filled, listening, served, uploaded
from tests.postgresql import postgresql

CLIENTS, FILMS, ROUNDS = 20, 200, 6


def test_a_correction_costs_a_bounded_multiple_of_an_empty_request(tmp_path):
    """Of a study of two films: kept on the disk, and every figure, every motion and every verdict of five criteria made anew.

    The ratio is one of processor time, which other programs on the machine do not stretch; the times on the clock are printed.
    """
    with TestClient(a_desk(tmp_path)) as client:
        study = uploaded(client, "flexion.png", "extension.png")
        film = study["films"][0]
        empty, corrected, on_the_clock = [], [], []
        for i in range(12):
            start = time.process_time()
            for _ in range(10):
                client.get("/api/health")
            middle, clock = time.process_time(), time.perf_counter()
            body = {"base": i + 1, "author": "Ada", "do": a_move(study, dx=-i)}
            assert client.post(f"/api/films/{film['id']}/corrections", json=body).status_code == 201
            empty.append((middle - start) / 10)
            corrected.append(time.process_time() - middle)
            on_the_clock.append(time.perf_counter() - clock)
    ratio = min(corrected) / min(empty)
    figures = (1000 * min(t) for t in (empty, corrected, on_the_clock))
    print(
        "\nempty {:.1f} ms, correction {:.1f} ms of the processor, {:.1f} ms on the clock; ratio {:.0f}".format(
            *figures, ratio
        )
    )
    assert ratio < 80


def work(address: str, films: list[str], seed: int, made: list[tuple[str, int]], problems: list[object]) -> None:
    """One client: looks at a film and corrects it, again where somebody was faster, and counts what was kept."""
    rng = random.Random(seed)
    try:
        with httpx2.Client(base_url=address, timeout=60) as client:
            for _ in range(ROUNDS):
                film = rng.choice(films)
                while True:
                    newest = client.get(f"/api/films/{film}/versions").json()[-1]["version"]
                    place = [rng.uniform(300, 900), rng.uniform(200, 1200)]
                    do = {"action": "move", "corners": {"L3_superior_anterior": place}}
                    answer = client.post(
                        f"/api/films/{film}/corrections", json={"base": newest, "do": do, "author": f"c{seed}"}
                    )
                    if answer.status_code == 201:
                        made.append((film, answer.json()["film"]["version"]))
                        break
                    if answer.status_code != 409:
                        problems.append((answer.status_code, answer.text))
                        return
    except Exception as problem:
        problems.append(problem)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_twenty_clients_lose_no_correction(tmp_path, database):
    if database == "postgresql":
        with postgresql() as url:
            twenty_clients(tmp_path, url)
    else:
        twenty_clients(tmp_path, f"sqlite:///{tmp_path / 'desk.db'}")


def twenty_clients(folder: Path, url: str) -> None:
    store = Store.open(url)
    films = filled(store, Blobs(folder), folder, FILMS)
    store.close()
    crowded = films[:30] + films[:5] * 12  # so that clients do meet
    made: list[tuple[str, int]] = []
    problems: list[object] = []
    with served("--data", folder, "--database", url) as (address, _):
        clients = [
            threading.Thread(target=work, args=(address, films if i % 2 else crowded, i, made, problems))
            for i in range(CLIENTS)
        ]
        start = time.perf_counter()
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        print(f"{len(made)} corrections in {time.perf_counter() - start:.1f} s")
        assert problems == []
        assert len(made) == CLIENTS * ROUNDS and len(set(made)) == len(made)  # no two got the same version
    store = Store.open(url)
    kept = {(film, row.version) for film in films for row in store.history(film) if row.version > 1}
    store.close()
    assert kept == set(made)


def test_a_killed_server_comes_back_with_everything(tmp_path):
    """Killed outright while a client corrects: what was answered is there, and nothing is half there."""
    store = Store.open(f"sqlite:///{tmp_path / 'desk.db'}")
    (film, *_) = filled(store, Blobs(tmp_path), tmp_path, 3)
    store.close()
    answered = []
    with served("--data", tmp_path) as (address, process):
        begun = threading.Event()

        def kill() -> None:
            begun.wait(60)
            time.sleep(0.3)
            os.kill(process.pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with httpx2.Client(base_url=address) as client:
            for version in range(1, 10_000):
                do = {"action": "move", "corners": {"L2_superior_anterior": [500.0 + version % 50, 400.0]}}
                try:
                    answer = client.post(
                        f"/api/films/{film}/corrections", json={"base": version, "do": do, "author": "Ada"}
                    )
                except httpx2.TransportError:
                    break
                assert answer.status_code == 201
                answered.append(answer.json()["film"])
                begun.set()
        killer.join()
        assert process.wait(10) == -signal.SIGKILL and answered
    with served("--data", tmp_path) as (address, _), httpx2.Client(base_url=address) as client:
        versions = client.get(f"/api/films/{film}/versions").json()
        numbers = [entry["version"] for entry in versions]
        assert numbers == list(range(1, len(numbers) + 1)) and len(numbers) - 1 - len(answered) in (0, 1)
        last = client.get(f"/api/films/{film}/versions/{answered[-1]['version']}").json()
        assert last["vertebrae"]["L2"]["superior_anterior"] == answered[-1]["corners"]["L2_superior_anterior"]
        assert client.get("/api/studies").json()["total"] == 3


def test_no_nonsense_makes_the_desk_stumble(tmp_path):
    """Requests made of the OpenAPI document, and others that break it; half of them name a study and a film that are there."""
    with listening(a_desk(tmp_path)) as address, httpx2.Client(base_url=address, timeout=30) as client:
        study = uploaded(client, "flexion.png", "extension.png")
        there = {"study_id": study["id"], "film_id": study["films"][0]["id"]}
        schema = schemathesis.openapi.from_url(f"{address}/api/openapi.json")
        asked: dict[str, int] = {}
        for found in schema.get_all_operations():
            asked_of(found.ok(), there, asked)
        assert len(asked) == len(schema.raw_schema["paths"]) and sum(asked.values()) > 150
        assert client.get("/api/health").status_code == 200


def asked_of(operation, there: dict[str, str], asked: dict[str, int]) -> None:
    """Ask an operation as its schema generates it, and again of a study and film that are there."""

    @settings(max_examples=8, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def ask(case):
        for _ in range(2):
            answer = case.call()
            asked[operation.path] = asked.get(operation.path, 0) + 1
            assert answer.status_code < 500, f"{case.as_curl_command()}\n{answer.text}"
            for name in there.keys() & (case.path_parameters or {}).keys():
                case.path_parameters[name] = there[name]

    ask()
