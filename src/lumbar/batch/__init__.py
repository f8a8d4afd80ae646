"""Whole archives: films of a folder, a list or an object store, read by many processes or machines, into tables."""

from lumbar.batch.film_list import ListedFilm, films_listed
from lumbar.batch.job import Job, OtherJob, Settings
from lumbar.batch.place import Place
from lumbar.batch.run import run_here, run_on_ray
from lumbar.batch.tables import Counts, write_tables

__all__ = [
    "Counts",
    "Job",
    "ListedFilm",
    "OtherJob",
    "Place",
    "Settings",
    "films_listed",
    "run_here",
    "run_on_ray",
    "write_tables",
]
