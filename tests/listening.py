"""`lumbar listen` as a process of its own, to be killed at will."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path


class Listening:
    """A node over `folder` at `port` whose results go to `to`."""

    def __init__(self, folder: Path, port: int, to: str, *more: object) -> None:
        self.folder, self.port, self._to, self._more = folder, port, to, more
        self.log = folder.parent / f"{folder.name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        words = ["--queue", self.folder, "--port", self.port, "--to", self._to, "--threads", 1, *self._more]
        command = [sys.executable, "-m", "lumbar", "listen", *map(str, words)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"})
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    def end(self, by: signal.Signals = signal.SIGTERM) -> None:
        if self.process is not None:
            self.process.send_signal(by)
            self.process.wait(60)
            self.process = None
