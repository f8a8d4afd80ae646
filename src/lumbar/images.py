"""PNG, JPEG, TIFF and BMP files -> Radiograph."""

from __future__ import annotations

import logging
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from lumbar.radiograph import Radiograph, UnreadableFilm

MAX_PIXELS = 100_000_000
"""The largest film that is decoded. The largest detectors have about 20 million pixels, stitched films 40 million."""

MIN_SIDE = 32
"""The shortest side of a film, in pixels. Anything smaller is an icon."""

Grey = NDArray[np.float32]

_SILENCE = threading.RLock()
_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"BM")
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
_ORIENTATION, _BITS_PER_SAMPLE, _PHOTOMETRIC, _PLANAR_CONFIGURATION, _SAMPLE_FORMAT = 274, 258, 262, 284, 339
_AS_PNG = "save it as an 8- or 16-bit PNG in the program that wrote it"

# TIFF layouts that Pillow can unpack but does not recognise: double precision, and big-endian unsigned 32 bits.
# The keys are byte order, photometric, sample format, fill order, bits per sample and extra samples.
_MORE_TIFF_LAYOUTS: dict[tuple[bytes, int, tuple[int], int, tuple[int, ...], tuple[int, ...]], tuple[str, str]] = {
    (b"II", 1, (3,), 1, (64,), ()): ("F", "F;64F"),
    (b"MM", 1, (3,), 1, (64,), ()): ("F", "F;64BF"),
    (b"MM", 1, (1,), 1, (32,), ()): ("I", "I;32B"),
}

# EXIF 2.32, table 6: what brings the stored array upright.
_UPRIGHT: dict[int, Callable[[NDArray[Any]], NDArray[Any]]] = {
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2),
    8: np.rot90,
}


def read_image(path: str | os.PathLike[str]) -> Radiograph:
    """The film in a PNG, JPEG, TIFF or BMP file, whatever the file is called.

    Grey, RGB, RGBA, grey with alpha, palette, 1-bit, 8-bit, 16-bit and floating-point pixels are read; colours (tinted
    photographs of a light box) become luma (ITU-R BT.601), transparency becomes black, and the EXIF orientation is
    applied. 8-bit pixels are divided by 255. Deeper ones are stretched between their own minimum and maximum, since a
    16-bit file often holds 10 to 14 bits and does not say so.

    The spacing is always None. The dpi of such a file is the resolution of a print, a scanner or a screen (72 and 96
    are mere defaults): it does not tell millimetres in the patient, and must not pass for them.

    Raises UnreadableFilm where the path is not a readable file, where the file is not such an image or is damaged,
    holds more than one image, has a side below `MIN_SIDE`, or has more than `MAX_PIXELS` (which are not decoded
    then).
    """
    if not is_image(head_of(path)):
        raise UnreadableFilm("the file is not a PNG, JPEG, TIFF or BMP image", "give the film in one of these formats")
    return Radiograph(_decoded(Path(path)))


def head_of(path: str | os.PathLike[str], count: int = 132) -> bytes:
    """The first `count` bytes of the file, fewer where it is shorter.

    Raises UnreadableFilm where `path` is missing, is not a regular file, is empty or may not be read.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise UnreadableFilm("the path is a folder", "give the films in it one by one")
        if not stat.S_ISREG(mode):  # a pipe would wait for ever
            raise UnreadableFilm("the path is not a regular file", "copy the film to a file first")
        with open(path, "rb") as file:
            head = file.read(count)
    except FileNotFoundError:
        raise UnreadableFilm("there is no such file", "check the path") from None
    except PermissionError:
        raise UnreadableFilm("the file may not be read", "ask its owner for permission to read it") from None
    except UnreadableFilm:
        raise
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL in it
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UnreadableFilm(f"the file cannot be opened ({reason})", "check the path and the disk") from error
    if not head:
        raise UnreadableFilm("the file is empty (0 bytes)", "copy or export the film again")
    return head


def is_image(head: bytes) -> bool:
    """Whether a file that begins with `head` claims to be a PNG, JPEG, TIFF or BMP image."""
    return head.startswith(_SIGNATURES)


@contextmanager
def libraries_silenced() -> Iterator[None]:
    """Neither Pillow nor pydicom nor highdicom warns or logs meanwhile, and the films of other threads wait.

    What they say of odd metadata is of no use to whoever reads the film, and pydicom quotes it, patients' names too.
    Warnings and log levels are one for all threads, so without the lock one thread would end another's silence.
    Pillow refuses truncated files meanwhile, whatever it was told: WeasyPrint tells it to pass over what is missing.
    """
    loggers = [logging.getLogger(name) for name in ("PIL", "pydicom", "highdicom")]
    with _SILENCE, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        levels = [logger.level for logger in loggers]
        lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = lenient
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def check_size(height: int, width: int) -> None:
    """Raise UnreadableFilm for a film too small to be one, or too large to be decoded safely."""
    if height * width > MAX_PIXELS:
        raise _too_large()
    if min(height, width) < MIN_SIDE:
        raise UnreadableFilm(
            f"the image is {width} x {height} pixels, and a film has at least {MIN_SIDE} x {MIN_SIDE}",
            "give the film itself, not its thumbnail",
        )


def luma(rgb: NDArray[Any]) -> Grey:
    """The grey of colours (H, W, 3), on their own scale (ITU-R BT.601)."""
    return np.asarray(rgb[..., :3] @ _LUMA, dtype=np.float32)


def stretched(values: NDArray[Any], low: float, high: float) -> Grey:
    """`values` with `low` mapped to 0 and `high` to 1, and cut off there; all 0 where `low` is `high`."""
    if not high > low:
        return np.zeros(values.shape, dtype=np.float32)
    exact_in_single = np.issubdtype(values.dtype, np.integer) and values.dtype.itemsize <= 2
    grey = values.astype(np.float32 if exact_in_single else np.float64)
    np.subtract(grey, low, out=grey)
    np.divide(grey, high - low, out=grey)
    return np.clip(grey, 0.0, 1.0, out=grey).astype(np.float32, copy=False)


def _decoded(path: Path) -> Grey:
    TiffImagePlugin.OPEN_INFO.update(_MORE_TIFF_LAYOUTS)
    try:
        with libraries_silenced():
            # An open file, not a path: Pillow maps a path into memory and then misreads TIFFs that lie on their side.
            with path.open("rb") as file, Image.open(file, formats=("PNG", "JPEG", "TIFF", "BMP")) as image:
                _check_one_film(image)
                deep_colour = _has_deep_colour(image)
                image.load()
                grey = _deep_colour_grey(path, image) if deep_colour else _grey(image)
                # Asked after load(): a PNG may hold it behind the pixels, and Pillow turns a TIFF itself and drops
                # the tag.
                upright = _UPRIGHT.get(int(image.getexif().get(_ORIENTATION, 1)), np.asarray)
                return np.ascontiguousarray(upright(grey))
    except UnreadableFilm:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large() from error
    except UnidentifiedImageError as error:
        raise UnreadableFilm("the image is damaged, or its kind of pixels is not read", _AS_PNG) from error
    except Exception as error:  # Pillow's decoders raise errors of every kind on damaged files
        raise UnreadableFilm(f"the image is damaged or truncated: {error}", "copy or export the film again") from error


def _check_one_film(image: Image.Image) -> None:
    check_size(image.height, image.width)
    # A phone's photograph (MPO) holds the picture first, and behind it only previews of it.
    count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)
    if count > 1:
        raise UnreadableFilm(f"the file holds {count} images", "save the one that is the film as a PNG")


def _too_large() -> UnreadableFilm:
    limit = f"{MAX_PIXELS // 1_000_000} million pixels"
    return UnreadableFilm(f"the image has more than {limit}", "crop it or save it at a smaller size")


def _grey(image: Image.Image) -> Grey:
    """What Pillow decodes without loss, as grey in [0, 1]."""
    if image.mode in ("1", "L"):
        return np.asarray(image.convert("L"), dtype=np.float32) / np.float32(255)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _deep_grey(image)
    colours = np.asarray(image.convert("RGBA"), dtype=np.float32) / 255
    return np.clip(luma(colours) * colours[..., 3], 0, 1)


def _deep_grey(image: Image.Image) -> Grey:
    """One channel of 16 bits or more, stretched between its minimum and maximum."""
    values = np.asarray(image)
    unsigned = _tiff_tag(image, _SAMPLE_FORMAT) in (None, (1,))
    if unsigned and _tiff_tag(image, _BITS_PER_SAMPLE) == (32,):
        values = values.view(np.uint32)  # Pillow has signed 32-bit pixels only
    grey = _stretched_between_extremes(values)
    white_is_zero = _tiff_tag(image, _PHOTOMETRIC) == 0  # Pillow heeds it with 8 bits only
    return 1 - grey if white_is_zero else grey


def _stretched_between_extremes(values: NDArray[Any]) -> Grey:
    if np.issubdtype(values.dtype, np.integer):
        return stretched(values, float(values.min()), float(values.max()))
    finite = np.isfinite(values)
    if not finite.any():
        raise UnreadableFilm("the image holds no finite number", _AS_PNG)
    low, high = float(values[finite].min()), float(values[finite].max())
    return stretched(np.where(finite, values, low), low, high)


def _has_deep_colour(image: Image.Image) -> bool:
    """Whether there are 16 bits a colour: Pillow would keep the upper 8 of them, which a 10-bit image leaves empty."""
    if len(image.getbands()) == 1:
        return False
    if isinstance(image, PngImagePlugin.PngImageFile):
        return any(";16" in str(tile.args) for tile in image.tile)
    return max(_tiff_tag(image, _BITS_PER_SAMPLE) or (8,)) > 8


def _tiff_tag(image: Image.Image, tag: int) -> Any:
    """The tag's value as Pillow gives it, None where the image has none or is no TIFF."""
    return image.tag_v2.get(tag) if isinstance(image, TiffImagePlugin.TiffImageFile) else None


def _deep_colour_grey(path: Path, image: Image.Image) -> Grey:
    import cv2  # only here: it is large, and such files are rare

    if _tiff_tag(image, _PLANAR_CONFIGURATION) == 2:
        raise UnreadableFilm("the TIFF keeps its 16-bit colours in separate planes, which is not read", _AS_PNG)
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        values = cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    finally:
        cv2.utils.logging.setLogLevel(level)
    if values is None or values.ndim != 3 or values.dtype != np.uint16:
        raise UnreadableFilm("the image has a kind of 16-bit colours that is not read", _AS_PNG)
    grey = luma(values[..., 2::-1])  # OpenCV's order is blue, green, red, alpha
    if values.shape[2] == 4:
        grey *= values[..., 3] / np.float32(65535)
    return _stretched_between_extremes(grey)
