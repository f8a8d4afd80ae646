"""Films are read one study after the other, behind the desk's back."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence

from lumbar.anatomy import Side
from lumbar.films import open_film
from lumbar.radiograph import PixelSpacing, Radiograph
from lumbar.reading import Reading
from lumbar.serving.blobs import Blobs
from lumbar.serving.models import FilmRow
from lumbar.serving.store import Store

ReadFilms = Callable[[Sequence[Radiograph], Sequence[str], str], Sequence[Reading]]
"""Films of one patient, their names and the source of their facing -> their readings, in the same order."""

_log = logging.getLogger(__name__)


class ReadingQueue:
    """One thread that reads what waits in the store, also what was left waiting by a server that was killed.

    open_reader: makes the function that reads; called in the thread, for networks take a moment to load.
    kind: prediction, or blank where the reader only marks nothing.
    """

    def __init__(
        self, store: Store, blobs: Blobs, open_reader: Callable[[], ReadFilms], kind: str, author: str
    ) -> None:
        self._store, self._blobs, self._open, self._kind, self._author = store, blobs, open_reader, kind, author
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._leaving = threading.Event()

    def start(self) -> None:
        """Begin with what waits in the store."""
        for study_id in self._store.waiting():
            self._waiting.put(study_id)
        self._thread = threading.Thread(target=self._work, name="reading", daemon=True)
        self._thread.start()

    def add(self, study_id: str) -> None:
        """Have a study read after those that wait."""
        self._waiting.put(study_id)

    def stop(self) -> None:
        """Finish the study at hand; the others wait in the store."""
        self._leaving.set()
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        read: ReadFilms | None = None
        while (study_id := self._waiting.get()) is not None and not self._leaving.is_set():
            try:
                read = read or self._open()
                self._read(study_id, read)
            except Exception as problem:  # whatever it was, the other studies must be read
                _log.exception("study %s could not be read", study_id)
                self._store.fail(
                    study_id, f"it could not be read ({type(problem).__name__}); the server's log says more"
                )

    def _read(self, study_id: str, read: ReadFilms) -> None:
        films = self._store.study(study_id).films
        radiographs = [self._radiograph(film) for film in films]
        source = "given" if any(film.anterior for film in films) else "DICOM"
        readings = read(radiographs, [film.name for film in films], source)
        by_film = {film.id: reading for film, reading in zip(films, readings, strict=True)}
        self._store.add_first(study_id, by_film, self._kind, self._author)

    def _radiograph(self, film: FilmRow) -> Radiograph:
        mm = film.spacing_mm
        spacing = None if mm is None else PixelSpacing(mm, mm, "given with the film", "patient")
        radiograph = open_film(self._blobs.film(film.sha256), spacing)
        return radiograph if film.anterior is None else radiograph.facing(Side(film.anterior))
