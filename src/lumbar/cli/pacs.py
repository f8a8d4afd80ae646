"""`lumbar measure`, `lumbar listen` and `lumbar pull`: corrected reports, the node, and films from a DICOMweb server."""

from __future__ import annotations

import signal
import ssl
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lumbar.cli.terminal import (
    Device,
    Numbers,
    OutFolder,
    Pdf,
    Precision,
    Processor,
    Threads,
    WeightsFolder,
    or_usage,
    pacs_room,
    reader_with,
    stderr,
    stdout,
    usage,
    write_whole,
)

if TYPE_CHECKING:
    from pydicom import Dataset

    from lumbar.pipeline import Reader


def measure(
    report: Annotated[
        Path, typer.Argument(metavar="REPORT", help="A report of lumbar (DICOM SR) whose points were moved.")
    ],
    out: OutFolder,
    film: Annotated[
        Path | None, typer.Option(help="The film that the report is about; with it, pictures are drawn anew, too.")
    ] = None,
    reader_error: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Standard deviation of a corner placed by hand, in film pixels; else errors that depend on it are unknown.",
        ),
    ] = None,
) -> None:
    """Measure a corrected REPORT again: a new reading, and a new report that names REPORT as its predecessor."""
    pacs_room()
    from lumbar.films import open_film
    from lumbar.pacs.header import film_header
    from lumbar.pacs.results import results_of, write_objects
    from lumbar.pacs.sr_in import UnreadableReport, read_report
    from lumbar.report import draw_overlay, reading_table

    if out.resolve() == report.resolve().parent:
        usage(f"--out must be another folder than that of REPORT, which stays as it is; got {out}")
    try:
        out.mkdir(parents=True, exist_ok=True)
        pixels = None if film is None else open_film(film)
        name = report.name if film is None else film.name
        corrected = read_report(report, name, reader_error, pixels)
        header = corrected.header if film is None else film_header(film)
        if header.SOPInstanceUID != corrected.header.SOPInstanceUID:
            raise UnreadableReport("the report is about another film than the one given")
        overlay = None if pixels is None else draw_overlay(pixels, corrected.reading)
        objects = results_of(header, corrected.reading, overlay, corrects=corrected.document)
        write_objects(out, Path(name).stem, objects)
        write_whole(out / f"{Path(name).stem}.reading.json", (corrected.reading.to_json() + "\n").encode())
    except (ValueError, OSError) as problem:
        said = problem.strerror if isinstance(problem, OSError) else str(problem)
        stderr.print(f"{report}: {said}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    stdout.print(reading_table(corrected.reading))


def listen(
    folder: Annotated[Path, typer.Option("--queue", help="Folder of the queue; made if it is not there.")],
    to: Annotated[str, typer.Option(help="Who gets the results: AE@host:port, or the URL of a DICOMweb server.")],
    ae_title: Annotated[str, typer.Option(help="Our own AE title.")] = "LUMBAR",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 for any that is free.")] = 11112,
    allow: Annotated[
        list[str] | None, typer.Option(help="AE title that may send; again for more. All may if none is given.")
    ] = None,
    most: Annotated[
        int, typer.Option(min=1, help="Films that may wait; beyond, senders are told to try later.")
    ] = 1000,
    tls_certificate: Annotated[
        Path | None, typer.Option(help="Our certificate and key (PEM); then all connections are TLS.")
    ] = None,
    tls_authorities: Annotated[
        Path | None, typer.Option(help="Certificates that the other side's must be signed by (PEM).")
    ] = None,
    threads: Threads = None,
    weights: WeightsFolder = None,
    precision: Precision = Numbers.FP32,
    device: Device = Processor.CPU,
    pdf: Pdf = False,
) -> None:
    """Be a DICOM node: take films by C-STORE, read those that are lateral lumbar ones, and store the results at a peer."""
    pacs_room()
    from lumbar.pacs.node import Node, NodeSettings
    from lumbar.pacs.peers import peer_at
    from lumbar.pacs.spool import Spool

    server, client = or_usage(lambda: _tls(tls_certificate, tls_authorities))
    peer = or_usage(lambda: peer_at(to, ae_title, client))
    reader = reader_with(weights, threads, precision, device)
    if pdf:
        _check_pdf()
    try:
        spool = or_usage(lambda: Spool(folder, most))
    except OSError as problem:
        usage(f"--queue must be a folder that can be written to; got {folder}: {problem.strerror}")
    settings = NodeSettings(ae_title, host, port, tuple(allow or ()), server)
    node = Node(spool, lambda film, name: read_for_node(reader, film, name, pdf), peer, settings, _log)
    try:
        bound = node.start()
    except OSError as problem:
        usage(f"--host and --port must be free to listen at; got {host}:{port}: {problem.strerror}")
    _log(f"{ae_title} listens at {host}:{bound}; results go to {to}")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    node.stop()


def pull(
    study: Annotated[str, typer.Argument(metavar="STUDY", help="Study Instance UID.")],
    source: Annotated[
        str, typer.Option("--from", help="URL of a DICOMweb server, such as http://pacs:8042/dicom-web.")
    ],
    out: OutFolder,
) -> None:
    """Fetch the lateral lumbar films of a STUDY by QIDO-RS and WADO-RS, for `lumbar read` or `lumbar assess`."""
    pacs_room()
    from lumbar.pacs.pull import PullFailed, pull_study

    try:
        out.mkdir(parents=True, exist_ok=True)
        for instance in pull_study(source, study, out):
            if instance.path is None:
                stderr.print(f"{instance.instance_uid}: passed over, {instance.reason}", markup=False, soft_wrap=True)
            else:
                stdout.print(str(instance.path), markup=False, soft_wrap=True)
    except (PullFailed, OSError) as problem:
        said = problem.strerror if isinstance(problem, OSError) else str(problem)
        stderr.print(f"lumbar: {said}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None


def read_for_node(reader: Reader, film: Path, name: str, pdf: bool) -> dict[str, Dataset]:
    """The results of one film, as the node makes them; raises as `pacs.node.Read` says."""
    from lumbar.films import open_film
    from lumbar.pacs.header import film_header
    from lumbar.pacs.node import NoLumbarSpine
    from lumbar.pacs.results import results_of
    from lumbar.reading import NO_SPINE
    from lumbar.report import as_pdf, draw_overlay, reading_page

    header = film_header(film)
    radiograph = open_film(film)
    reading = reader.read(radiograph, name, "DICOM")
    if reading.box is None:
        raise NoLumbarSpine(NO_SPINE)
    overlay = draw_overlay(radiograph, reading)
    return results_of(header, reading, overlay, as_pdf(reading_page(reading, overlay)) if pdf else None)


def _check_pdf() -> None:
    """End the command now, not at the first film, where pages cannot be made into PDF."""
    from lumbar.report import NoPdf, as_pdf

    try:
        as_pdf("<p>lumbar</p>")
    except NoPdf as problem:
        usage(str(problem))


def _tls(certificate: Path | None, authorities: Path | None) -> tuple[ssl.SSLContext | None, ssl.SSLContext | None]:
    """Contexts to listen and to send with; None for plain connections. With authorities, the other side must show a certificate."""
    if certificate is None:
        if authorities is not None:
            raise ValueError("--tls-authorities needs --tls-certificate, too")
        return None, None
    try:
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for context in (server, client):
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            context.load_cert_chain(certificate)
            if authorities is not None:
                context.load_verify_locations(authorities)
        if authorities is None:
            client.load_default_certs()
        else:
            server.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as problem:
        raise ValueError(
            f"--tls-certificate and --tls-authorities must be PEM files with a certificate (and key); got {certificate}: {problem}"
        ) from None
    return server, client


def _log(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {line}", file=sys.stderr, flush=True)
