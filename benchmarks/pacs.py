"""What the way round a PACS costs beside the reading itself: results, queue, network and peer.

    OMP_NUM_THREADS=1 python benchmarks/pacs.py [--films 12]

Films go to a node of this process by C-STORE, and its results to a Storage SCP of this process, which stores them in memory. The figures are
ratios of times on the wall to that of the reader alone on the same films, since absolute ones say more about the machine. Throughput is over
all films sent at once; latency is from the answer to one film's C-STORE to the answer to its last result's, with an empty queue.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from copy import deepcopy
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt

from lumbar.cli.pacs import read_for_node
from lumbar.films import open_film
from lumbar.pacs.node import Node, NodeSettings
from lumbar.pacs.peers import KINDS, DicomPeer
from lumbar.pacs.spool import Spool
from lumbar.pipeline import Reader

EXAMPLE = Path(__file__).parent.parent / "src" / "lumbar" / "examples" / "study"


class Archive:
    """A Storage SCP that counts what it gets."""

    def __init__(self) -> None:
        self.got, self._changed = 0, threading.Condition()
        entity = AE("ARCHIVE")
        for kind in KINDS:
            entity.add_supported_context(kind, ExplicitVRLittleEndian)
        self._server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, self._store)])
        self.port = self._server.server_address[1]

    def _store(self, event: evt.Event) -> int:
        event.encoded_dataset()
        with self._changed:
            self.got += 1
            self._changed.notify_all()
        return 0

    def wait(self, count: int) -> None:
        """Until it has got so many objects."""
        with self._changed:
            self._changed.wait_for(lambda: self.got >= count)

    def stop(self) -> None:
        """Listen no more."""
        self._server.shutdown()


def the_films(count: int) -> list[Dataset]:
    """The bundled films over and over, each with a UID of its own."""
    sources = [dcmread(path) for path in sorted(EXAMPLE.glob("*.dcm"))]
    films = []
    for number in range(count):
        film = deepcopy(sources[number % len(sources)])
        film.SOPInstanceUID = film.file_meta.MediaStorageSOPInstanceUID = generate_uid(
            entropy_srcs=["benchmark", str(number)]
        )
        films.append(film)
    return films


def send(port: int, films: list[Dataset]) -> None:
    """In one association."""
    entity = AE("MODALITY")
    entity.add_requested_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
    association = entity.associate("127.0.0.1", port, ae_title="LUMBAR")
    for film in films:
        assert association.send_c_store(film).Status == 0
    association.release()


def main() -> None:
    """Read alone, then one film after the other through the node, then all at once."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=12)
    count = parser.parse_args().films
    reader = Reader.shipped(1)
    paths = sorted(EXAMPLE.glob("*.dcm"))
    reader.read(open_film(paths[0]), "warm")

    alone_s = []
    for number in range(count):
        begun = time.perf_counter()
        reader.read(open_film(paths[number % len(paths)]), "film", "DICOM")
        alone_s.append(time.perf_counter() - begun)
    made_s = []
    for number in range(count):
        begun = time.perf_counter()
        read_for_node(reader, paths[number % len(paths)], "film.dcm", False)
        made_s.append(time.perf_counter() - begun)

    films, archive = the_films(2 * count), Archive()
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder) / "queue", 1000)
        peer = DicomPeer("ARCHIVE", "127.0.0.1", archive.port, "LUMBAR")
        node = Node(
            spool,
            lambda film, name: read_for_node(reader, film, name, False),
            peer,
            NodeSettings(port=0),
            lambda line: None,
        )
        port = node.start()
        latency_s = []
        for number, film in enumerate(films[:count], 1):
            send(port, [film])
            begun = time.perf_counter()
            archive.wait(3 * number)
            latency_s.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        send(port, films[count:])
        archive.wait(6 * count)
        through_s = (time.perf_counter() - begun) / count
        node.stop()
        spool.close()
    archive.stop()

    alone = statistics.median(alone_s)
    print(f"{count} films, each figure over the reader alone (median {alone:.2f} s here):")
    print(f"  read and made into results     {statistics.median(made_s) / alone:5.2f}")
    print(f"  latency, median                {statistics.median(latency_s) / alone:5.2f}")
    print(f"  latency, longest               {max(latency_s) / alone:5.2f}")
    print(f"  time a film, all sent at once  {through_s / alone:5.2f}")


if __name__ == "__main__":
    main()
