"""The desk as an ASGI app: the API under /api, and at / the page that uses it."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel, StringConstraints

from lumbar.reading import NOTICE, installed_version
from lumbar.serving import film_routes, studies
from lumbar.serving.blobs import Blobs
from lumbar.serving.desk import Desk, TheDesk
from lumbar.serving.exports import EXPORTS
from lumbar.serving.reading_queue import ReadFilms, ReadingQueue
from lumbar.serving.safety import COOKIE, Safety, session_of
from lumbar.serving.settings import Settings
from lumbar.serving.store import Missing, Stale, Store
from lumbar.serving.views import CriteriaView, all_criteria

STATIC = Path(__file__).parent / "static"

_general = APIRouter(prefix="/api", tags=["desk"])


@dataclass(frozen=True, slots=True)
class About:
    """What the page needs to know of the desk. author: who the proxy says is signed in, or the reader of a research run."""

    version: str
    notice: str
    annotate: bool
    author: str | None
    criteria: list[CriteriaView]
    exports: list[str]


class Token(BaseModel):
    """As `lumbar serve` printed it."""

    token: Annotated[str, StringConstraints(max_length=500)]


@_general.get("/desk")
def about(request: Request, desk: TheDesk) -> About:
    """Version, criteria, formats, and who is at the desk."""
    settings = desk.settings
    known = settings.reader is not None or settings.user_header is not None
    author = desk.who(request, "") if known else None
    return About(installed_version(), NOTICE, settings.annotate is not None, author, all_criteria(), list(EXPORTS))


@_general.post("/session", status_code=204, responses={401: {"description": "Another token."}})
def session(given: Token, request: Request, desk: TheDesk) -> Response:
    """Exchange the token for a cookie that no script and no other site can use."""
    token = desk.settings.token
    if token is None:
        return Response(status_code=204)
    if not hmac.compare_digest(given.token.encode(), token.encode()):
        raise HTTPException(401, "the token is another")
    answer = Response(status_code=204)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, session_of(token), max_age=30 * 86400, httponly=True, samesite="strict", secure=secure)
    return answer


@_general.get("/health")
def health(desk: TheDesk) -> dict[str, str]:
    """Whether the desk answers."""
    return {"status": "ok"}


def create_app(store: Store, blobs: Blobs, open_reader: Callable[[], ReadFilms], settings: Settings) -> FastAPI:
    """The desk over a store and a folder of films.

    open_reader: makes the function that reads films; it is called at the first study, in a thread of its own.
    """
    kind, author = ("prediction", "lumbar") if settings.annotate is None else ("blank", "lumbar")
    queue = ReadingQueue(store, blobs, open_reader, kind, author)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        queue.start()
        yield
        queue.stop()
        store.close()

    app = FastAPI(
        title="lumbar reading desk",
        version=installed_version(),
        description=f"Lateral lumbar films in; readings to look at, correct and sign. {NOTICE}",
        openapi_url="/api/openapi.json",
        docs_url=None,  # its page would call another host
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.desk = Desk(store, blobs, queue, settings)
    for router in (_general, studies.router, film_routes.router):
        app.include_router(router)
    _answer_errors(app)
    if (STATIC / "index.html").is_file():
        app.add_api_route("/", lambda: FileResponse(STATIC / "index.html"), include_in_schema=False)
        app.mount("/assets", StaticFiles(directory=STATIC / "assets"))
    app.add_middleware(Safety, settings=settings)
    return app


def _answer_errors(app: FastAPI) -> None:
    def answer(status: int, detail: object, **more: object) -> JSONResponse:
        return JSONResponse({"detail": detail, **more}, status)

    @app.exception_handler(RequestValidationError)
    async def _(_: Request, problem: RequestValidationError) -> JSONResponse:
        said = [{"loc": [str(at) for at in e["loc"]], "msg": e["msg"], "type": e["type"]} for e in problem.errors()]
        return answer(422, said)  # what was sent is not repeated

    @app.exception_handler(Stale)
    async def _(_: Request, stale: Stale) -> JSONResponse:
        detail = "somebody was faster: look at the newest version first"
        return answer(409, detail, current=stale.current)

    @app.exception_handler(Missing)
    async def _(_: Request, __: Missing) -> JSONResponse:
        return answer(404, "there is no such study, film or version")
