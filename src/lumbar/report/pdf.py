"""Pages as PDF, for who files or prints them."""

from __future__ import annotations


class NoPdf(RuntimeError):
    """The packages or the system's libraries that make PDF are not there."""


def as_pdf(page: str) -> bytes:
    """An HTML page of this room as A4. Raises NoPdf, with the remedy, where that is not possible here."""
    try:
        from weasyprint import HTML
    except ImportError:
        raise NoPdf("PDF needs one more package; install it with: pip install 'lumbar[pdf]'") from None
    except OSError as missing:
        raise NoPdf(f"PDF needs the system's Pango library ({missing}); with apt: make system") from None
    return bytes(HTML(string=page).write_pdf())
