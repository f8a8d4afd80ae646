"""`lumbar serve` and `lumbar agreement`: the reading desk, and how well two readers agree."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from lumbar.cli.terminal import (
    Device,
    Numbers,
    Precision,
    Processor,
    Threads,
    WeightsFolder,
    in_progress,
    or_usage,
    stderr,
    stdout,
    usage,
    weights_of,
    write_whole,
)

if TYPE_CHECKING:
    from lumbar.radiograph import Radiograph
    from lumbar.reading import Reading
    from lumbar.runtime import Weights
    from lumbar.serving.annotation import InterReader
    from lumbar.serving.reading_queue import ReadFilms


def serve(
    data: Annotated[
        Path, typer.Option(help="Folder for films and, unless --database says otherwise, the database.")
    ] = Path("lumbar-desk"),
    database: Annotated[str | None, typer.Option(help="postgresql://USER@HOST/NAME or sqlite:///FILE.")] = None,
    host: Annotated[str, typer.Option(help="Address to listen on; beyond loopback a token is needed.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any free one.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="LUMBAR_TOKEN", help="What clients must know; beyond loopback one is drawn if none is given."
        ),
    ] = None,
    behind_proxy: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Host name under which a reverse proxy on this machine offers the desk."),
    ] = None,
    user_header: Annotated[
        str | None, typer.Option(help="Header in which that proxy says who is signed in, such as X-Remote-User.")
    ] = None,
    annotate: Annotated[
        Path | None, typer.Option(help="Research: mark the films of this folder, without predictions.")
    ] = None,
    reader: Annotated[str | None, typer.Option(help="Who marks them; each reader's work is kept apart.")] = None,
    threads: Threads = None,
    weights: WeightsFolder = None,
    precision: Precision = Numbers.FP32,
    device: Device = Processor.CPU,
) -> None:
    """Open the reading desk: look at films in the browser, correct corners, sign off."""
    serving = serving_room()
    from lumbar.serving.annotation import add_folder, nothing_marked, reader_folder
    from lumbar.serving.settings import LOOPBACK

    if (annotate is None) != (reader is None):
        usage("--annotate FOLDER and --reader NAME belong together")
    if annotate is not None and database is not None:
        usage("--annotate keeps each reader's database in the reader's own folder: leave --database out")
    if user_header is not None and behind_proxy is None:
        usage("--user-header needs --behind-proxy: without a proxy in between any client could send that header")
    if user_header is not None and host not in LOOPBACK:
        usage(f"--user-header needs --host on loopback, where the proxy alone can reach it; got {host}")
    if host not in LOOPBACK and token is None:
        token = secrets.token_urlsafe(24)
    open_names = None if host not in LOOPBACK else (*LOOPBACK, *([behind_proxy] if behind_proxy else []))
    settings = or_usage(lambda: serving.Settings(token, open_names, user_header, annotate, reader))
    known = {} if annotate is not None else weights_of(weights, precision)
    if annotate is not None and reader is not None:
        data = or_usage(lambda: reader_folder(annotate, reader) / "desk")
    blobs = or_usage(lambda: serving.Blobs(data))
    store = or_usage(lambda: serving.Store.open(database or f"sqlite:///{(data / 'desk.db').resolve()}"))
    if annotate is not None and reader is not None:
        films = or_usage(lambda: _films(annotate))
        for problem in or_usage(lambda: add_folder(store, blobs, annotate, reader, in_progress(films, "opening"))):
            stderr.print(problem, style="red", markup=False, soft_wrap=True)
    open_reader = (lambda: nothing_marked) if annotate is not None else lambda: _networks(known, threads, device)
    _run(serving.create_app(store, blobs, open_reader, settings), host, port, token, behind_proxy)


def agreement(
    folder: Annotated[Path, typer.Argument(help="The folder that two readers annotated.")],
    readers: Annotated[list[str], typer.Option("--reader", help="Give it twice.")],
    out: Annotated[Path | None, typer.Option(help="Also write agreement.json here.")] = None,
) -> None:
    """Compare two readers of `lumbar serve --annotate`: ICC(2,1) and Bland-Altman limits of every measurement."""
    serving_room()
    from lumbar.serving.annotation import compare_readers

    if len(readers) != 2:
        usage(f"--reader must be given twice; got {len(readers)}")
    found = or_usage(lambda: compare_readers(folder, (readers[0], readers[1])))
    stdout.print(_agreement_table(found))
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        write_whole(out / "agreement.json", (json.dumps(found.to_json(), indent=2, allow_nan=False) + "\n").encode())


def serving_room() -> ModuleType:
    """The room that needs FastAPI and SQLAlchemy, or one line that says how to install them."""
    try:
        from lumbar import serving
    except ImportError as missing:
        usage(
            f"the desk needs more packages ({missing.name} is missing); install them with: pip install 'lumbar[serve]'"
        )
    return serving


def _films(folder: Path) -> list[Path]:
    from lumbar.datasets.buu_lspine import film_folder
    from lumbar.datasets.case import films_in

    return films_in(film_folder(folder))


def _networks(weights: Mapping[str, Weights], threads: int | None, device: Processor) -> ReadFilms:
    from lumbar.pipeline import Reader

    networks = Reader.of(weights, threads, device.value)

    def read(radiographs: Sequence[Radiograph], names: Sequence[str], source: str) -> list[Reading]:
        return networks.read_together(radiographs, names, source)

    return read


def _run(app: object, host: str, port: int, token: str | None, proxy: str | None) -> None:
    """Serve until interrupted; the address is printed once the port listens."""
    import socket

    import uvicorn

    config = uvicorn.Config(
        app,  # type: ignore[arg-type]
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=proxy is not None,
        forwarded_allow_ips="127.0.0.1,::1",
        timeout_graceful_shutdown=10,
    )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)  # so that whoever reads the address and comes at once waits, and is not refused
    except OSError as problem:
        usage(f"cannot listen on {host} port {port}: {problem.strerror}; choose another --port")
    name = f"[{host}]" if ":" in host else host
    address = f"http://{name}:{listener.getsockname()[1]}/" + (f"#token={token}" if token else "")
    stdout.print(f"lumbar reading desk: {address}", markup=False, soft_wrap=True, highlight=False)
    stdout.file.flush()
    uvicorn.Server(config).run(sockets=[listener])


def _agreement_table(found: InterReader) -> Table:
    one, other = found.readers
    title = f"{other} less {one}: {len(found.films)} films, {len(found.corners_px)} corners"
    apart = f"corners {found.median_px:.1f} px apart (median), {found.corners_missed} marked by one reader only"
    table = Table(title=title, title_justify="left", caption=apart, caption_justify="left")
    for heading in ("quantity", "site", "films", "ICC(2,1)", "bias", "95 % limits", "mean |difference|", "unit"):
        table.add_column(heading)
    for row in found.compared:
        a = row.agreement
        limits = f"{a.low:+.2f} to {a.high:+.2f}" if a.n > 1 else "–"
        icc = f"{a.icc:.2f}" if a.icc == a.icc else "–"
        table.add_row(
            row.quantity, row.site, str(a.n), icc, f"{a.bias:+.2f}", limits, f"{a.mean_absolute_error:.2f}", row.unit
        )
    return table
