"""The page that is committed is the one that its sources make, and it comes with the package."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lumbar.serving.app import STATIC

DESK = Path(__file__).parent.parent / "desk"
ROOTS = (
    "index.html",
    "package.json",
    "package-lock.json",
    "public",
    "src",
    "stamp.mjs",
    "tsconfig.json",
    "vite.config.ts",
)


def digest_of_sources(desk: Path) -> str:
    """As desk/stamp.mjs makes it: of every file's path and digest, in the order of the paths."""
    files = [
        p
        for root in ROOTS
        for p in sorted((desk / root).rglob("*") if (desk / root).is_dir() else [desk / root])
        if p.is_file()
    ]
    lines = [f"{p.relative_to(desk).as_posix()}\0{hashlib.sha256(p.read_bytes()).hexdigest()}\n" for p in files]
    return hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()


def test_the_committed_page_was_built_from_these_sources():
    stamp = json.loads((STATIC / "build.json").read_text())
    assert stamp["sources"] == digest_of_sources(DESK), (
        "the page's sources changed: run `make desk` and commit what it builds"
    )


def test_the_page_is_small_and_asks_no_other_host():
    files = [path for path in STATIC.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 400_000
    for path in files:
        if path.suffix in (".html", ".css", ".js"):
            hosts = set(re.findall(r"https?://[\w.]+", path.read_text())) - {
                "http://www.w3.org",  # the names of XML's vocabularies; nothing is fetched from there
            }
            assert hosts == set(), path
    page = (STATIC / "index.html").read_text()
    assert "<style" not in page and not re.search(r"<script(?![^>]*src=)", page)
    assert "MIT" in (STATIC / "assets" / "licences.txt").read_text()


def test_the_lock_names_no_host():
    assert "resolved" not in (DESK / "package-lock.json").read_text()


@pytest.mark.skipif(not (DESK / "node_modules").is_dir() or shutil.which("npm") is None, reason="no node here")
def test_a_build_of_the_sources_is_what_is_committed(tmp_path):
    shutil.copytree(DESK, tmp_path / "desk", ignore=shutil.ignore_patterns("node_modules"))
    (tmp_path / "desk" / "node_modules").symlink_to(DESK / "node_modules")
    (tmp_path / "src/lumbar/serving").mkdir(parents=True)
    done = subprocess.run(["npm", "run", "--silent", "build"], cwd=tmp_path / "desk", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    built = tmp_path / "src/lumbar/serving/static"
    for path in (p for p in STATIC.rglob("*") if p.is_file()):
        assert (built / path.relative_to(STATIC)).read_bytes() == path.read_bytes(), path


def test_the_manual_names_every_key():
    manual = (DESK.parent / "docs" / "desk.md").read_text()
    entries = re.findall(r'key\("\w+", "([^"]+)"', (DESK / "src" / "keys.ts").read_text())
    assert len(entries) > 20
    for entry in entries:
        for name in entry.split():
            assert (
                name in ("=", "Ctrl+z", "Ctrl+y")
                or f"`{name}`" in manual
                or name.lower() in manual.lower().split("## what")[0]
            ), name
