"""The command `lumbar` as a process of its own."""

import os
import subprocess
import sys


def lumbar(*arguments: object, limit_s: float = 240) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}
    command = [sys.executable, "-m", "lumbar", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=limit_s)
