"""A DICOM node that reads what it is sent: C-STORE in, results out, and a queue on a disk between."""

from __future__ import annotations

import errno
import logging
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, dcmread
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]
from pynetdicom.transport import ThreadedAssociationServer

from lumbar.dicom.tags import value_of
from lumbar.images import libraries_silenced
from lumbar.pacs.peers import Peer, PeerDown, PeerRefused
from lumbar.pacs.results import write_objects
from lumbar.pacs.selection import why_no_lateral_lumbar
from lumbar.pacs.spool import MOST_TRIES, Job, Spool, SpoolFull
from lumbar.radiograph import UnreadableFilm

SUCCESS, OUT_OF_RESOURCES = 0x0000, 0xA700

_OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)

Read = Callable[[Path, str], dict[str, Dataset]]
"""A film's file and a name for it that says nothing -> its results by kind.

Raises UnreadableFilm where it cannot be read, `NoLumbarSpine` where it shows none.
"""


class NoLumbarSpine(Exception):
    """The film was read, and shows no lumbar spine."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Where the node listens, and to whom.

    allowed: AE titles that may send; empty for everybody. tls: a server's context, or None for a plain connection. backoff_s: waits after a
    failed delivery, from the first to the longest, doubling. refusals: how often a peer may refuse before the results are given up.
    """

    ae_title: str = "LUMBAR"
    host: str = "127.0.0.1"
    port: int = 11112
    allowed: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None
    backoff_s: tuple[float, float] = (1.0, 60.0)
    refusals: int = 5


class Node:
    """Receives, reads and delivers, each in its own thread; `stop` may come at any time, and so may a crash.

    read: makes the results of one film. peer: gets them. log: takes one line an event, without any identifier but instance UIDs.
    """

    def __init__(
        self, spool: Spool, read: Read, peer: Peer, settings: NodeSettings, log: Callable[[str], None]
    ) -> None:
        self._spool, self._read, self._peer, self._settings, self._log = spool, read, peer, settings, log
        self._stopping = threading.Event()
        self._arrived, self._made = threading.Event(), threading.Event()
        self._server: ThreadedAssociationServer | None = None
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read_all, self._deliver_all)]

    def start(self) -> int:
        """Begin to listen; returns the port. Raises OSError where the port is taken."""
        logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
        entity = AE(self._settings.ae_title)
        entity.require_called_aet = True
        entity.require_calling_aet = list(self._settings.allowed)
        entity.maximum_associations = 16
        entity.add_supported_context(Verification)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
        server = entity.start_server(
            (self._settings.host, self._settings.port),
            block=False,
            evt_handlers=[(evt.EVT_C_STORE, self._store), (evt.EVT_C_ECHO, lambda event: SUCCESS)],
            ssl_context=self._settings.tls,
        )
        assert isinstance(server, ThreadedAssociationServer)
        self._server = server
        for thread in self._threads:
            thread.start()
        return int(server.server_address[1])

    def stop(self) -> None:
        """Take nothing more, and end after what is at work."""
        self._stopping.set()
        self._arrived.set()
        self._made.set()
        if self._server is not None:
            self._server.shutdown()
        for thread in self._threads:
            thread.join()

    def _store(self, event: evt.Event) -> int:
        """Answer success once the film is on the disk, and never before."""
        instance = str(event.request.AffectedSOPInstanceUID)  # type: ignore[union-attr]
        try:
            is_new = self._spool.put(instance, event.encoded_dataset())
        except (OSError, SpoolFull) as problem:
            why = "the queue is full" if isinstance(problem, SpoolFull) else problem.strerror or "the disk failed"
            self._log(f"{instance}: not taken, {why}")
            return OUT_OF_RESOURCES
        except Exception as problem:  # whatever it is, the sender keeps the film
            self._log(f"{instance}: not taken, {type(problem).__name__}")
            return OUT_OF_RESOURCES
        self._log(f"{instance}: {'received' if is_new else 'was here before'}")
        self._arrived.set()
        return SUCCESS

    def _read_all(self) -> None:
        has_failed = False
        while not self._stopping.is_set():
            self._arrived.clear()
            try:
                if has_failed:
                    self._spool.begin_again()
                    has_failed = False
                job = self._spool.take()
                if job is None:
                    self._arrived.wait(1.0)
                    continue
                self._process(job)
            except Exception as problem:  # most likely the disk: wait until somebody makes room
                self._log(f"the queue failed with {_in_short(problem)}")
                self._stopping.wait(self._settings.backoff_s[0])
                has_failed = True

    def _process(self, job: Job) -> None:
        data = job.film.read_bytes()  # here an error is the disk's; later it would be taken for the film's
        instance, why = _about(data)
        if why is not None:
            self._pass_over(job, instance, why)
            return
        if job.tries > MOST_TRIES:
            self._give_up(job.key, instance, f"the node failed at it {MOST_TRIES} times")
            return
        begun = time.monotonic()
        try:
            made = self._read(job.film, f"{job.key}.dcm")
            with self._spool.results(job, instance) as folder:
                write_objects(folder, job.key, made)
        except (UnreadableFilm, NoLumbarSpine) as problem:
            self._pass_over(job, instance, str(problem))
        except Exception as problem:  # of any kind; its text may quote the patient's data
            if isinstance(problem, OSError) and problem.errno in _OF_THE_DISK:
                self._spool.no_fault_of(job)
                raise
            self._log(f"{instance}: reading failed with {type(problem).__name__}, try {job.tries} of {MOST_TRIES}")
            if job.tries >= MOST_TRIES:
                self._give_up(job.key, instance, f"reading failed with {type(problem).__name__}")
            else:
                self._spool.put_back(job)
        else:
            self._log(f"{instance}: read in {time.monotonic() - begun:.1f} s, {len(made)} results")
            self._made.set()

    def _pass_over(self, job: Job, instance: str, why: str) -> None:
        self._spool.pass_over(job, instance, why)
        self._log(f"{instance}: passed over, {why}")

    def _give_up(self, key: str, instance: str, why: str) -> None:
        self._spool.give_up(key, f"{instance}: {why}")
        self._log(f"{instance}: given up, {why}; see dead/{key}")

    def _deliver_all(self) -> None:
        shortest, longest = self._settings.backoff_s
        wait_s, refusals = shortest, dict[str, int]()
        while not self._stopping.is_set():
            self._made.clear()
            is_down = False
            try:
                for key in self._spool.outgoing():
                    if self._stopping.is_set():
                        return
                    self._deliver(key, refusals)
            except Exception as problem:  # whatever it is, the results stay where they are
                self._log(f"delivery waits {wait_s:.0f} s: {_in_short(problem)}")
                is_down = True
            if is_down or refusals:
                self._stopping.wait(wait_s)
                wait_s = min(2 * wait_s, longest)
            else:
                wait_s = shortest
                self._made.wait(1.0)

    def _deliver(self, key: str, refusals: dict[str, int]) -> None:
        objects = self._spool.objects(key)
        instance = self._spool.instance(key)
        try:
            self._peer.send(objects)
        except PeerRefused as problem:
            refusals[key] = refusals.get(key, 0) + 1
            self._log(f"{instance}: {problem}, try {refusals[key]} of {self._settings.refusals}")
            if refusals[key] >= self._settings.refusals:
                del refusals[key]
                self._give_up(key, instance, str(problem))
            return
        refusals.pop(key, None)
        self._spool.delivered(key)
        self._log(f"{instance}: delivered")


def _in_short(problem: Exception) -> str:
    """What may be logged of it: its text only where that is known to quote no patient's data."""
    if isinstance(problem, PeerDown):
        return str(problem)
    return (problem.strerror or "an error") if isinstance(problem, OSError) else type(problem).__name__


def _about(film: bytes) -> tuple[str, str | None]:
    """Its SOP Instance UID, and why it is no lateral lumbar film."""
    with libraries_silenced():
        try:
            dataset = dcmread(BytesIO(film), stop_before_pixels=True, force=True)
            return str(value_of(dataset, "SOPInstanceUID") or "unknown"), why_no_lateral_lumbar(dataset)
        except Exception:  # of any kind; its text may quote the patient's data
            return "unknown", "the file is damaged"
