"""Film -> the lumbosacral area: a box around L1 to S1."""

from lumbar.localisation.box import LumbosacralBox

__all__ = ["LumbosacralBox"]
