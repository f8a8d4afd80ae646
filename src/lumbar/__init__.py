"""A lateral lumbar radiograph in, measurements that a spine clinician can defend out. Research use; not a medical device.

>>> from lumbar import Reader, open_film  # doctest: +SKIP
>>> Reader.shipped().read(open_film("film.dcm")).measured("slip", "L4/L5")  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lumbar.films import open_film
    from lumbar.pipeline import Reader
    from lumbar.radiograph import PixelSpacing, Radiograph, UnreadableFilm
    from lumbar.reading import Reading
    from lumbar.study import StudyAssessment, assess_study

__all__ = [
    "PixelSpacing",
    "Radiograph",
    "Reader",
    "Reading",
    "StudyAssessment",
    "UnreadableFilm",
    "assess_study",
    "open_film",
]

_ROOMS = {
    "PixelSpacing": "lumbar.radiograph",
    "Radiograph": "lumbar.radiograph",
    "Reader": "lumbar.pipeline",
    "Reading": "lumbar.reading",
    "StudyAssessment": "lumbar.study",
    "UnreadableFilm": "lumbar.radiograph",
    "assess_study": "lumbar.study",
    "open_film": "lumbar.films",
}


def __getattr__(name: str) -> Any:
    """Load a room only when something of it is asked for: `import lumbar` costs nothing."""
    if name not in _ROOMS:
        raise AttributeError(f"module 'lumbar' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    return getattr(import_module(_ROOMS[name]), name)
