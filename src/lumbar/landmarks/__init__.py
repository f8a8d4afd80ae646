"""The 22 corners of L1-L5 and S1: as an object, as heatmaps, and back."""

from lumbar.landmarks.spine import AnatomicalSpine, SpineLandmarks

__all__ = ["AnatomicalSpine", "SpineLandmarks"]
