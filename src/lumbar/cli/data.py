"""`lumbar dataset check`, `convert` and `split`: annotated films on disk."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from lumbar.cli.terminal import OutFolder, in_progress, or_usage, stdout

app = typer.Typer(no_args_is_help=True, help="Check, convert and split annotated films.")


class FormatName(StrEnum):
    """What annotations are read from and written as; see docs/datasets.md."""

    BUU = "buu"
    COCO = "coco"
    LABELME = "labelme"
    YOLO = "yolo"
    YOLO_POSE = "yolo-pose"


@app.command()
def check(folder: Annotated[Path, typer.Argument(help="Films with their csv in BUU format, or studies.")]) -> None:
    """Say what is unpaired, malformed, missing or doubtful, one line each, and what there is; exit 1 if anything was found."""
    from lumbar.datasets import check as look

    found = or_usage(lambda: look(folder, lambda cases: in_progress(cases, "checking")))
    for finding in found.findings:
        stdout.print(str(finding), markup=False, soft_wrap=True)
    for line in found.summary():
        stdout.print(line, markup=False, soft_wrap=True)
    if found.findings:
        raise typer.Exit(1)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A folder; for coco a JSON file.")],
    target: Annotated[Path, typer.Argument(help="A folder; for coco a JSON file.")],
    source_format: Annotated[FormatName, typer.Option("--from", help="Format of SOURCE.")],
    target_format: Annotated[FormatName, typer.Option("--to", help="Format of TARGET.")],
) -> None:
    """Write SOURCE's corners in another format; films are neither moved nor copied."""
    from lumbar.datasets import convert as rewrite

    films = or_usage(
        lambda: rewrite(
            source, source_format.value, target, target_format.value, lambda unread: in_progress(unread, "converting")
        )
    )
    stdout.print(f"{films} films written to {target}", soft_wrap=True)


@app.command()
def split(
    folder: Annotated[Path, typer.Argument(help="Films with their csv in BUU format.")],
    out: OutFolder,
    validation: Annotated[int | None, typer.Option(min=0, help="How many patients to validate by.")] = None,
    test: Annotated[int | None, typer.Option(min=0, help="How many patients to test on.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of the draw.")] = None,
) -> None:
    """Draw patients to train on, choose by and test on, alike in sex and age, as lists of ids.

    With neither --validation nor --test: the paper's 350 and 50 of BUU-LSPINE's 400 open patients.
    """
    from lumbar.datasets import PAPER_SEED, BuuFolder, draw_split, paper_protocol

    number = PAPER_SEED if seed is None else seed
    if validation is None and test is None:
        drawn = or_usage(lambda: paper_protocol(folder, number))
    else:
        drawn = or_usage(lambda: draw_split(BuuFolder.open(folder).cases, validation or 0, test or 0, number))
    drawn.write(out)
    counts = ", ".join(f"{name} {len(patients)}" for name, patients in drawn.parts.items())
    stdout.print(f"{counts} patients in {out}", soft_wrap=True)
