"""Desks for tests: over a folder of their own, with a reader that knows the answer."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import uvicorn
from fastapi import FastAPI
from fastapi.testclient import TestClient
from PIL import Image

from lumbar.anatomy import Posture
from lumbar.radiograph import Radiograph
from lumbar.reading import Reading
from lumbar.serving import Blobs, Limits, NewFilm, Settings, Store, create_app
from tests.spines import a_reading, a_spine

NO_LIMITS = Limits(requests_per_s=1e9, burst=10**9, uploads_per_minute=1e9, guesses_per_minute=1e9)
FLEXED = a_spine({"L4/L5": 36}, {"L4/L5": -2, "L3/L4": 3, "L2/L3": 3}, corner_error_mm=0.4)
STRAIGHT = a_spine({"L4/L5": 18}, {"L4/L5": 9, "L3/L4": 9, "L2/L3": 9}, corner_error_mm=0.4)


def knowing(radiographs: Sequence[Radiograph], names: Sequence[str], source: str) -> list[Reading]:
    """Reads every film as the spine that its name stands for."""
    postures = {"flexion": Posture.FLEXION, "extension": Posture.EXTENSION}
    return [a_reading(FLEXED if "flexion" in n else STRAIGHT, n, postures.get(Path(n).stem)) for n in names]


def a_desk(folder: Path, settings: Settings | None = None, url: str | None = None, read=knowing) -> FastAPI:
    """An app over a new or an old folder."""
    blobs = Blobs(folder)
    return create_app(
        Store.open(url or f"sqlite:///{folder / 'desk.db'}"),
        blobs,
        lambda: read,
        settings or Settings(hosts=None, limits=NO_LIMITS),
    )


def a_film_file(seed: int = 0, height: int = 1500, width: int = 1200) -> bytes:
    """A PNG of this size whose content depends on the seed."""
    grey = np.full((height, width), 40, np.uint8)
    grey[:64, :64] = np.random.default_rng(seed).integers(0, 255, (64, 64), np.uint8)
    file = BytesIO()
    Image.fromarray(grey).save(file, "PNG")
    return file.getvalue()


def films(*names: str) -> list[tuple[str, tuple[str, bytes]]]:
    """As an upload's `files`."""
    return [("films", (name, a_film_file(i))) for i, name in enumerate(names)]


def uploaded(client: TestClient, *names: str, **said: object) -> dict:
    """A study that was sent and read."""
    sent = client.post("/api/studies", files=films(*names), data={"author": "Ada", **said})
    assert sent.status_code == 201, sent.text
    return awaited(client, sent.json()["id"])


def awaited(client, study_id: str, limit_s: float = 60) -> dict:
    """The study once it was read, or could not be."""
    until = time.monotonic() + limit_s
    while (study := client.get(f"/api/studies/{study_id}").json())["status"] == "waiting":
        assert time.monotonic() < until, "not read in time"
        time.sleep(0.02)
    return study


def a_move(study: dict, corner: str = "L4_inferior_posterior", dx: float = -15.0, film: int = 0) -> dict:
    """The action that moves a corner of a film by so many pixels."""
    x, y = study["films"][film]["corners"][corner]
    return {"action": "move", "corners": {corner: [x + dx, y]}}


def filled(store: Store, blobs: Blobs, folder: Path, count: int) -> list[str]:
    """Ids of so many films, each read already, one a study; they share one picture."""
    picture = folder / "film.png"
    picture.write_bytes(a_film_file())
    sha256, reading = blobs.keep(picture), a_reading(STRAIGHT, "film.png")
    for i in range(count):
        study_id = store.add_study(f"study {i:03d}", "Ada", [NewFilm("film.png", sha256, 1200, 1500)])
        film_id = store.study(study_id).films[0].id
        store.add_first(study_id, {film_id: reading}, "prediction", "lumbar")
    return [record.films[0].id for record in store.studies()]


@contextmanager
def served(*arguments: object, limit_s: float = 60) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`lumbar serve` as a process of its own on a free port: its address and the process, which is ended at the end."""
    command = [sys.executable, "-m", "lumbar", "serve", "--port", "0", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        line = process.stdout.readline()  # type: ignore[union-attr]
        found = re.search(r"http://\S+", line)
        assert found, line + (process.stderr.read() if process.poll() is not None else "")  # type: ignore[union-attr]
        yield found.group(0), process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=limit_s)


@contextmanager
def listening(app: FastAPI) -> Iterator[str]:
    """The address of an app that is served by a thread of this process."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive()
                time.sleep(0.02)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
