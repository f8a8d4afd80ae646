"""Where results go: a DICOM node by C-STORE, or a web server by STOW-RS."""

from __future__ import annotations

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pydicom import dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

KINDS = (
    Comprehensive3DSRStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    SecondaryCaptureImageStorage,
    EncapsulatedPDFStorage,
)
"""What lumbar sends."""


class PeerDown(Exception):
    """The peer cannot be reached or has no room: try again later. `str()` says why, and names no patient."""


class PeerRefused(Exception):
    """The peer does not want this object: trying again helps little. `str()` says why, and names no patient."""


class Peer(Protocol):
    """Takes DICOM files."""

    def send(self, files: Sequence[Path]) -> None:
        """Store all of them. Raises PeerDown or PeerRefused; some may have been stored then."""


@dataclass(frozen=True, slots=True)
class DicomPeer:
    """A Storage SCP. tls: a client's context, or None for a plain connection."""

    ae_title: str
    host: str
    port: int
    calling: str
    tls: ssl.SSLContext | None = None
    timeout_s: float = 30.0

    def send(self, files: Sequence[Path]) -> None:
        """By C-STORE in one association."""
        from pynetdicom import AE

        entity = AE(self.calling)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = self.timeout_s
        entity.connection_timeout = self.timeout_s
        for kind in KINDS:
            entity.add_requested_context(kind, [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
        security = None if self.tls is None else (self.tls, self.host)
        association = entity.associate(self.host, self.port, ae_title=self.ae_title, tls_args=security)
        if not association.is_established:
            raise PeerDown(f"{self.ae_title} at {self.host}:{self.port} does not answer or refuses the association")
        try:
            for file in files:
                self._store(association, file)
        finally:
            association.release()

    def _store(self, association: object, file: Path) -> None:
        try:
            answer = association.send_c_store(file)  # type: ignore[attr-defined]
        except ValueError:
            raise PeerRefused(f"{self.ae_title} takes no object of this kind: {file.name}") from None
        except (RuntimeError, OSError):
            raise PeerDown(f"{self.ae_title} ended the association") from None
        status = answer.get("Status")
        if status is None:
            raise PeerDown(f"{self.ae_title} did not answer")
        if status == 0 or status >> 12 == 0xB:
            return
        if status >> 8 == 0xA7:
            raise PeerDown(f"{self.ae_title} is out of resources")
        raise PeerRefused(f"{self.ae_title} refused {file.name} with status 0x{status:04X}")


@dataclass(frozen=True, slots=True)
class WebPeer:
    """A DICOMweb server at `url`, such as http://pacs:8042/dicom-web. Name and password, where it wants some, stand in ~/.netrc."""

    url: str

    def send(self, files: Sequence[Path]) -> None:
        """By one STOW-RS request."""
        from dicomweb_client.api import DICOMwebClient
        from requests import ConnectionError, HTTPError, Timeout

        client = DICOMwebClient(self.url)
        client.set_http_retry_params(retry=False)
        try:
            answer = client.store_instances([dcmread(file) for file in files])
        except HTTPError as problem:
            code = 0 if problem.response is None else problem.response.status_code
            if code >= 500 or code in (0, 401, 403, 404, 408, 429):
                raise PeerDown(f"{self.url} answered {code}") from None
            raise PeerRefused(f"{self.url} answered {code}") from None
        except (ConnectionError, Timeout, OSError):
            raise PeerDown(f"{self.url} does not answer") from None
        if answer.get("FailedSOPSequence"):
            raise PeerRefused(f"{self.url} refused {len(answer.FailedSOPSequence)} of {len(files)} objects")


def peer_at(text: str, calling: str, tls: ssl.SSLContext | None = None) -> Peer:
    """AE@host:port, or the URL of a DICOMweb server; raises ValueError for anything else.

    >>> peer_at("PACS@127.0.0.1:4242", "LUMBAR").port
    4242
    """
    if text.startswith(("http://", "https://")):
        return WebPeer(text)
    ae_title, _, place = text.partition("@")
    host, _, port = place.rpartition(":")
    if not (0 < len(ae_title) <= 16 and host and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError(f"a peer must be AE@host:port or the URL of a DICOMweb server; got {text!r}")
    return DicomPeer(ae_title, host, int(port), calling, tls)
