"""The methods for tests that ask the same of each; those that take long wait for `make test-slow`."""

import pytest

from lumbar.methods import METHODS


def every_method_but_slow(*quick: str) -> list[object]:
    """All names as parameters, those that are not `quick` marked slow."""
    return [pytest.param(name, marks=() if name in quick else pytest.mark.slow) for name in METHODS]
