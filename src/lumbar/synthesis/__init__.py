"""Films of spines that never were, with the truth known."""

from lumbar.synthesis.film import simulate_film, simulate_study

__all__ = ["simulate_film", "simulate_study"]
