"""How a desk is run: who may come, how much they may bring, and what it is for."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = ("127.0.0.1", "localhost", "::1")

LEAST_TOKEN = 16
"""Characters of a token."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may do. A film's pixels are limited by `images.MAX_PIXELS`, before they are decoded.

    requests: per second and in a burst, of one address; uploads: the same per minute; guesses: wrong tokens a minute.
    """

    upload_bytes: int = 300_000_000
    body_bytes: int = 100_000
    films: int = 3
    requests_per_s: float = 100.0
    burst: int = 400
    uploads_per_minute: float = 60.0
    guesses_per_minute: float = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """token: what a client must know; None on loopback. hosts: names under which the desk may be called, all where None.

    user_header: the header in which a proxy that signs people in says who it is; who the client says it is does not count then.
    annotate: the folder whose films are marked without predictions, by `reader`; None for the clinic's desk.
    """

    token: str | None = None
    hosts: tuple[str, ...] | None = LOOPBACK
    user_header: str | None = None
    annotate: Path | None = None
    reader: str | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.token is not None and (len(self.token) < LEAST_TOKEN or not self.token.isascii()):
            raise ValueError(f"token must have at least {LEAST_TOKEN} ASCII characters; got {len(self.token)}")
        if (self.annotate is None) != (self.reader is None):
            raise ValueError("annotate and reader belong together: give both, or neither")
