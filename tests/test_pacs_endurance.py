"""Two hundred films through a node that is killed twice, into an Orthanc that is stopped meanwhile: `make test-pacs`."""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE

from tests.listening import Listening
from tests.orthanc import Orthanc, a_free_port, needs_orthanc

EXAMPLE = Path(__file__).parent.parent / "src" / "lumbar" / "examples" / "study"
FILMS = 200


def small_films(folder: Path) -> list[Path]:
    """The bundled films at half their size, each with a UID of its own and a little noise."""
    folder.mkdir()
    sources = [dcmread(path) for path in sorted(EXAMPLE.glob("*.dcm"))]
    paths = []
    for number in range(FILMS):
        film = deepcopy(sources[number % len(sources)])
        stored = film.pixel_array[::2, ::2].astype(int)
        noisy = np.clip(stored + np.random.default_rng(number).integers(-8, 9, stored.shape), 0, 4095)
        film.Rows, film.Columns = noisy.shape
        film.PixelData = noisy.astype("<u2").tobytes()
        film.ImagerPixelSpacing = [2 * float(mm) for mm in film.ImagerPixelSpacing]
        film.SOPInstanceUID = generate_uid(entropy_srcs=["endurance", str(number)])
        film.file_meta.MediaStorageSOPInstanceUID = film.SOPInstanceUID
        paths.append(folder / f"{number:03}.dcm")
        film.save_as(paths[-1], enforce_file_format=True)
    return paths


def send_until_taken(films: list[Path], port: int) -> None:
    """As a modality does: what is not answered with success is sent again."""
    entity = AE("MODALITY")
    entity.add_requested_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
    waiting = list(films)
    while waiting:
        association = entity.associate("127.0.0.1", port, ae_title="LUMBAR")
        while association.is_established and waiting:
            answer = association.send_c_store(waiting[0])
            if answer.get("Status") != 0:
                break
            waiting.pop(0)
        if association.is_established:
            association.release()
        if waiting:
            time.sleep(0.5)


@pytest.mark.slow
@needs_orthanc
def test_200_films_make_200_reports_whatever_is_killed_meanwhile(tmp_path: Path) -> None:
    films = small_films(tmp_path / "films")
    uids = [str(dcmread(path, specific_tags=["SOPInstanceUID"]).SOPInstanceUID) for path in films]
    orthanc = Orthanc(tmp_path / "orthanc", port := a_free_port())
    node = Listening(tmp_path / "queue", port, orthanc.address)
    orthanc.start()
    node.start()
    begun = time.monotonic()

    def say(what: str) -> None:
        print(f"{time.monotonic() - begun:6.0f} s  {what}", flush=True)

    def reports() -> int:
        return node.log.read_text().count(": delivered")

    def read() -> int:
        return node.log.read_text().count(": read in ")

    def received() -> int:
        return node.log.read_text().count(": received")

    try:
        sender = threading.Thread(target=send_until_taken, args=(films, port), daemon=True)
        sender.start()
        orthanc.wait(lambda: received() >= 60 and reports() >= 5, 600)
        node.end(signal.SIGKILL)
        say(f"node killed; {received()} received, {reports()} reports")
        time.sleep(3)
        node.start()
        orthanc.wait(lambda: reports() >= 40, 900)
        say(f"Orthanc stopped; {received()} received, {reports()} reports")
        orthanc.stop()
        before = read()
        orthanc.wait(lambda: read() >= before + 30, 900)
        node.end(signal.SIGKILL)
        say(f"node killed while Orthanc is down; {read()} read")
        node.start()
        time.sleep(10)
        orthanc.start()
        say(f"Orthanc started; {reports()} reports")
        sender.join(600)
        assert not sender.is_alive()
        orthanc.wait(lambda: reports() >= FILMS, 3000)
        say(f"{reports()} reports")
        send_until_taken(films, port)
        say("all films sent a second time")
        time.sleep(20)
        found = [orthanc.file(held, tmp_path) for held in orthanc.held(Modality="SR")]
        about = Counter(
            str(
                d.CurrentRequestedProcedureEvidenceSequence[0]
                .ReferencedSeriesSequence[0]
                .ReferencedSOPSequence[0]
                .ReferencedSOPInstanceUID
            )
            for d in found
        )
        log = node.log.read_text()
        times_read = Counter(line.split()[1].rstrip(":") for line in log.splitlines() if ": read in " in line)
        say(
            f"{len(found)} reports on {len(about)} films; {len(orthanc.held())} objects; films read to the end more than once: "
            f"{sum(count > 1 for count in times_read.values())}; dead letters: {len(list((tmp_path / 'queue' / 'dead').iterdir()))}; "
            f"sent again and known: {log.count('was here before')}"
        )
    finally:
        node.end(signal.SIGKILL)
        orthanc.stop()
    assert about == Counter(uids)
    assert max(times_read.values()) == 1
    assert len(list((tmp_path / "queue" / "done").rglob("*.json"))) == FILMS
    for state in ("received", "working", "outgoing", "dead"):
        assert not list((tmp_path / "queue" / state).iterdir())
