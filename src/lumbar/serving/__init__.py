"""The reading desk: an HTTP API over films, readings, corrections and sign-offs, and the page that uses it."""

from lumbar.serving.app import create_app
from lumbar.serving.blobs import Blobs
from lumbar.serving.settings import Limits, Settings
from lumbar.serving.store import NewFilm, Store

__all__ = ["Blobs", "Limits", "NewFilm", "Settings", "Store", "create_app"]
