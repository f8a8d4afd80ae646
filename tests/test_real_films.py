"""Real films, where their owner has put them: the folder that LUMBAR_REAL_FILMS names, laid out as experiments/real_films.py says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "experiments" / "real_films.py"
FOLDER = os.environ.get("LUMBAR_REAL_FILMS", "")


def test_folders_that_are_not_there_are_skipped(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True, check=True)
    assert done.stdout.count("is not there: skipped") == 2


@pytest.mark.skipif(not FOLDER, reason="set LUMBAR_REAL_FILMS to a folder with annotated/ and fraiwan/")
def test_real_films_are_read():
    done = subprocess.run([sys.executable, SCRIPT, FOLDER], capture_output=True, text=True, check=True)
    right, films = map(int, re.search(r"annotated: (\d+) of (\d+) named right", done.stdout).groups())
    median, mean = map(float, re.search(r"median ([\d.]+), mean ([\d.]+) of the endplate depth", done.stdout).groups())
    assert right >= films - 1 and median <= 0.07 and mean <= 0.12
    facing, level = map(int, re.search(r"facing right on (\d+), .* named on (\d+)", done.stdout).groups())
    assert facing >= 15 and level >= 11
