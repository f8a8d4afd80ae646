"""One plain training loop for both networks, and the export of what it made."""

from lumbar.training.loop import Recipe
from lumbar.training.runs import export, films_in, run

__all__ = ["Recipe", "export", "films_in", "run"]
