"""A PostgreSQL server of the tests' own, on loopback, that ends with them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))


@contextmanager
def postgresql() -> Iterator[str]:
    """The URL of an empty database. It does not run as root: where the tests do, `postgres` or `nobody` owns it."""
    if not BINARIES:
        pytest.skip("no PostgreSQL server here; with apt: make system")
    home = Path(tempfile.mkdtemp(prefix="lumbar-pg-"))
    who = {} if os.getuid() else {"user": "postgres", "group": "postgres", "extra_groups": []}
    if who:
        shutil.chown(home, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    run = {"cwd": home, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True, **who}
    initdb = [
        BINARIES[-1].with_name("initdb"),
        "-D",
        home / "data",
        "-U",
        "lumbar",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    made = subprocess.run(initdb, **run)
    assert made.returncode == 0, made.stderr
    options = ["-p", str(port), "-k", str(home), "-h", "127.0.0.1", "-c", "fsync=off", "-c", "max_connections=60"]
    server = subprocess.Popen([BINARIES[-1], "-D", home / "data", *options], **{**run, "stderr": subprocess.DEVNULL})
    try:
        ready = [BINARIES[-1].with_name("pg_isready"), "-h", "127.0.0.1", "-p", str(port), "-q"]
        until = time.monotonic() + 60
        while subprocess.run(ready).returncode:
            assert server.poll() is None and time.monotonic() < until, "PostgreSQL does not start"
            time.sleep(0.1)
        yield f"postgresql://lumbar@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(2)  # SIGINT: end sessions, then leave
        server.wait(60)
        shutil.rmtree(home, ignore_errors=True)
