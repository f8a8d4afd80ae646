"""What a console makes of the detector's signal: equalisation, edge enhancement, a tone curve, local contrast, now and then inverted."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lumbar.synthesis.exposure import FloatImage

_OPEN_FIELD = -2.5
"""Log signal below which a pixel counts as open field: twelve times what arrives behind the spine."""


@dataclass(frozen=True, slots=True)
class Console:
    """One maker's processing. Sizes are shares of the film's height; a strength of zero leaves the step out."""

    equalise: float
    equalise_size: float
    edge: float
    edge_px: float
    low_percentile: float
    high_percentile: float
    gamma: float
    toe: float
    clahe_clip: float
    clahe_tiles: int
    inverted: bool

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Console:
        """From a plain log image to heavy processing; one film in seventeen is shown inverted."""
        return cls(
            equalise=rng.uniform(0.1, 0.75) * (rng.random() < 0.6),
            equalise_size=rng.uniform(0.03, 0.15),
            edge=rng.uniform(0.3, 2.0) * (rng.random() < 0.35),
            edge_px=rng.uniform(1.0, 4.0),
            low_percentile=rng.uniform(0, 20),
            high_percentile=rng.uniform(96.5, 100),
            gamma=rng.uniform(0.55, 1.7),
            toe=rng.uniform(0, 1) * (rng.random() < 0.3),
            clahe_clip=rng.uniform(1, 4) * (rng.random() < 0.3),
            clahe_tiles=int(rng.integers(2, 9)),
            inverted=bool(rng.random() < 0.06),
        )

    @classmethod
    def plain(cls) -> Console:
        """No processing but a window from the first to the ninety-ninth percentile."""
        return cls(0.0, 0.1, 0.0, 1.0, 1.0, 99.0, 1.0, 0.0, 0.0, 8, False)

    def apply(self, log_signal: FloatImage) -> FloatImage:
        """Pixels (H, W) in [0, 1]."""
        image = log_signal
        height, width = image.shape
        if self.equalise:
            small = cv2.resize(image, None, fx=0.125, fy=0.125, interpolation=cv2.INTER_AREA)
            wide = cv2.resize(cv2.GaussianBlur(small, (0, 0), height * self.equalise_size / 8), (width, height))
            image = image - self.equalise * wide
        if self.edge:
            image = image + self.edge * (image - cv2.GaussianBlur(image, (0, 0), self.edge_px))
        # The window is set by what lies behind the body, not by open field.
        body = image[::4, ::4][log_signal[::4, ::4] > _OPEN_FIELD]
        low, high = np.percentile(body if body.size > 100 else image, [self.low_percentile, self.high_percentile])
        image = np.clip((image - low) / max(high - low, 1e-3), 0, 1)
        if self.toe:
            image = (1 - self.toe) * image + self.toe * image**2 * (3 - 2 * image)
        image = image**self.gamma
        if self.clahe_clip:
            clahe = cv2.createCLAHE(self.clahe_clip, (self.clahe_tiles, self.clahe_tiles))
            image = clahe.apply((image * 65535).astype(np.uint16)).astype(np.float32) / 65535
        shown: FloatImage = np.clip(1 - image if self.inverted else image, 0, 1).astype(np.float32)
        return shown
