"""Two test processes share two cores: each torch takes one."""

import sys


def pytest_runtest_setup(item):
    """Keep torch, where a test has loaded it, to one thread."""
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(1)
