"""Films of spines that never were, with the truth known."""

from lumbar.synthesis.film import Part, simulate_film, simulate_study

__all__ = ["Part", "simulate_film", "simulate_study"]
