"""What the commands share: how they talk to a terminal, their common options, and how they leave."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lumbar.anatomy import Side
from lumbar.whole_file import written_aside

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lumbar.pipeline import Reader
    from lumbar.runtime import Weights

Item = TypeVar("Item")
Made = TypeVar("Made")

stdout = Console(width=None if sys.stdout.isatty() else 120)
stderr = Console(stderr=True, highlight=False)

OutFolder = Annotated[Path, typer.Option("--out", help="Folder for what is written; made if it is not there.")]
Spacing = Annotated[
    str | None, typer.Option(help="Pixel spacing in mm at the patient, ROW or ROW,COLUMN; overrides what a file says.")
]
Facing = Annotated[Side | None, typer.Option(help="Side of the film that is anterior; else it is found from the film.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads of the networks; all by default.")]
WeightsFolder = Annotated[
    Path | None,
    typer.Option("--weights", help="Folder with weights as `lumbar export` writes them, instead of those shipped."),
]


class Numbers(StrEnum):
    """`runtime.PRECISIONS` as the command line has them."""

    FP32 = "fp32"
    INT8 = "int8"


class Processor(StrEnum):
    """`runtime.DEVICES` as the command line has them."""

    CPU = "cpu"
    CUDA = "cuda"
    OPENVINO = "openvino"


Device = Annotated[
    Processor,
    typer.Option(
        help="What runs the networks; openvino needs `pip install 'lumbar\\[openvino]'`, cuda onnxruntime-gpu."
    ),
]
Precision = Annotated[
    Numbers,
    typer.Option(
        help="Numbers that the networks compute in: int8 takes half the time on most processors; see the model card."
    ),
]

Pdf = Annotated[bool, typer.Option("--pdf", help="Also write the reports as PDF; needs `pip install 'lumbar\\[pdf]'`.")]

DicomOut = Annotated[
    bool,
    typer.Option(
        "--dicom-out",
        help="Also write DICOM results of DICOM films: a TID 1500 report, a presentation state, the overlay and, with --pdf, the report's "
        "pages; needs `pip install 'lumbar\\[pacs]'`.",
    ),
]
Deidentify = Annotated[
    bool,
    typer.Option(
        "--deidentify",
        help="For export: names, ids, dates and UIDs are replaced in all that is written, and a DICOM film is copied without them.",
    ),
]


def pacs_room() -> None:
    """End the command with one line that says how to install what `lumbar.pacs` needs, where that is missing."""
    try:
        import dicomweb_client  # noqa: F401
        import highdicom  # noqa: F401
        import pynetdicom  # noqa: F401
    except ImportError as missing:
        usage(f"this needs more packages ({missing.name} is missing); install them with: pip install 'lumbar[pacs]'")


def write_whole(path: Path, data: bytes) -> None:
    """Write a file aside and rename it: it is there as a whole or not at all."""
    with written_aside(path) as aside:
        aside.write_bytes(data)


def png(picture: NDArray[np.uint8]) -> bytes:
    """An RGB picture (H, W, 3) as a PNG file."""
    import cv2

    done, data = cv2.imencode(".png", picture[..., ::-1])
    assert done
    return bytes(data.tobytes())


def with_progress(items: Sequence[Item], what: str, make: Callable[[Item], Made]) -> Iterable[Made]:
    """Make one thing after the other under a progress bar."""
    return (make(item) for item in in_progress(items, what))


def in_progress(items: Sequence[Item], what: str) -> Iterable[Item]:
    """The items one after the other under a progress bar (none where stderr is no terminal)."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr, transient=True, disable=not stderr.is_terminal) as bar:
        task = bar.add_task(what, total=len(items))
        for item in items:
            yield item
            bar.advance(task)


def weights_of(folder: Path | None, precision: Numbers = Numbers.FP32) -> dict[str, Weights]:
    """The weights in that folder, or those shipped; a folder without them ends the command."""
    from lumbar.runtime import FOLDER, weights_in

    return or_usage(lambda: weights_in(folder or FOLDER, precision.value))


def reader_with(weights: Path | None, threads: int | None, precision: Numbers, device: Processor) -> Reader:
    """A reader with the weights of that folder, or with those shipped; one that cannot be had ends the command."""
    from lumbar.pipeline import Reader

    known = weights_of(weights, precision)
    return or_usage(lambda: Reader.of(known, threads, device.value))


def training_room() -> ModuleType:
    """The room that needs torch, or one line that says how to install it."""
    try:
        from lumbar import training
    except ImportError as missing:
        usage(
            f"training needs more packages ({missing.name} is missing); install them with: pip install 'lumbar[train]'"
        )
    return training


def or_usage(make: Callable[[], Made]) -> Made:
    """What `make` makes; a wrong argument or a missing file ends the command as a usage error."""
    try:
        return make()
    except (ValueError, FileNotFoundError) as problem:
        usage(str(problem))


def usage(problem: str) -> NoReturn:
    """One line, and exit code 2."""
    stderr.print(f"lumbar: {problem}", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(2)
