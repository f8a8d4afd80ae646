"""Pictures in: every common kind of pixels becomes grey in [0, 1], and every bad file is refused with its reason."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from lumbar.images import read_image
from lumbar.radiograph import UnreadableFilm

HEIGHT, WIDTH = 48, 40
RAMP = np.linspace(0, 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH)
GREY = np.round(RAMP * 255).astype(np.uint8)
RGB = np.stack([GREY, GREY[::-1], GREY[:, ::-1]], axis=-1)


def luma_of(rgb: NDArray[np.generic]) -> NDArray[np.float64]:
    return np.asarray(rgb.astype(np.float64) @ [0.299, 0.587, 0.114])


def between_its_extremes(values: NDArray[np.generic]) -> NDArray[np.float64]:
    exact = values.astype(np.float64)
    return np.asarray((exact - exact.min()) / (exact.max() - exact.min()))


def saved(path: Path, pixels: NDArray[np.generic], mode: str | None = None) -> Path:
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path)
    return path


def png_header(path: Path, width: int, height: int) -> Path:
    """A PNG that claims this size and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_8_bit_grey_is_divided_by_255(tmp_path: Path, suffix: str) -> None:
    half = GREY // 2  # its maximum is 127: a stretch would show
    film = read_image(saved(tmp_path / f"film.{suffix}", half))
    np.testing.assert_allclose(film.pixels, half / 255, atol=1e-6)
    assert (film.spacing, film.anterior, film.posture) == (None, None, None)


def test_jpeg_is_read_within_its_compression(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "film.jpg", quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "film.jpg").pixels, GREY / 255, atol=0.03)


def test_16_bit_png_is_stretched_between_its_own_extremes(tmp_path: Path) -> None:
    twelve_bits = (100 + RAMP * 3900).astype(np.uint16)
    film = read_image(saved(tmp_path / "film.png", twelve_bits))
    np.testing.assert_allclose(film.pixels, between_its_extremes(twelve_bits), atol=1e-6)


@pytest.mark.parametrize(
    "values",
    [
        (RAMP * 4000).astype(np.uint16),
        (RAMP * 4000 - 2000).astype(np.int16),
        (RAMP * 4e9).astype(np.uint32),
        (RAMP * 1e6 - 5e5).astype(np.int32),
        (RAMP * 7 - 3).astype(np.float32),
        RAMP * 7 - 3,
    ],
    ids=["uint16", "int16", "uint32", "int32", "float32", "float64"],
)
@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_deep_tiff_is_stretched_between_its_own_extremes(
    tmp_path: Path, values: NDArray[np.generic], byteorder: Literal["<", ">"]
) -> None:
    tifffile.imwrite(tmp_path / "film.tif", values, byteorder=byteorder)
    np.testing.assert_allclose(read_image(tmp_path / "film.tif").pixels, between_its_extremes(values), atol=1e-6)


def test_not_a_number_in_a_float_tiff_becomes_black(tmp_path: Path) -> None:
    values = (RAMP + 1).astype(np.float32)
    values[5, 5] = np.nan
    values[6, 6] = np.inf
    tifffile.imwrite(tmp_path / "film.tif", values)
    film = read_image(tmp_path / "film.tif")
    assert film.pixels[5, 5] == film.pixels[6, 6] == 0
    assert film.pixels[-1, -1] == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_whose_white_is_zero_comes_out_as_it_is_shown(tmp_path: Path, dtype: type[np.generic]) -> None:
    top = np.iinfo(dtype).max  # type: ignore[type-var]
    stored = np.round(RAMP * top).astype(dtype)
    tifffile.imwrite(tmp_path / "film.tif", stored, photometric="miniswhite")
    np.testing.assert_allclose(read_image(tmp_path / "film.tif").pixels, 1 - RAMP, atol=0.005)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_colours_become_luma(tmp_path: Path, suffix: str) -> None:
    film = read_image(saved(tmp_path / f"film.{suffix}", RGB))
    np.testing.assert_allclose(film.pixels, luma_of(RGB) / 255, atol=1e-5)


def test_a_palette_is_looked_up(tmp_path: Path) -> None:
    path = saved(tmp_path / "film.png", RGB, "P")
    with Image.open(path) as image:
        assert image.mode == "P"
        expected = luma_of(np.asarray(image.convert("RGB"))) / 255
    np.testing.assert_allclose(read_image(path).pixels, expected, atol=1e-5)


def test_transparency_becomes_black(tmp_path: Path) -> None:
    alpha = np.full_like(GREY, 255)
    alpha[:10] = 0
    film = read_image(saved(tmp_path / "film.png", np.dstack([RGB, alpha])))
    assert np.all(film.pixels[:10] == 0)
    np.testing.assert_allclose(film.pixels[10:], luma_of(RGB)[10:] / 255, atol=1e-5)


def test_grey_with_alpha_is_read_as_grey(tmp_path: Path) -> None:
    film = read_image(saved(tmp_path / "film.png", GREY, "LA"))
    np.testing.assert_allclose(film.pixels, GREY / 255, atol=1e-5)


def test_a_1_bit_image_is_black_and_white(tmp_path: Path) -> None:
    film = read_image(saved(tmp_path / "film.png", GREY > 99))
    assert np.array_equal(film.pixels, (GREY > 99).astype(np.float32))


def test_a_cmyk_jpeg_is_read(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([GREY] * 3)).convert("CMYK").save(tmp_path / "film.jpg", quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "film.jpg").pixels, GREY / 255, atol=0.04)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("alpha", [False, True])
def test_16_bit_colours_keep_their_depth(tmp_path: Path, suffix: str, alpha: bool) -> None:
    ten_bits = RGB.astype(np.uint16) * 4  # the upper 8 bits alone would leave four greys
    path = tmp_path / f"film.{suffix}"
    opaque = np.full_like(ten_bits[..., :1], 65535)
    colours = np.dstack([ten_bits, opaque]) if alpha else ten_bits
    if suffix == "png":
        assert cv2.imwrite(str(path), colours[..., [2, 1, 0, 3] if alpha else [2, 1, 0]])
    else:
        tifffile.imwrite(path, colours, photometric="rgb", extrasamples=["unassalpha"] if alpha else None)
    np.testing.assert_allclose(read_image(path).pixels, between_its_extremes(luma_of(ten_bits)), atol=1e-4)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "tif"])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    stored = Image.fromarray(GREY)
    exif = stored.getexif()
    exif[274] = orientation
    stored.save(tmp_path / f"film.{suffix}", exif=exif)
    upright = stored.copy()
    upright.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(upright)) / 255
    np.testing.assert_allclose(read_image(tmp_path / f"film.{suffix}").pixels, expected, atol=0.04)


def test_exif_orientation_6_turns_the_stored_top_to_the_right(tmp_path: Path) -> None:
    stored = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    stored[:8] = 255
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(stored).save(tmp_path / "film.png", exif=exif)
    film = read_image(tmp_path / "film.png")
    assert (film.height, film.width) == (WIDTH, HEIGHT)
    assert film.pixels[:, -8:].min() == 1 and film.pixels[:, :-8].max() == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_16_bit_colours_is_applied_once(tmp_path: Path, orientation: int) -> None:
    for name, depth in (("deep", np.uint16), ("shallow", np.uint8)):
        tag = [(274, "H", 1, orientation, True)]
        tifffile.imwrite(tmp_path / f"{name}.tif", RGB.astype(depth), photometric="rgb", extratags=tag)
    deep, shallow = (read_image(tmp_path / f"{name}.tif").pixels for name in ("deep", "shallow"))
    np.testing.assert_allclose(deep, between_its_extremes(shallow), atol=1e-5)


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
def test_dots_per_inch_are_no_spacing(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(GREY).save(tmp_path / f"film.{suffix}", dpi=(300, 300))
    assert read_image(tmp_path / f"film.{suffix}").spacing is None


def test_a_flat_deep_image_is_black(tmp_path: Path) -> None:
    film = read_image(saved(tmp_path / "film.png", np.full((HEIGHT, WIDTH), 700, dtype=np.uint16)))
    assert film.pixels.max() == 0


def test_the_name_of_the_file_does_not_matter(tmp_path: Path) -> None:
    path = saved(tmp_path / "film.png", GREY)
    renamed = path.rename(tmp_path / "röntgen bild.dcm")
    np.testing.assert_allclose(read_image(str(renamed)).pixels, GREY / 255, atol=1e-6)


@pytest.mark.parametrize("size", [(20_000, 20_000), (10_001, 10_000), (60_000, 60_000)])
def test_more_than_100_million_pixels_are_refused_before_decoding(tmp_path: Path, size: tuple[int, int]) -> None:
    # The file holds no pixels: decoding it would be refused as damage, and take the memory.
    with pytest.raises(UnreadableFilm, match="more than 100 million pixels"):
        read_image(png_header(tmp_path / "film.png", *size))


def test_an_image_below_32_pixels_is_refused_and_one_of_32_is_read(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFilm, match=r"31 x 48 pixels.*at least 32 x 32"):
        read_image(saved(tmp_path / "icon.png", GREY[:, :31]))
    assert read_image(saved(tmp_path / "film.png", GREY[:32, :32])).pixels.shape == (32, 32)


def test_several_images_in_one_file_are_refused_with_their_number(tmp_path: Path) -> None:
    pages = [Image.fromarray(GREY), Image.fromarray(GREY[::-1]), Image.fromarray(GREY // 2)]
    for name in ("pages.tif", "animated.png"):
        pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
        with pytest.raises(UnreadableFilm, match="holds 3 images; save the one that is the film"):
            read_image(tmp_path / name)


def test_a_phone_photograph_with_a_preview_behind_it_is_read(tmp_path: Path) -> None:
    photograph, preview = Image.fromarray(GREY), Image.fromarray(GREY[::-1])
    photograph.save(tmp_path / "film.jpg", format="MPO", save_all=True, append_images=[preview], quality=95)
    np.testing.assert_allclose(read_image(tmp_path / "film.jpg").pixels, GREY / 255, atol=0.03)


def refusal_of(path: Path, capfd: pytest.CaptureFixture[str]) -> UnreadableFilm:
    """The refusal, having made sure that no library wrote anything beside it."""
    with pytest.raises(UnreadableFilm) as refusal:
        read_image(path)
    assert capfd.readouterr() == ("", "")
    assert "\n" not in str(refusal.value) and str(refusal.value) == f"{refusal.value.problem}; {refusal.value.remedy}"
    return refusal.value


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: None, "there is no such file"),
        (lambda path: path.mkdir(), "the path is a folder"),
        (lambda path: path.touch(), "the file is empty"),
        (os.mkfifo, "the path is not a regular file"),
        (lambda path: path.write_text("a report, not a film"), "not a PNG, JPEG, TIFF or BMP image"),
        (lambda path: Image.fromarray(GREY).save(path, format="GIF"), "not a PNG, JPEG, TIFF or BMP image"),
        (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100)), "damaged"),
        (lambda path: path.symlink_to(path), "cannot be opened"),
    ],
    ids=["missing", "folder", "empty", "pipe", "text", "gif", "header only", "link to itself"],
)
def test_what_is_no_image_is_refused_with_its_reason(
    tmp_path: Path, make: Callable[[Path], object], problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    make(tmp_path / "film.png")
    assert problem in refusal_of(tmp_path / "film.png", capfd).problem


@pytest.fixture
def without_privileges() -> Iterator[None]:
    """Root may read everything, so root becomes somebody else for a while."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    yield
    if is_root:
        os.seteuid(0)


def test_a_file_without_permission_is_refused(
    tmp_path: Path, without_privileges: None, capfd: pytest.CaptureFixture[str]
) -> None:
    if os.access(tmp_path, os.W_OK, effective_ids=True):
        saved(tmp_path / "film.png", GREY).chmod(0)
    assert "may not be read" in refusal_of(tmp_path / "film.png", capfd).problem


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.95])
@pytest.mark.parametrize("lenient", [False, True], ids=["", "though Pillow was told not to"])
def test_a_truncated_image_is_refused(
    tmp_path: Path,
    suffix: str,
    kept: float,
    lenient: bool,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    whole = saved(tmp_path / f"film.{suffix}", noise).read_bytes()
    (tmp_path / "cut").write_bytes(whole[: int(len(whole) * kept)])
    assert "damaged" in refusal_of(tmp_path / "cut", capfd).problem


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_deflate", "jpeg"])
def test_a_truncated_compressed_tiff_is_refused_in_silence(
    tmp_path: Path, compression: str, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (200, 200), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "film.tif", compression=compression)
    damaged = bytearray((tmp_path / "film.tif").read_bytes())
    damaged[len(damaged) // 3 : 2 * len(damaged) // 3] = bytes(len(damaged) // 3)
    (tmp_path / "film.tif").write_bytes(damaged[: len(damaged) * 2 // 3])
    assert "damaged" in refusal_of(tmp_path / "film.tif", capfd).problem


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "deep.tif", "bmp"])
def test_random_damage_never_raises_anything_else(
    tmp_path: Path, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    if suffix == "deep.tif":
        tifffile.imwrite(tmp_path / f"film.{suffix}", RGB.astype(np.uint16), photometric="rgb")
        whole = (tmp_path / f"film.{suffix}").read_bytes()
    else:
        whole = saved(tmp_path / f"film.{suffix}", RGB).read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(200):
        damaged = bytearray(whole)
        for place in rng.integers(0, min(len(damaged), 600), 4):
            damaged[place] = rng.integers(256)
        (tmp_path / "damaged").write_bytes(damaged)
        try:
            read_image(tmp_path / "damaged")
        except UnreadableFilm:
            refused += 1
    assert 0 < refused
    assert capfd.readouterr() == ("", "")


def test_reading_pictures_loads_no_dicom_library() -> None:
    code = "import sys, lumbar.images; print(sorted({'pydicom', 'cv2', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
