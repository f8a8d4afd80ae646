"""The words of the trade: vertebrae, their corners, the levels between them, and the one order of the 22 landmarks.

Every array of landmarks in this package has shape (22, 2) and follows `LANDMARKS`: from L1 down to S1, and on each
vertebra superior-anterior, superior-posterior, inferior-anterior, inferior-posterior. S1 has its two superior corners only.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Vertebra(StrEnum):
    """A vertebra that is read on the film, from cranial to caudal."""

    L1 = "L1"
    L2 = "L2"
    L3 = "L3"
    L4 = "L4"
    L5 = "L5"
    S1 = "S1"


class Corner(StrEnum):
    """A corner of a vertebral body as it is projected on a lateral film."""

    SUPERIOR_ANTERIOR = "superior_anterior"
    SUPERIOR_POSTERIOR = "superior_posterior"
    INFERIOR_ANTERIOR = "inferior_anterior"
    INFERIOR_POSTERIOR = "inferior_posterior"


class Side(StrEnum):
    """A side of the film as it is shown."""

    LEFT = "left"
    RIGHT = "right"

    @property
    def opposite(self) -> Side:
        """The other side of the film."""
        return Side.RIGHT if self is Side.LEFT else Side.LEFT


class Posture(StrEnum):
    """How the patient was bent when the film was taken."""

    FLEXION = "flexion"
    NEUTRAL = "neutral"
    EXTENSION = "extension"


@dataclass(frozen=True, slots=True)
class Level:
    """A motion segment: two neighbouring vertebrae and the disc between them."""

    upper: Vertebra
    lower: Vertebra

    def __post_init__(self) -> None:
        order = list(Vertebra)
        if order.index(self.lower) != order.index(self.upper) + 1:
            raise ValueError(f"a level joins a vertebra with the next one below; got {self.upper} and {self.lower}")

    def __str__(self) -> str:
        """The site's name in JSON and reports.

        >>> str(Level(Vertebra.L5, Vertebra.S1))
        'L5/S1'
        """
        return f"{self.upper}/{self.lower}"


def corners_of(vertebra: Vertebra) -> tuple[Corner, ...]:
    """The corners that are read on `vertebra`: four, and on S1 the two superior ones."""
    corners = tuple(Corner)
    return corners[:2] if vertebra is Vertebra.S1 else corners


LANDMARKS: tuple[tuple[Vertebra, Corner], ...] = tuple(
    (vertebra, corner) for vertebra in Vertebra for corner in corners_of(vertebra)
)
"""The one order of the 22 landmarks."""

LANDMARK_INDEX: dict[tuple[Vertebra, Corner], int] = {landmark: i for i, landmark in enumerate(LANDMARKS)}

LEVELS: tuple[Level, ...] = tuple(
    Level(upper, lower) for upper, lower in zip(tuple(Vertebra)[:-1], tuple(Vertebra)[1:], strict=True)
)
"""L1/L2 … L5/S1."""


def rows_of(vertebra: Vertebra) -> slice:
    """Rows of `vertebra` in an array of landmarks.

    >>> rows_of(Vertebra.L2), rows_of(Vertebra.S1)
    (slice(4, 8, None), slice(20, 22, None))
    """
    start = LANDMARK_INDEX[vertebra, Corner.SUPERIOR_ANTERIOR]
    return slice(start, start + len(corners_of(vertebra)))
