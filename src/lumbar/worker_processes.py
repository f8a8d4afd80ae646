"""Worker processes that do not outlive the process that started them, and keep no more memory than they need."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from threading import Thread
from typing import Any


def worker_pool(workers: int, ready: Callable[..., None] | None = None, *arguments: Any) -> ProcessPoolExecutor:
    """A pool of processes, each new and made `ready` with `arguments` first; they end soon after a parent that was killed."""
    return ProcessPoolExecutor(workers, get_context("spawn"), _begin, (os.getpid(), ready, arguments))


def give_back_memory() -> None:
    """Return to the system what its allocator keeps of freed memory, which else grows over thousands of films (glibc; else nothing)."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


def _begin(parent: int, ready: Callable[..., None] | None, arguments: tuple[Any, ...]) -> None:
    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    Thread(target=watch, daemon=True).start()
    if ready is not None:
        ready(*arguments)
