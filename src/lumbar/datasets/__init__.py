"""Annotated films on disk -> annotated films in memory; checks, splits, and the formats of other tools."""

from lumbar.datasets.annotation import Annotation
from lumbar.datasets.buu_lspine import BuuFolder
from lumbar.datasets.case import Case
from lumbar.datasets.check import Checked, Finding, check
from lumbar.datasets.convert import FORMATS, convert
from lumbar.datasets.splits import PAPER_SEED, Split, draw_split, paper_protocol
from lumbar.datasets.studies import Motion, StudyCase, StudyFolder

__all__ = [
    "FORMATS",
    "PAPER_SEED",
    "Annotation",
    "BuuFolder",
    "Case",
    "Checked",
    "Finding",
    "Motion",
    "Split",
    "StudyCase",
    "StudyFolder",
    "check",
    "convert",
    "draw_split",
    "paper_protocol",
]
