"""A trained landmark method at work on whole films, one look each: how methods are compared with one another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

from lumbar.anatomy import Side
from lumbar.crop import cut, network_input, standardised
from lumbar.geometry import FloatArray, letterbox
from lumbar.landmarks.spine import COUNT
from lumbar.networks.method import LandmarkMethod
from lumbar.pipeline import Reader
from lumbar.radiograph import Radiograph
from lumbar.training import checkpoint
from lumbar.training.landmark_task import read_crop
from lumbar.training.runs import load_weights, method_called
from lumbar.windows import View, upright_frame, whole_film, window_around

FILL = 0.75
"""The share of the crop's height that the localiser's box takes: about the middle of what training shows."""


@dataclass(frozen=True)
class TrainedMethod:
    """A network of a training run, and how it looks at films.

    about: what the run's file says of itself, its figures included.
    """

    method: LandmarkMethod
    network: nn.Module
    height: int
    width: int
    view: View
    about: dict[str, str]

    @classmethod
    def load(cls, weights: Path) -> TrainedMethod:
        """From best.safetensors of a run. Raises FileNotFoundError, and ValueError where the file is of something else."""
        if not weights.is_file():
            raise FileNotFoundError(f"no weights at {weights}")
        about = checkpoint.read_tensors(weights)[1]
        if not {"method", "height", "width"} <= set(about):
            raise ValueError(f"{weights} does not say its method and size: give best.safetensors of a training run")
        method = method_called(about["method"])
        network = method.build().eval()
        load_weights(network, weights)
        view = View(about.get("view", View.BOX))
        return cls(method, network, int(about["height"]), int(about["width"]), view, about)

    @property
    def name(self) -> str:
        """The method's, and how it looks where that is not through the localiser's box."""
        return self.method.name if self.view is View.BOX else f"{self.method.name} on whole films"

    def landmarks(
        self, radiograph: Radiograph, localiser: Callable[[Radiograph, Side], FloatArray | None]
    ) -> FloatArray:
        """Landmarks (22, 2) in film pixels, NaN where there is none, of a film whose facing is known.

        localiser: the box (x0, y0, x1, y1) in the upright frame, or None where it sees no lumbar spine: `Reader.box`.
        Raises ValueError for a film that does not say which way it faces.
        """
        if radiograph.anterior is None:
            raise ValueError("the film must say on which side its anterior is; use radiograph.facing(side)")
        upright = upright_frame(radiograph, radiograph.anterior)
        if self.view is View.FILM:
            window = whole_film(radiograph, upright)
        else:
            box = localiser(radiograph, radiograph.anterior)
            if box is None:
                return np.full((COUNT, 2), np.nan)
            window = window_around(box, FILL, self.height / self.width)
        to_crop = upright.then(letterbox(window, self.height, self.width, "upright", "crop"))
        crop = standardised(*cut(radiograph.pixels, to_crop, self.height, self.width))
        found = read_crop(self.method, self.network, network_input([crop])[0])
        return to_crop.inverse.apply(found.points_px)


def shipped_localiser() -> Callable[[Radiograph, Side], FloatArray | None]:
    """The shipped localiser's box of a film."""
    return Reader.shipped().box
