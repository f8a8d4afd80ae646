"""A measured value, or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True, slots=True)
class Measurement:
    """One figure: `value` +- `standard_error` in `unit`, at `site` (a level such as "L4/L5").

    method: how it was constructed, in words. standard_error is None where the corners' errors are not known.
    Raises ValueError where value or standard_error is not finite, or standard_error is negative.
    """

    quantity: str
    site: str
    value: float
    unit: str
    standard_error: float | None
    method: str

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(
                f"value of {self.quantity} at {self.site} must be finite; got {self.value}: use Unmeasurable instead"
            )
        if self.standard_error is not None and not (math.isfinite(self.standard_error) and self.standard_error >= 0):
            raise ValueError(
                f"standard_error of {self.quantity} at {self.site} must be finite and at least 0; "
                f"got {self.standard_error}: pass None where it is not known"
            )

    def to_json(self) -> dict[str, Any]:
        """{quantity, site, value, unit, standard_error, method}."""
        return {name: getattr(self, name) for name in self.__slots__}  # flat, so `asdict` would only take longer


@dataclass(frozen=True, slots=True)
class Unmeasurable:
    """A quantity that could not be measured at `site`, and why."""

    quantity: str
    site: str
    reason: str

    def to_json(self) -> dict[str, Any]:
        """{quantity, site, reason}."""
        return {name: getattr(self, name) for name in self.__slots__}  # flat, so `asdict` would only take longer


def quantity_from_json(entry: Mapping[str, Any]) -> Measurement | Unmeasurable:
    """Either of them back from its `to_json`.

    Raises ValueError where the keys are not those of a Measurement or of an Unmeasurable.

    >>> quantity_from_json({"quantity": "slip", "site": "L4/L5", "reason": "L4 inferior posterior corner absent"}).site
    'L4/L5'
    """
    kind = Unmeasurable if "reason" in entry else Measurement
    wanted = [field.name for field in fields(kind)]
    if set(entry) != set(wanted):
        raise ValueError(f"a {kind.__name__} has the keys {', '.join(wanted)}; got {', '.join(entry) or 'none'}")
    return kind(**entry)
