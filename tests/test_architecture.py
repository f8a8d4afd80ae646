"""What loads what: the import contract, and a light `import lumbar`."""

import subprocess
import sys
from pathlib import Path

import lumbar

ROOT = Path(__file__).parent.parent
HEAVY = (
    "torch",
    "onnxruntime",
    "cv2",
    "numpy",
    "pydicom",
    "PIL",
    "typer",
    "rich",
    "jinja2",
    "fastapi",
    "ray",
    "highdicom",
    "pynetdicom",
)


def loaded_by(code: str) -> set[str]:
    """Which of the heavy packages a fresh interpreter has loaded after `code`."""
    show = f"{code}; import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    return set(subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout.split())


def test_a_room_imports_only_from_rooms_below_it():
    linter = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run([linter, "--no-cache"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout


def test_importing_lumbar_loads_nothing_heavy():
    assert loaded_by("import lumbar") == set()


def test_reading_needs_no_torch():
    assert "torch" not in loaded_by("from lumbar import Reader; Reader.shipped(1)")


def test_the_command_line_loads_nothing_of_the_pacs_until_it_is_asked_for():
    assert not {"highdicom", "pynetdicom"} & loaded_by("from lumbar.cli import app")


def test_everything_that_the_package_offers_is_there():
    assert {name: getattr(lumbar, name).__name__ for name in lumbar.__all__} == {name: name for name in lumbar.__all__}


def test_a_misspelt_name_says_what_there_is():
    try:
        lumbar.Readr  # noqa: B018
    except AttributeError as problem:
        assert "Reader" in str(problem)
    else:
        raise AssertionError("no error")
