"""The node's queue: folders on a disk, through which a film moves by renaming, so that no crash loses it or does it twice.

    incoming/            what is being written; swept at every start
    received/<key>.dcm   answered for: it is on the disk
    working/<key>.dcm    being read
    outgoing/<key>/      its results, all of them, until the peer has them
    done/<xx>/<key>.json what became of it
    dead/<key>/          given up: the film or its results, and reason.txt

The key is a digest of the SOP Instance UID. Every step is one rename after an fsync. What a crash leaves between two steps is put right at
the next start: `working` goes back to `received`, and a film whose results are in `outgoing` is not read again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lumbar.whole_file import written_aside

MOST_TRIES = 5
"""A film at which the node died or failed so often is given up."""

_STATES = ("incoming", "received", "working", "outgoing", "done", "dead")


class SpoolFull(Exception):
    """As many films wait as may."""


@dataclass(frozen=True, slots=True)
class Job:
    """A film to read. tries: how often this was begun, this time included."""

    key: str
    film: Path
    tries: int


def key_of(instance_uid: str) -> str:
    """The name of an instance on the disk, which says nothing of it.

    >>> key_of("1.2.3")
    'c47f5b18b8a430e698b9fe15e51f6119'
    """
    return hashlib.sha256(instance_uid.encode()).hexdigest()[:32]


class Spool:
    """The queue in `folder`; one process at a time may have it open.

    most: films that may wait, be read or be delivered at a time.
    """

    def __init__(self, folder: Path, most: int) -> None:
        """Raises ValueError where another process has the folder, OSError where it cannot be made or written."""
        self.folder, self._most, self._put = folder, most, threading.Lock()
        for state in _STATES:
            (folder / state).mkdir(parents=True, exist_ok=True)
        self._lock = (folder / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise ValueError(
                f"the queue {folder} is in use by another process; stop it, or give another folder"
            ) from None
        self._recover()

    def close(self) -> None:
        """Let another process have the folder."""
        self._lock.close()

    def _recover(self) -> None:
        for left in (self.folder / "incoming").iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        self.begin_again()
        for film in (self.folder / "received").glob("*.dcm"):
            if self._is_past_reading(film.stem):
                self._forget(film)
        for results in (self.folder / "outgoing").iterdir():
            if self._done(results.name).exists():
                self._sweep(results)
        for state in ("received", "working", "outgoing"):
            _sync_folder(self.folder / state)

    def _is_past_reading(self, key: str) -> bool:
        return (self.folder / "outgoing" / key).exists() or self._done(key).exists()

    def _done(self, key: str) -> Path:
        return self.folder / "done" / key[:2] / f"{key}.json"

    def counts(self) -> dict[str, int]:
        """How many films are received, working, outgoing and dead."""
        return {state: len(self._keys(state)) for state in ("received", "working", "outgoing", "dead")}

    def _keys(self, state: str) -> list[str]:
        entries = (self.folder / state).iterdir()
        return sorted({e.stem for e in entries if e.suffix in ("", ".dcm") and not e.name.startswith(".")})

    def knows(self, instance_uid: str) -> bool:
        """Whether this instance waits, is at work or is done; one that was given up may be sent again.

        The order is that in which films move, so that one which moves meanwhile is not missed.
        """
        key = key_of(instance_uid)
        places = (self.folder / "received" / f"{key}.dcm", self.folder / "working" / f"{key}.dcm")
        return any(place.exists() for place in (*places, self.folder / "outgoing" / key, self._done(key)))

    def put(self, instance_uid: str, data: bytes) -> bool:
        """Take a film: when this returns it is on the disk. False where it was there already.

        Raises SpoolFull, or OSError where the disk does not take it; nothing is left of it then.
        """
        with self._put:
            if self.knows(instance_uid):
                return False
            waiting = self.counts()
            if waiting["received"] + waiting["working"] + waiting["outgoing"] >= self._most:
                raise SpoolFull
            key = key_of(instance_uid)
            part = self.folder / "incoming" / f"{key}.part"
            try:
                _write_synced(part, data)
                part.rename(self.folder / "received" / f"{key}.dcm")
            finally:
                part.unlink(missing_ok=True)
            _sync_folder(self.folder / "received")
            return True

    def take(self) -> Job | None:
        """The film that has waited longest, now in `working`; None where none waits."""
        waiting = sorted(
            (self.folder / "received").glob("*.dcm"), key=lambda film: (film.stat().st_mtime_ns, film.name)
        )
        if not waiting:
            return None
        film = self.folder / "working" / waiting[0].name
        tries = film.with_suffix(".tries")
        count = int(tries.read_text() or 0) + 1 if tries.exists() else 1
        with written_aside(tries) as aside:
            aside.write_text(str(count))
        waiting[0].rename(film)
        return Job(film.stem, film, count)

    @contextmanager
    def results(self, job: Job, instance_uid: str) -> Iterator[Path]:
        """A folder for a film's results: they are outgoing, all of them, when the block ends, and none of them where it fails."""
        aside = self.folder / "incoming" / job.key
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir()
        try:
            _write_synced(aside / "instance", instance_uid.encode())
            yield aside
            _sync_folder(aside)
            aside.rename(self.folder / "outgoing" / job.key)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
        _sync_folder(self.folder / "outgoing")
        self._forget(job.film)

    def pass_over(self, job: Job, instance_uid: str, reason: str) -> None:
        """The film needs no results: it is done."""
        self._record(job.key, {"instance": instance_uid, "outcome": "passed over", "reason": reason})
        self._forget(job.film)

    def put_back(self, job: Job) -> None:
        """Something failed that may not fail again; the try counts."""
        job.film.rename(self.folder / "received" / job.film.name)

    def begin_again(self) -> None:
        """What was at work waits again."""
        for film in (self.folder / "working").glob("*.dcm"):
            film.rename(self.folder / "received" / film.name)

    def no_fault_of(self, job: Job) -> None:
        """The try that is under way does not count."""
        job.film.with_suffix(".tries").unlink(missing_ok=True)

    def outgoing(self) -> list[str]:
        """Keys of the films whose results wait for the peer."""
        return self._keys("outgoing")

    def objects(self, key: str) -> list[Path]:
        """The results of one film."""
        return sorted((self.folder / "outgoing" / key).glob("*.dcm"))

    def instance(self, key: str) -> str:
        """SOP Instance UID of the film whose results wait for the peer."""
        return (self.folder / "outgoing" / key / "instance").read_text()

    def delivered(self, key: str) -> None:
        """The peer has all results of the film: it is done."""
        self._record(key, {"instance": self.instance(key), "outcome": "delivered", "objects": len(self.objects(key))})
        self._sweep(self.folder / "outgoing" / key)

    def give_up(self, key: str, reason: str) -> None:
        """The film, or its results, go to the dead letters."""
        dead = self.folder / "dead" / key
        shutil.rmtree(dead, ignore_errors=True)
        film, results = self.folder / "working" / f"{key}.dcm", self.folder / "outgoing" / key
        if results.exists():
            _write_synced(results / "reason.txt", f"{reason}\n".encode())
            results.rename(dead)
        else:  # the film last: until it has moved, it counts as being read
            dead.mkdir()
            _write_synced(dead / "reason.txt", f"{reason}\n".encode())
            film.rename(dead / "film.dcm")
            film.with_suffix(".tries").unlink(missing_ok=True)
        _sync_folder(self.folder / "dead")

    def _record(self, key: str, what: dict[str, object]) -> None:
        path = self._done(key)
        path.parent.mkdir(exist_ok=True)
        with written_aside(path) as aside:
            _write_synced(aside, json.dumps({**what, "at": time.strftime("%Y-%m-%dT%H:%M:%S%z")}).encode())
        _sync_folder(path.parent)

    def _forget(self, film: Path) -> None:
        film.unlink(missing_ok=True)
        (self.folder / "working" / f"{film.stem}.tries").unlink(missing_ok=True)

    def _sweep(self, results: Path) -> None:
        aside = self.folder / "incoming" / f"{results.name}.done"
        results.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    """What was renamed into the folder survives a loss of power, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
