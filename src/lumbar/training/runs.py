"""A training run and an export, as the command line asks for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from lumbar.datasets import BuuFolder, Split
from lumbar.landmarks import close_up, corner_view
from lumbar.methods import METHODS
from lumbar.networks.close_up_net import CloseUpNet, CloseUpNets
from lumbar.networks.corner_net import CORNERS, CornerNet
from lumbar.networks.method import LandmarkMethod
from lumbar.networks.yolov8 import yolov8n
from lumbar.runtime import CLOSE_UP, CORNER, FOLDER
from lumbar.training import checkpoint
from lumbar.training.close_up_task import close_up_task
from lumbar.training.corner_task import corner_task
from lumbar.training.exported import load_exported
from lumbar.training.landmark_task import landmark_task
from lumbar.training.localiser_task import FACINGS, localiser_task
from lumbar.training.loop import Recipe, Task, train
from lumbar.training.onnx_export import export_onnx
from lumbar.training.seen import SeenByCloseUps
from lumbar.training.stream import Films
from lumbar.windows import View

SIMULATED_EPOCH = 350
"""Films that count as an epoch where they are simulated: as many as the paper trains on in BUU-LSPINE."""

LOCALISER = "yolov8n"
CLOSE_UP_METHOD, CORNER_METHOD = "close-up-unet", "corner-attention-unet"

SHIPPED = Path("shipped")
"""Stands for the weights that came with the package, where there is a choice of what to begin with."""

_STATISTICS_OF = 64  # samples


def films_in(data: Path | None) -> int:
    """How many films make an epoch of `data`."""
    return SIMULATED_EPOCH if data is None else len(BuuFolder.open(data))


@dataclass(frozen=True, slots=True)
class Trainee:
    """The network that is trained, and the size of what it sees; None: that of the paper, 640 (localiser) or 1024 x 512.

    stage: one of `runtime.STAGES`. For landmarks alone: method, one of `METHODS`; view, what is seen of a film. randomised: the share of
    samples that look like no film. For corners alone: close_up, weights of the close-ups that they are to mend (as `start_from` of `run`); without
    these, the places that they look at are drawn by chance.
    """

    stage: str
    method: str = "lsld-net"
    height: int | None = None
    width: int | None = None
    view: View = View.BOX
    randomised: float = 0.0
    close_up: Path | None = None

    def __post_init__(self) -> None:
        if self.close_up is not None and self.stage != CORNER:
            raise ValueError(f"close_up is for the stage {CORNER} alone; got it with {self.stage}")

    def task(self, recipe: Recipe, films: Films) -> tuple[Task, dict[str, str]]:
        """What is to be trained, and what its weights say about themselves. Raises ValueError for a size or method that is not allowed."""
        if self.stage == "localiser":
            side = _multiple_of_32("height", self.height or 640)
            if self.width not in (None, side):
                raise ValueError(f"the localiser's input is square: width must be {side} or left out; got {self.width}")
            return localiser_task(side, recipe, films, self.randomised), {
                "method": LOCALISER,
                "height": str(side),
                "width": str(side),
            }
        if self.stage == CLOSE_UP:
            return close_up_task(recipe, films, self.randomised), self._about(CLOSE_UP_METHOD, close_up.SIZE)
        if self.stage == CORNER:
            about = self._about(CORNER_METHOD, corner_view.SIZE)
            return corner_task(recipe, self._with_places(films), self.randomised), about
        tall = _multiple_of_32("height", self.height or 1024)
        wide = _multiple_of_32("width", self.width or tall // 2)
        about = {"method": self.method, "height": str(tall), "width": str(wide), "view": self.view.value}
        method = method_called(self.method)
        return landmark_task(method, tall, wide, recipe, films, self.view, self.randomised), about

    def _with_places(self, films: Films) -> Films:
        if self.close_up is None:
            return films
        network, path = CloseUpNet(), _weights_of(CLOSE_UP, self.close_up)
        _fill(network, path, [torch.randn(_STATISTICS_OF, 2, close_up.SIZE, close_up.SIZE)])
        return films.seen_by(SeenByCloseUps(network))

    def _about(self, method: str, size: int) -> dict[str, str]:
        """Of a network whose input has one size alone."""
        if (self.height or size, self.width or size) != (size, size):
            raise ValueError(
                f"a {self.stage} has {size} x {size} pixels: leave height and width out; got {self.height}, {self.width}"
            )
        return {"method": method, "height": str(size), "width": str(size)}


def run(
    trainee: Trainee, films: Films, recipe: Recipe, folder: Path, start_from: Path | None = None, device: str = "auto"
) -> Path:
    """Train in `folder`, or go on there; returns the file with the best weights.

    start_from: .safetensors of a training run, .onnx of an export, or `SHIPPED`.
    Raises ValueError for a size, method or device that is not allowed, FileNotFoundError for missing weights.
    """
    where = device_called(device)
    task, about = trainee.task(recipe, films)
    if start_from is not None:
        samples = islice(task.batches(0), -(-_STATISTICS_OF // recipe.batch_size))
        _fill(task.network, _weights_of(trainee.stage, start_from), (batch[0] for batch in samples))
    return train(task, recipe, folder, where, about)


def films_of(
    data: Path | None,
    seed: int,
    first_films: int | None = None,
    split: Path | None = None,
    simulated: float = 0.0,
) -> Films:
    """Films to train on and to choose by: simulated where there is no `data`, a folder in BUU format.

    first_films: so many of `data` only. split: a folder of lists of patients as `datasets.Split` writes them; without it one film in eight is held out.
    simulated: which share of the films that are trained on is simulated beside `data`; weights are chosen by those of `data` alone.
    Raises ValueError where there are too few films, or a share beside no `data`.
    """
    if data is None:
        if simulated:
            raise ValueError(f"simulated is a share beside the films of data: give data, too; got {simulated}")
        return Films.simulated(seed)
    folder = BuuFolder.open(data).first(first_films)
    if split is None:
        return Films.of_folder(folder, seed).with_simulated(simulated, seed)
    parts = Split.read(split, folder.cases)
    films = Films.of_cases(parts.cases("train", folder.cases), parts.cases("validation", folder.cases))
    return films.with_simulated(simulated, seed)


def export(stage: str, weights: Path | Sequence[Path], folder: Path, about: str) -> dict[str, float]:
    """Write `weights` as `folder`/`stage`.onnx and .json; returns how far it is from torch.

    weights: of one training run; of close-ups those of several, too, which then answer together, at so many times the work.
    """
    paths = [weights] if isinstance(weights, Path) else list(weights)
    if len(paths) > 1 and stage != CLOSE_UP:
        raise ValueError(f"weights of several runs answer together for the stage {CLOSE_UP} alone; got {stage}")
    found = [_metadata(path) for path in paths]
    try:
        method, height, width = found[0]["method"], int(found[0]["height"]), int(found[0]["width"])
    except KeyError:
        raise ValueError(
            f"{paths[0]} does not say its method and size: give best.safetensors of a training run"
        ) from None
    networks = [_filled(stage, method, path) for path in paths]
    network = networks[0] if len(networks) == 1 else CloseUpNets(networks)
    named = {"localiser": ("boxes",), CLOSE_UP: ("corners", "kinds"), CORNER: ("corner",)}
    outputs = named.get(stage) or method_called(method).outputs
    keys = [key for key in found[0] if key not in ("method", "height", "width", "view")]
    validation = {key: ", ".join(each.get(key, "?") for each in found) for key in keys}
    card = {"stage": stage, "method": method, "about": about, "validation": validation}
    channels = {CLOSE_UP: (2,), CORNER: (CORNERS, corner_view.INPUTS)}.get(stage, (3,))
    return export_onnx(network, folder / f"{stage}.onnx", (*channels, height, width), outputs, card)


def _filled(stage: str, method: str, weights: Path) -> nn.Module:
    ours: dict[str, Callable[[], nn.Module]] = {
        "localiser": partial(yolov8n, classes=len(FACINGS)),
        CLOSE_UP: CloseUpNet,
        CORNER: CornerNet,
    }
    network = ours[stage]() if stage in ours else method_called(method).build()
    load_weights(network, weights)
    return network


def _weights_of(stage: str, given: Path) -> Path:
    """The file that is meant. Raises FileNotFoundError where there is none."""
    path = FOLDER / f"{stage}.onnx" if given == SHIPPED else given
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    return path


def _fill(network: nn.Module, path: Path, inputs: Iterable[Tensor]) -> None:
    """With weights of a training run, or of an export; then `inputs` are like what it will be trained on."""
    return load_exported(network, path, inputs) if path.suffix == ".onnx" else load_weights(network, path)


def load_weights(network: nn.Module, path: Path) -> None:
    """Fill `network` from a safetensors file. Raises ValueError where its tensors are others."""
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    tensors, _ = checkpoint.read_tensors(path)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as problem:
        raise ValueError(f"{path} holds other weights than this network's: {str(problem).splitlines()[0]}") from None


def _metadata(path: Path) -> dict[str, str]:
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    return checkpoint.read_tensors(path)[1]


def method_called(name: str) -> LandmarkMethod:
    """The landmark method of that name. Raises ValueError where there is none."""
    if name not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}; got {name!r}")
    return METHODS[name]()


def device_called(name: str) -> torch.device:
    """The device of that name; "auto" takes the graphics card where there is one. Raises ValueError where it is not there."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise ValueError(f"device must be auto, cpu or cuda; got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("device cuda is not there; use cpu")
    return torch.device(name, int(os.environ.get("LOCAL_RANK", 0))) if name == "cuda" else torch.device(name)


def _multiple_of_32(name: str, value: int) -> int:
    if value < 32 or value % 32:
        raise ValueError(f"{name} must be a multiple of 32; got {value}")
    return value
