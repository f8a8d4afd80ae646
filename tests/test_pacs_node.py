"""The node and its queue: what is answered for is never lost, never read twice, and says nothing of the patient."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)
from pynetdicom import AE

from lumbar.images import libraries_silenced
from lumbar.pacs import spool as spool_room
from lumbar.pacs.header import film_header
from lumbar.pacs.node import OUT_OF_RESOURCES, SUCCESS, Node, NodeSettings, NoLumbarSpine
from lumbar.pacs.peers import PeerDown, PeerRefused, peer_at
from lumbar.pacs.results import results_of
from lumbar.pacs.selection import why_no_lateral_lumbar
from lumbar.pacs.spool import MOST_TRIES, Spool, SpoolFull, key_of
from tests.spines import a_reading, a_spine

EXAMPLE = Path(__file__).parent.parent / "src" / "lumbar" / "examples" / "study"


# The queue


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "queue", 3)
    yield made
    made.close()


def reopened(spool: Spool) -> Spool:
    """As after a crash: the lock is gone, the folders are as they were."""
    spool.close()
    spool.__init__(spool.folder, 3)  # type: ignore[misc]
    return spool


def finish(spool: Spool, uid: str) -> None:
    job = spool.take()
    assert job is not None
    with spool.results(job, uid) as folder:
        (folder / "film.report.dcm").write_bytes(b"report")


def test_a_film_is_taken_once(spool: Spool) -> None:
    assert spool.put("1.2", b"film") and not spool.put("1.2", b"film")
    finish(spool, "1.2")
    assert not spool.put("1.2", b"film")
    spool.delivered(key_of("1.2"))
    assert not spool.put("1.2", b"film") and spool.counts() == dict.fromkeys(
        ("received", "working", "outgoing", "dead"), 0
    )


def test_no_name_on_the_disk_says_which_film_it_is(spool: Spool) -> None:
    spool.put("1.2.3.4.5", b"film")
    assert not any("1.2.3.4.5" in path.name for path in spool.folder.rglob("*"))


def test_films_are_taken_in_their_order(spool: Spool) -> None:
    for uid in ("1.9", "1.2", "1.5"):
        spool.put(uid, uid.encode())
        time.sleep(0.01)
    assert [spool.take().film.read_bytes() for _ in range(3)] == [b"1.9", b"1.2", b"1.5"]


def test_a_full_queue_takes_no_more_and_keeps_what_it_has(spool: Spool) -> None:
    for uid in ("1.1", "1.2", "1.3"):
        spool.put(uid, b"film")
    spool.take()
    with pytest.raises(SpoolFull):
        spool.put("1.4", b"film")
    assert spool.counts() == {"received": 2, "working": 1, "outgoing": 0, "dead": 0}


def test_what_a_crash_left_in_work_is_begun_again(spool: Spool) -> None:
    spool.put("1.2", b"film")
    assert spool.take().tries == 1
    assert reopened(spool).take().tries == 2


def test_a_crash_between_results_and_tidying_reads_nothing_twice(spool: Spool) -> None:
    spool.put("1.2", b"film")
    finish(spool, "1.2")
    (spool.folder / "working" / f"{key_of('1.2')}.dcm").write_bytes(b"film")  # as if it had not come to removing it
    again = reopened(spool)
    assert again.take() is None and again.outgoing() == [key_of("1.2")] and again.instance(key_of("1.2")) == "1.2"


def test_a_crash_between_delivery_and_tidying_delivers_nothing_twice(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.put("1.2", b"film")
    finish(spool, "1.2")
    monkeypatch.setattr(spool, "_sweep", lambda results: None)
    spool.delivered(key_of("1.2"))
    monkeypatch.undo()
    assert spool.outgoing() and not reopened(spool).outgoing()


def test_half_a_result_is_none(spool: Spool) -> None:
    spool.put("1.2", b"film")
    job = spool.take()
    with pytest.raises(RuntimeError), spool.results(job, "1.2") as folder:
        (folder / "film.report.dcm").write_bytes(b"re")
        raise RuntimeError
    assert spool.outgoing() == [] and job.film.exists()


def test_a_disk_that_is_full_leaves_nothing(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool_room.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        spool.put("1.2", b"film")
    assert not list((spool.folder / "incoming").iterdir()) and not spool.knows("1.2")


def test_two_processes_cannot_have_one_queue(spool: Spool) -> None:
    with pytest.raises(ValueError, match="in use by another process"):
        Spool(spool.folder, 3)


# The node


class FakePeer:
    """Takes everything, unless told what to say."""

    def __init__(self) -> None:
        self.got: list[str] = []
        self.answers: list[Exception] = []

    def send(self, files: list[Path]) -> None:
        if self.answers:
            raise self.answers.pop(0)
        self.got += [str(dcmread(file).SOPInstanceUID) for file in files]


def a_result(film: Path, name: str) -> dict[str, Dataset]:
    """A small object in the place of results."""
    header = film_header(film)
    made = Dataset()
    made.file_meta = dcmread(EXAMPLE / "flexion.dcm", stop_before_pixels=True).file_meta
    made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.34"
    made.SOPInstanceUID = generate_uid(entropy_srcs=[header.SOPInstanceUID])
    return {"report": made}


class Running:
    """A node with a fake reader and peer."""

    def __init__(
        self, spool: Spool, read: Callable[[Path, str], dict[str, Dataset]] = a_result, **settings: object
    ) -> None:
        self.peer, self.lines, self.times_read = FakePeer(), [], []

        def counted(film: Path, name: str) -> dict[str, Dataset]:
            self.times_read.append(name)
            return read(film, name)

        self.spool = spool
        given = NodeSettings(port=0, backoff_s=(0.05, 0.1), **settings)
        self.node = Node(spool, counted, self.peer, given, self.lines.append)
        self.port = self.node.start()

    def wait(self, until: Callable[[], bool]) -> None:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if until():
                return
            time.sleep(0.02)
        raise AssertionError("\n".join(self.lines))

    def settled(self) -> None:
        self.wait(lambda: sum(list(self.spool.counts().values())[:3]) == 0)


@pytest.fixture
def run(spool: Spool) -> Iterator[Callable[..., Running]]:
    running = []

    def start(*given: object, **settings: object) -> Running:
        running.append(Running(spool, *given, **settings))
        return running[-1]

    yield start
    for one in running:
        one.node.stop()


def a_film(name: str = "flexion", **tags: object) -> Dataset:
    film = dcmread(EXAMPLE / f"{name}.dcm")
    with libraries_silenced():
        for keyword, value in tags.items():
            if value is None:
                delattr(film, keyword)
            else:
                setattr(film, keyword, value)
    film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = generate_uid(
        entropy_srcs=[name, str(sorted(tags))]
    )
    return film


def send(port: int, *films: Dataset, calling: str = "MODALITY", syntax: str = ExplicitVRLittleEndian) -> list[int]:
    entity = AE(calling)
    for kind in {film.SOPClassUID for film in films}:
        entity.add_requested_context(kind, syntax)
    association = entity.associate("127.0.0.1", port, ae_title="LUMBAR")
    if not association.is_established:
        return []
    with libraries_silenced():
        answers = [association.send_c_store(film).Status for film in films]
    association.release()
    return answers


def test_a_film_is_answered_for_read_and_delivered_once_however_often_it_is_sent(run: Callable[..., Running]) -> None:
    running, film = run(), a_film()
    assert send(running.port, film, film) == [SUCCESS, SUCCESS]
    running.settled()
    assert send(running.port, film) == [SUCCESS]
    running.settled()
    assert len(running.times_read) == 1 and len(running.peer.got) == 1
    assert running.times_read == [f"{key_of(film.SOPInstanceUID)}.dcm"]


def test_the_node_answers_an_echo_and_strangers_not_at_all(run: Callable[..., Running]) -> None:
    running = run(allowed=("MODALITY",))
    for calling, answers in (("MODALITY", 0), ("STRANGER", None)):
        entity = AE(calling)
        entity.add_requested_context("1.2.840.10008.1.1")
        association = entity.associate("127.0.0.1", running.port, ae_title="LUMBAR")
        assert association.is_established is (answers == 0)
        if association.is_established:
            assert association.send_c_echo().Status == 0
            association.release()
    assert send(running.port, a_film(), calling="STRANGER") == [] and not running.times_read


def test_a_full_disk_and_a_full_queue_are_out_of_resources(
    run: Callable[..., Running], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = run()
    for problem in (OSError(errno.ENOSPC, "No space left on device"), SpoolFull()):

        def fails(uid: str, data: bytes, problem: Exception = problem) -> bool:
            raise problem

        monkeypatch.setattr(running.spool, "put", fails)
        assert send(running.port, a_film()) == [OUT_OF_RESOURCES]
        monkeypatch.undo()
    assert send(running.port, a_film()) == [SUCCESS]
    running.settled()
    assert len(running.peer.got) == 1


def test_a_peer_that_is_down_gets_everything_later(run: Callable[..., Running]) -> None:
    running = run()
    running.peer.answers = [PeerDown("it is down")] * 4
    send(running.port, a_film("flexion"), a_film("extension"))
    running.settled()
    assert len(running.peer.got) == 2 and not list((running.spool.folder / "dead").iterdir())


def test_what_a_peer_refuses_again_and_again_is_a_dead_letter_and_holds_up_nothing(run: Callable[..., Running]) -> None:
    running, film = run(refusals=2), a_film("flexion")
    running.peer.answers = [PeerRefused("no such kind")] * 2
    send(running.port, film)
    running.wait(lambda: any("given up" in line for line in running.lines))
    send(running.port, a_film("extension"))
    running.settled()
    dead = running.spool.folder / "dead" / key_of(film.SOPInstanceUID)
    assert film.SOPInstanceUID in (dead / "reason.txt").read_text() and list(dead.glob("*.report.dcm"))
    assert len(running.peer.got) == 1
    assert send(running.port, film) == [SUCCESS]  # sent again, it is tried again
    running.settled()
    assert len(running.peer.got) == 2


def test_a_reader_that_fails_on_a_film_gives_it_up_after_some_tries(run: Callable[..., Running]) -> None:
    def fails(film: Path, name: str) -> dict[str, Dataset]:
        raise RuntimeError(f"something about {dcmread(film).PatientName}")

    running, film = run(fails), a_film()
    send(running.port, film)
    running.wait(lambda: any("given up" in line for line in running.lines))
    dead = running.spool.folder / "dead" / key_of(film.SOPInstanceUID)
    assert len(running.times_read) == MOST_TRIES
    assert dcmread(dead / "film.dcm").SOPInstanceUID == film.SOPInstanceUID
    assert str(film.PatientName) not in (dead / "reason.txt").read_text() + "".join(running.lines)


def test_a_disk_that_fails_while_results_are_written_counts_against_no_film(run: Callable[..., Running]) -> None:
    room = threading.Event()

    def read(film: Path, name: str) -> dict[str, Dataset]:
        if not room.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return a_result(film, name)

    running = run(read)
    send(running.port, a_film())
    running.wait(lambda: len(running.times_read) > MOST_TRIES + 1)
    room.set()
    running.settled()
    assert len(running.peer.got) == 1


# Odd films: each is read, or passed over with a reason that names the instance


def no_spine(film: Path, name: str) -> dict[str, Dataset]:
    raise NoLumbarSpine("no lumbar spine found")


def really_opened(film: Path, name: str) -> dict[str, Dataset]:
    """Everything that the node's own reader does, but for the networks."""
    from lumbar.films import open_film

    header, radiograph = film_header(film), open_film(film)
    assert 0 <= radiograph.pixels.min() < radiograph.pixels.max() <= 1
    reading = a_reading(a_spine())
    header.Rows, header.Columns = reading.height, reading.width
    return results_of(header, reading, None)


def noisy(bits: int, **tags: object) -> Dataset:
    film = a_film(BitsStored=bits, HighBit=bits - 1, WindowCenter=2 ** (bits - 1), WindowWidth=2**bits, **tags)
    pixels = np.random.default_rng(bits).integers(0, 2**bits, (film.Rows, film.Columns))
    film.PixelData = pixels.astype("<u2").tobytes()
    return film


@pytest.mark.parametrize(
    ("film", "syntax"),
    [
        (lambda: a_film(ImagerPixelSpacing=None), ExplicitVRLittleEndian),
        (lambda: a_film(PatientID=None, PatientName=None), ExplicitVRLittleEndian),
        (lambda: a_film(PatientBirthDate="17th of May", StudyDate="?"), ExplicitVRLittleEndian),
        (lambda: a_film(BurnedInAnnotation="YES"), ExplicitVRLittleEndian),
        (lambda: a_film(PhotometricInterpretation="MONOCHROME1"), ExplicitVRLittleEndian),
        (lambda: noisy(10), ExplicitVRLittleEndian),
        (lambda: noisy(14), ImplicitVRLittleEndian),
        (lambda: a_film(), ImplicitVRLittleEndian),
        (lambda: a_film(), ExplicitVRBigEndian),
        (lambda: with_private_tags(), ExplicitVRLittleEndian),
    ],
    ids=[
        "no spacing",
        "no patient",
        "wrong VR",
        "burned-in text",
        "MONOCHROME1",
        "10 bits",
        "14 bits",
        "implicit",
        "big endian",
        "private tags",
    ],
)
def test_odd_films_are_read(run: Callable[..., Running], film: Callable[[], Dataset], syntax: str) -> None:
    running = run(really_opened)
    assert send(running.port, encoded(film(), syntax), syntax=syntax) == [SUCCESS]
    running.settled()
    assert len(running.peer.got) == 2, running.lines


def with_private_tags() -> Dataset:
    film = a_film()
    block = film.private_block(0x0011, "SECRET VENDOR", create=True)
    block.add_new(0x01, "LO", "Secret^Person")
    return film


def encoded(film: Dataset, syntax: str) -> Dataset:
    """The film as it would be in another transfer syntax."""
    other = Dataset()
    other.update(film)
    other.file_meta = film.file_meta
    other.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        other.PixelData = np.frombuffer(film.PixelData, "<u2").astype(">u2").tobytes()
    file = BytesIO()
    with libraries_silenced():
        dcmwrite(file, other, enforce_file_format=True)
    file.seek(0)
    return dcmread(file)


@pytest.mark.parametrize(
    ("film", "reason"),
    [
        (lambda: a_film(ViewPosition="AP"), "its view is frontal"),
        (lambda: a_film(Modality="MR"), "modality is MR"),
        (lambda: a_film(SOPClassUID=CTImageStorage, Modality="CT"), "CT Image Storage"),
        (lambda: a_film(BodyPartExamined="SKULL"), "its body part is not the lumbar spine"),
        (lambda: a_film(ManufacturerModelName="lumbar reader"), "a result of lumbar itself"),
        (lambda: a_film(PixelData=b"\0" * 10), "cannot be decoded"),
        (lambda: a_film(StudyInstanceUID=None), "no valid StudyInstanceUID"),
    ],
    ids=["AP", "modality", "class", "body part", "own result", "truncated", "no study"],
)
def test_what_is_no_lateral_lumbar_film_is_passed_over_by_name(
    run: Callable[..., Running], film: Callable[[], Dataset], reason: str
) -> None:
    running, sent = run(really_opened), film()
    sent.file_meta.MediaStorageSOPClassUID = sent.SOPClassUID
    assert send(running.port, sent) == [SUCCESS]
    running.wait(lambda: any("passed over" in line for line in running.lines))
    (line,) = (line for line in running.lines if "passed over" in line)
    assert line.startswith(f"{sent.SOPInstanceUID}: passed over, ") and reason in line
    assert not running.peer.got


def test_a_film_without_a_spine_is_passed_over(run: Callable[..., Running]) -> None:
    running, film = run(no_spine), a_film()
    send(running.port, film)
    running.wait(lambda: f"{film.SOPInstanceUID}: passed over, no lumbar spine found" in running.lines)


@pytest.mark.parametrize(
    ("tags", "lateral"),
    [
        ({"ViewPosition": "PA"}, False),
        ({"ViewPosition": "RL"}, True),
        ({"ViewPosition": None, "ViewCodeSequence": None, "PatientOrientation": ["L", "F"]}, False),
        ({"ViewPosition": None, "ViewCodeSequence": None, "SeriesDescription": "L-Spine AP"}, False),
        ({"ViewPosition": None, "ViewCodeSequence": None, "SeriesDescription": "L-Spine LAT"}, True),
        ({"ViewPosition": None, "ViewCodeSequence": None, "PatientOrientation": None, "BodyPartExamined": None}, True),
        ({"BodyPartExamined": "L SPINE"}, True),
        ({"BodyPartExamined": "HAND"}, False),
    ],
)
def test_headers_rule_out_what_they_say_and_leave_open_what_they_do_not(tags: dict, lateral: bool) -> None:
    assert (why_no_lateral_lumbar(a_film(**tags)) is None) is lateral


def test_nothing_that_is_logged_or_named_tells_whose_the_film_is(
    run: Callable[..., Running], capfd: pytest.CaptureFixture[str]
) -> None:
    running = run(really_opened)
    film = a_film(
        PatientName="Secret Person without carets",
        PatientID="SECRET-ID",
        AccessionNumber="SECRET-ACC-IS-TOO-LONG",
        PatientSex="SECRET",
    )
    send(running.port, film)
    running.settled()
    told = "".join(running.lines) + "".join(map(str, running.spool.folder.rglob("*"))) + "".join(capfd.readouterr())
    told += "".join(path.read_text() for path in (running.spool.folder / "done").rglob("*.json"))
    assert "secret" not in told.lower() and film.SOPInstanceUID in told


@pytest.mark.parametrize(
    "text", ["PACS", "PACS@host", "PACS@host:0", "@host:104", "A-TITLE-THAT-IS-TOO-LONG@host:104", "ftp://host"]
)
def test_a_peer_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="AE@host:port or the URL"):
        peer_at(text, "LUMBAR")


def test_a_peer_that_is_not_there_is_down() -> None:
    for peer in ("PACS@127.0.0.1:1", "http://127.0.0.1:1/dicom-web"):
        with pytest.raises(PeerDown):
            peer_at(peer, "LUMBAR").send([])
