"""Reading -> overlay picture, HTML page and console table. Rounding happens here and nowhere else."""

from lumbar.report.constructions import Line, constructions, outlines
from lumbar.report.overlay import draw_overlay
from lumbar.report.page import reading_page, study_page
from lumbar.report.pdf import NoPdf, as_pdf
from lumbar.report.table import reading_table, study_table

__all__ = [
    "Line",
    "NoPdf",
    "as_pdf",
    "constructions",
    "draw_overlay",
    "outlines",
    "reading_page",
    "reading_table",
    "study_page",
    "study_table",
]
