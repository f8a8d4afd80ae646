"""Every landmark method by its name on the command line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lumbar.baselines.farnet import farnet
from lumbar.baselines.hrnet_heatmap import hrnet
from lumbar.baselines.stacked_hourglass import hourglass_2, hourglass_8
from lumbar.baselines.vertebra_focused import vertebra_focused
from lumbar.networks.lsldnet_method import lsld_net, lsld_net_levels
from lumbar.networks.method import LandmarkMethod

METHODS: dict[str, Callable[[], LandmarkMethod]] = {
    "hourglass-2": hourglass_2,
    "hourglass-8": hourglass_8,
    "hrnet": hrnet,
    "vertebra-focused": vertebra_focused,
    "farnet": farnet,
    "lsld-net-base": partial(lsld_net, "none"),
    "lsld-net-without-sae": partial(lsld_net, "channel"),
    "lsld-net": lsld_net,
    "lsld-net-levels": lsld_net_levels,
}
