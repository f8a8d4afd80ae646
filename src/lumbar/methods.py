"""Every landmark method by its name on the command line."""

from __future__ import annotations

from collections.abc import Callable

from lumbar.networks.lsldnet_method import lsld_net, lsld_net_levels
from lumbar.networks.method import LandmarkMethod

METHODS: dict[str, Callable[[], LandmarkMethod]] = {"lsld-net": lsld_net, "lsld-net-levels": lsld_net_levels}
