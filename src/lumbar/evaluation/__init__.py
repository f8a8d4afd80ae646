"""Predictions against truth: the metrics of the paper, agreement statistics, tables."""

from lumbar.evaluation.clinical import Study
from lumbar.evaluation.page import evaluation_page
from lumbar.evaluation.read_case import ReadCase, Unit
from lumbar.evaluation.result import Evaluation, evaluate, points_to_csv
from lumbar.evaluation.tables import Table, compared, tables_of

__all__ = [
    "Evaluation",
    "ReadCase",
    "Study",
    "Table",
    "Unit",
    "compared",
    "evaluate",
    "evaluation_page",
    "points_to_csv",
    "tables_of",
]
