"""A real Orthanc for a test: on loopback, on free ports, in a folder that the test throws away."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

PROGRAM = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")

needs_orthanc = pytest.mark.skipif(
    not (Path(PROGRAM).exists() and PLUGIN.exists()), reason="Orthanc is not installed; with apt: make system"
)


def a_free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return int(asked.getsockname()[1])


class Orthanc:
    """Started and stopped as often as a test likes; what it holds lies in `folder`. It knows `node` as LUMBAR."""

    def __init__(self, folder: Path, node_port: int) -> None:
        self.folder, self.dicom_port, self.web_port = folder, a_free_port(), a_free_port()
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "orthanc.json").write_text(
            json.dumps(
                {
                    "StorageDirectory": str(folder / "db"),
                    "IndexDirectory": str(folder / "db"),
                    "DicomAet": "ORTHANC",
                    "DicomPort": self.dicom_port,
                    "HttpPort": self.web_port,
                    "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": False,
                    "DicomAlwaysAllowStore": True,
                    "OverwriteInstances": False,
                    "Plugins": [str(PLUGIN)],
                    "DicomModalities": {"LUMBAR": ["LUMBAR", "127.0.0.1", node_port]},
                    "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
                }
            )
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def dicomweb(self) -> str:
        return f"{self.url}/dicom-web"

    @property
    def address(self) -> str:
        return f"ORTHANC@127.0.0.1:{self.dicom_port}"

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([PROGRAM, self.folder / "orthanc.json"], stdout=log, stderr=log)
        self.wait(lambda: bool(self.get("/system")), 30)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None

    def wait(self, until: Any, limit_s: float) -> None:
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            try:
                if until():
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"it did not happen within {limit_s} s; see {self.folder / 'log'}")

    def get(self, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(self.url + path, body, {"Accept": "application/json"})
        with urllib.request.urlopen(request, timeout=300) as answer:
            return json.loads(answer.read())

    def put(self, film: Path) -> None:
        self.get("/instances", film.read_bytes())

    def send_to_node(self, instance_uid: str) -> None:
        """By C-STORE."""
        (found,) = self.held(SOPInstanceUID=instance_uid)
        self.get("/modalities/LUMBAR/store", found.encode())

    def found(self, **query: str) -> list[str]:
        """SOP Instance UIDs by QIDO-RS."""
        words = "&".join(f"{name}={value}" for name, value in {**query, "limit": "2000"}.items())
        return [one["00080018"]["Value"][0] for one in self.get(f"/dicom-web/instances?{words}")]

    def held(self, **query: str) -> list[str]:
        """Orthanc's own ids of the instances that answer to this, which take it less time to tell."""
        found = self.get("/tools/find", json.dumps({"Level": "Instance", "Query": query}).encode())
        return [str(one) for one in found]

    def file(self, held: str, folder: Path) -> Dataset:
        """An instance by Orthanc's own id."""
        with urllib.request.urlopen(f"{self.url}/instances/{held}/file", timeout=300) as answer:
            path = folder / f"{held}.dcm"
            path.write_bytes(answer.read())
        return dcmread(path)
