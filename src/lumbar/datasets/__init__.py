"""Annotated films on disk -> annotated films in memory."""

from lumbar.datasets.buu_lspine import BuuFolder

__all__ = ["BuuFolder"]
