"""One plain training loop for both networks, the export of what it made, and a trained method at work."""

from lumbar.training.loop import Recipe
from lumbar.training.prediction import TrainedMethod, shipped_localiser
from lumbar.training.quantisation import quantise
from lumbar.training.runs import Trainee, export, films_in, films_of, run

__all__ = [
    "Recipe",
    "TrainedMethod",
    "Trainee",
    "export",
    "films_in",
    "films_of",
    "quantise",
    "run",
    "shipped_localiser",
]
