"""What stands between a client and the desk: host, origin, token, rates, sizes, and the headers of every answer."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

from lumbar.serving.settings import Limits, Settings

COOKIE = "lumbar_desk"

CSP = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "private, no-store",
}
"""On every answer: films and readings are nothing that a proxy or a disk cache should keep."""

_REMEMBERED = 4096

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


class Refused(Exception):
    """An answer that is not the app's: status and the reason for the client."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail


class Bucket:
    """Who may go on: each name has `burst` drops, which come back at `per_s`; a request takes one."""

    def __init__(self, per_s: float, burst: float) -> None:
        self._per_s, self._burst = per_s, burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, name: str, at: float | None = None) -> bool:
        """Whether a drop was left for `name`.

        >>> bucket = Bucket(1.0, 2)
        >>> [bucket.take("a", at) for at in (0.0, 0.0, 0.0, 1.0, 1.5)]
        [True, True, False, True, False]
        """
        at = time.monotonic() if at is None else at
        with self._lock:
            left, since = self._left.pop(name, (self._burst, at))
            left = min(self._burst, left + (at - since) * self._per_s)
            allowed = left >= 1
            self._left[name] = (left - 1 if allowed else left, at)
            while len(self._left) > _REMEMBERED:
                self._left.popitem(last=False)
            return allowed


def session_of(token: str) -> str:
    """What the cookie holds for a token: it opens the desk, and does not give the token away."""
    return hmac.new(token.encode(), b"lumbar desk", hashlib.sha256).hexdigest()


class Safety:
    """ASGI middleware around the whole app."""

    def __init__(self, app: App, settings: Settings) -> None:
        self._app, self._settings = app, settings
        limits: Limits = settings.limits
        self._requests = Bucket(limits.requests_per_s, limits.burst)
        self._uploads = Bucket(limits.uploads_per_minute / 60, limits.uploads_per_minute)
        self._guesses = Bucket(limits.guesses_per_minute / 60, limits.guesses_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        guarded = _with_headers(send)
        started = False
        coming: _Measured | None = None

        async def sent(message: Message) -> None:
            nonlocal started
            if coming is not None and coming.too_much and not started:
                raise _too_large(coming.most)  # whatever the app made of a body that was cut off
            started = True
            await guarded(message)

        try:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            self._check(scope, headers)
            most = self._most_bytes(scope)
            if _stated_length(headers) > most:
                raise _too_large(most)
            coming = _Measured(receive, most)
            await self._app(scope, coming, sent)
        except Refused as refused:
            if not started:
                await _answer(guarded, refused)

    def _check(self, scope: Scope, headers: dict[str, str]) -> None:
        client = scope["client"][0] if scope.get("client") else "unknown"
        if not self._requests.take(client):
            raise Refused(429, "too many requests; wait a moment")
        host = headers.get("host", "")
        allowed = self._settings.hosts
        if allowed is not None and _host_name(host) not in allowed:
            raise Refused(421, "the desk is not called by this name; see --behind-proxy")
        if scope["method"] not in ("GET", "HEAD") and not _same_origin(headers, host):
            raise Refused(403, "requests that change something must come from the desk's own pages")
        path: str = scope["path"]
        if path == "/api/studies" and scope["method"] == "POST" and not self._uploads.take(client):
            raise Refused(429, "too many uploads; wait a minute")
        if self._settings.token is None or not path.startswith("/api/"):
            return
        if path == "/api/session":
            if not self._guesses.take(client):
                raise Refused(429, "too many tokens were tried; wait a minute")
        elif not self._knows(self._settings.token, headers):
            raise Refused(
                401,
                "a token is needed: open the address that `lumbar serve` printed, or send Authorization: Bearer TOKEN",
            )

    def _knows(self, token: str, headers: dict[str, str]) -> bool:
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return hmac.compare_digest(given.strip().encode("utf-8", "replace"), token.encode())
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return morsel is not None and hmac.compare_digest(
            morsel.value.encode("utf-8", "replace"), session_of(token).encode()
        )

    def _most_bytes(self, scope: Scope) -> int:
        limits = self._settings.limits
        return limits.upload_bytes if scope["path"] == "/api/studies" else limits.body_bytes


def _same_origin(headers: dict[str, str], host: str) -> bool:
    """Browsers say where a request comes from; programs do not, and no page can make a browser silent."""
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or origin.partition("://")[2] == host


def _host_name(host: str) -> str:
    """Of a Host header, without its port; nothing where it is malformed."""
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _stated_length(headers: dict[str, str]) -> int:
    stated = headers.get("content-length", "0")
    if not (stated.isascii() and stated.isdigit()):
        raise Refused(400, "content-length must be a number")
    return int(stated)


class _Measured:
    """A body that is cut off after `most` bytes."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self.most, self._got, self.too_much = receive, most, 0, False

    async def __call__(self) -> Message:
        message = await self._receive()
        self._got += len(message.get("body", b""))
        if self._got > self.most:
            self.too_much = True
            raise _too_large(self.most)
        return message


def _too_large(most: int) -> Refused:
    return Refused(413, f"at most {most / 1e6:g} MB may be sent at once")


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message["headers"]}
            more = [(name.encode(), value.encode()) for name, value in HEADERS.items() if name.encode() not in own]
            message["headers"] = [*message["headers"], *more]
        await send(message)

    return sent


async def _answer(send: Send, refused: Refused) -> None:
    body = json.dumps({"detail": refused.detail}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refused.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if refused.status == 429:
        headers.append((b"retry-after", b"5"))
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
