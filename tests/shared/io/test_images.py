"""Images and masks: defined conversions, and engineering.md 4.3, cases 17 to 20 and 24."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from quartet_shared.errors import ConfigError, DataError, ResourceError
from quartet_shared.io.images import read_header, read_image, read_mask, write_png

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
CORNERS = np.array([[RED, GREEN, BLUE], [WHITE, RED, GREEN]], np.uint8)  # (2, 3, 3)


def saved(folder: Path, image: Image.Image | np.ndarray, name: str = "a.png", **options: object) -> Path:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(folder / name, **options)
    return folder / name


def png_chunks(width: int, height: int, *, bits: int = 8, colour: int = 0, rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_lossless_rgb_is_read_as_stored(tmp_path: Path, name: str) -> None:
    image = read_image(saved(tmp_path, CORNERS, name))
    np.testing.assert_array_equal(image.array, CORNERS)
    assert (image.array.dtype, image.max_value) == (np.uint8, 255)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bit_grey_keeps_its_bits(tmp_path: Path, name: str) -> None:
    grey = np.array([[0, 1, 257], [65535, 256, 4095]], np.uint16)
    image = read_image(saved(tmp_path, grey, name))
    np.testing.assert_array_equal(image.array, grey)
    assert (image.array.dtype, image.max_value) == (np.uint16, 65535)


def test_sixteen_bit_colour_is_reduced_to_eight(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_chunks(1, 1, bits=16, colour=2, rows=b"\0" + struct.pack(">3H", 65535, 257 * 100, 0)))
    image = read_image(path)
    assert (image.array.tolist(), image.max_value) == ([[[255, 100, 0]]], 255)


def test_palette_becomes_rgb_in_an_image_and_indices_in_a_mask(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([*RED, *GREEN, *BLUE])
    path = saved(tmp_path, image)
    assert read_image(path).array.tolist() == [[list(RED), list(GREEN), list(BLUE)]]
    assert read_mask(path).array.tolist() == [[0, 1, 2]]


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.new("CMYK", (3, 2), (0, 255, 255, 0)), "a.tif")
    assert read_image(path).array[0, 0].tolist() == list(RED)


def test_one_bit_is_black_and_white_in_an_image_and_zero_and_one_in_a_mask(tmp_path: Path) -> None:
    path = saved(tmp_path, Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1"))
    assert read_image(path).array.tolist() == [[0, 255]]
    assert read_mask(path).array.tolist() == [[0, 1]]


# EXIF orientation -> what a camera held that way has stored of CORNERS
STORED = {
    1: CORNERS,
    2: CORNERS[:, ::-1],
    3: CORNERS[::-1, ::-1],
    4: CORNERS[::-1],
    5: CORNERS.transpose(1, 0, 2),
    6: np.rot90(CORNERS),
    7: CORNERS[::-1, ::-1].transpose(1, 0, 2),
    8: np.rot90(CORNERS, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, np.ascontiguousarray(STORED[orientation]), exif=exif)
    np.testing.assert_array_equal(read_image(path).array, CORNERS)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_refused_or_dropped_without_blending(tmp_path: Path, mode: str) -> None:
    opaque = Image.fromarray(CORNERS).convert(mode[:-1])
    image = opaque.copy()
    image.putalpha(100)
    path = saved(tmp_path, image)
    with pytest.raises(DataError, match=r"^a\.png: has an alpha channel"):
        read_image(path)
    np.testing.assert_array_equal(read_image(path, alpha="drop").array, np.asarray(opaque))


def test_transparent_palette_entry_counts_as_alpha(tmp_path: Path) -> None:
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([*RED, *GREEN])
    path = saved(tmp_path, image, transparency=0)
    with pytest.raises(DataError, match="alpha channel"):
        read_image(path)
    assert read_image(path, alpha="drop").array.tolist() == [[list(RED), list(GREEN)]]


def test_several_frames_are_refused(tmp_path: Path) -> None:
    frames = [Image.new("L", (2, 2), v) for v in (0, 9)]
    path = saved(tmp_path, frames[0], "a.tif", save_all=True, append_images=frames[1:])
    with pytest.raises(DataError, match="holds several images"):
        read_image(path)


@pytest.mark.parametrize(("pixels", "name"), [(np.float32([[0.5]]), "f.tif"), (np.int32([[70000]]), "i.tif")])
def test_pixels_without_a_known_range_are_refused(tmp_path: Path, pixels: np.ndarray, name: str) -> None:
    with pytest.raises(DataError, match="save it with 8 or 16 bits"):
        read_image(saved(tmp_path, pixels, name))


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (7, 13)])
def test_any_size_is_read_and_written(tmp_path: Path, shape: tuple[int, int]) -> None:
    array = (np.arange(np.prod(shape)) % 251).astype(np.uint8).reshape(shape)
    write_png(tmp_path / "a.png", array)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").array, array)


def test_bomb_is_refused_before_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_chunks(10_000, 10_000, rows=bytes(10_001 * 10_000)))
    assert path.stat().st_size < 100_000

    def decode(image: Image.Image) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(Image.Image, "load", decode)
    for read in (read_image, read_mask):
        with pytest.raises(DataError, match="10000 x 10000 pixels are more than the limit of 64000000"):
            read(path)


def test_larger_bomb_than_pillow_allows_is_a_data_error(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_chunks(30_000, 30_000))
    with pytest.raises(DataError, match="more pixels than Pillow's limit"):
        read_image(path)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>404</html>", b"\x89PNG\r\n\x1a\n", bytes(500)])
def test_other_content_named_png_is_a_data_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match=r"^a\.png: cannot be decoded"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.webp"])
@pytest.mark.parametrize("keep", [0.2, 0.5, 0.9])
def test_truncated_image_is_a_data_error(tmp_path: Path, name: str, keep: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    path = saved(tmp_path, noise, name)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    with pytest.raises(DataError, match="cannot be decoded"):
        read_image(path)


def test_vector_formats_are_not_opened(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    with pytest.raises(DataError, match="cannot be decoded"):
        read_image(tmp_path / "a.png")


def test_missing_image_is_a_data_error_without_its_path(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^a\.png: cannot be read \(No such file") as missing:
        read_image(tmp_path / "JANE_DOE" / "a.png")
    assert "JANE" not in str(missing.value)


@pytest.mark.parametrize(
    ("values", "binary", "expected"),
    [
        ([0, 1, 1], None, [0, 1, 1]),
        ([0, 1, 1], True, [0, 1, 1]),
        ([0, 255, 255], None, [0, 1, 1]),
        ([0, 255, 255], False, [0, 255, 255]),
        ([0, 128, 128], True, [0, 1, 1]),
        ([0, 2, 7], None, [0, 2, 7]),
        ([0, 0, 0], True, [0, 0, 0]),
        ([255, 255, 255], None, [1, 1, 1]),
    ],
)
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_mask_conventions(
    tmp_path: Path, mode: str, values: list[int], binary: bool | None, expected: list[int]
) -> None:
    grey = Image.fromarray(np.array([values], np.uint8))
    if mode == "P":
        image = Image.fromarray(np.array([values], np.uint8), "P")
        image.putpalette(list(range(256)) * 3)
    else:
        image = grey.convert(mode)
    assert read_mask(saved(tmp_path, image), binary=binary).array.tolist() == [expected]


def test_sixteen_bit_masks(tmp_path: Path) -> None:
    path = saved(tmp_path, np.array([[0, 300, 2]], np.uint16))
    assert read_mask(path).array.tolist() == [[0, 300, 2]]
    path = saved(tmp_path, np.array([[0, 65535, 60000, 20000]], np.uint16))
    mask = read_mask(path, binary=True)
    assert (mask.array.tolist(), mask.ambiguous_pixels) == ([[0, 1, 1, 0]], 1)


def test_soft_edges_go_to_the_nearer_class_and_are_counted(tmp_path: Path) -> None:
    mask = read_mask(saved(tmp_path, np.array([[0, 3, 60, 127, 128, 200, 252, 255, 255]], np.uint8)))
    assert mask.array.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1, 1]]
    assert mask.ambiguous_pixels == 4


def test_jpeg_mask_with_its_noise_is_binary(tmp_path: Path) -> None:
    square = np.zeros((64, 64), np.uint8)
    square[16:48, 16:48] = 255
    mask = read_mask(saved(tmp_path, square, "a.jpg", quality=60), binary=True)
    np.testing.assert_array_equal(mask.array, square // 255)


@pytest.mark.parametrize(
    ("pixels", "binary", "message"),
    [
        (CORNERS, None, r"coloured pixels \[\(0, 0, 255\), .* in a mask"),
        (np.array([[0, 1, 2, 9]], np.uint8), True, r"values \[0, 1, 2, 9\].. up to 9; expected a binary mask"),
        (np.linspace(0, 255, 100).astype(np.uint8)[None], True, "is this the image"),
    ],
)
def test_image_given_for_a_mask_is_refused(
    tmp_path: Path, pixels: np.ndarray, binary: bool | None, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read_mask(saved(tmp_path, pixels), binary=binary)


def test_mask_that_lives_in_its_alpha_channel_is_refused(tmp_path: Path) -> None:
    image = Image.new("RGBA", (2, 1), (*WHITE, 255))
    image.putpixel((0, 0), (*WHITE, 0))
    with pytest.raises(DataError, match="transparent pixels in a mask"):
        read_mask(saved(tmp_path, image))


@pytest.mark.parametrize(
    "array",
    [np.zeros((2, 3, 4), np.uint8), np.zeros((2, 3)), np.zeros((0, 3), np.uint8), np.zeros((2, 3), np.int64)],
)
def test_writing_refuses_what_png_cannot_hold(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"^a\.png: expected \(H, W\)"):
        write_png(tmp_path / "a.png", array)


def test_writing_needs_a_png_name_and_a_writable_place(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.jpg: expected a name ending in \.png"):
        write_png(tmp_path / "a.jpg", CORNERS)
    (tmp_path / "file").touch()
    with pytest.raises(ResourceError, match="a file stands where a folder is needed"):
        write_png(tmp_path / "file" / "a.png", CORNERS)


def test_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_png(tmp_path / "a.png", CORNERS)
    before = (tmp_path / "a.png").read_bytes()

    def full(image: Image.Image, path: Path, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(ResourceError, match="no space is left"):
        write_png(tmp_path / "a.png", CORNERS[:1])
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mutated")


def encoded(kind: str) -> bytes:
    buffer = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.kron(CORNERS, np.ones((5, 5, 1), np.uint8))).save(buffer, kind, exif=exif)
    return buffer.getvalue()


@settings(max_examples=400, deadline=None)
@given(
    kind=st.sampled_from(["PNG", "JPEG", "TIFF", "BMP", "WEBP"]),
    edits=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_mutated_images_raise_nothing_but_data_error(
    folder: Path, kind: str, edits: list[tuple[int, int]]
) -> None:
    data = bytearray(encoded(kind))
    for place, value in edits:
        data[place % len(data)] = value
    path = folder / "a.png"
    path.write_bytes(data)
    for read in (read_image, read_mask):
        try:
            assert read(path, max_pixels=10**6).array.ndim in (2, 3)
        except DataError:
            continue


def test_label_ids_beside_a_void_value_are_not_taken_for_a_binary_mask(tmp_path: Path) -> None:
    ids = np.array([[0, 1, 2, 255]], np.uint8)
    with pytest.raises(DataError, match="label ids up to 2 beside 255"):
        read_mask(saved(tmp_path, ids))


def test_a_header_tells_how_an_image_is_stored(tmp_path: Path) -> None:
    image = Image.fromarray(CORNERS)
    exif = image.getexif()
    exif[0x0112] = 6
    header = read_header(saved(tmp_path, image, "a.jpg", quality=75, exif=exif))
    assert (header.format, header.width_px, header.height_px) == ("JPEG", 3, 2)
    assert (header.mode, header.bits, header.orientation, header.has_alpha) == ("RGB", 8, 6, False)
    assert header.quantization[0][0] == 8  # 16 of the standard's table, halved by quality 75


def test_a_header_tells_sixteen_bits_alpha_and_palette(tmp_path: Path) -> None:
    (tmp_path / "c.png").write_bytes(png_chunks(1, 1, bits=16, colour=2, rows=b"\0" + bytes(6)))
    assert read_header(tmp_path / "c.png").bits == 16
    assert read_header(saved(tmp_path, np.zeros((2, 2), np.uint16))).bits == 16
    assert read_header(saved(tmp_path, Image.new("RGBA", (2, 2)))).has_alpha
    assert read_header(saved(tmp_path, Image.new("P", (2, 2)))).mode == "P"


def test_a_header_of_no_image_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"a\.png: cannot be decoded"):
        read_header(tmp_path / "a.png")


def test_a_chunk_that_claims_gigabytes_costs_no_memory(tmp_path: Path) -> None:
    import tracemalloc

    write_png(tmp_path / "a.png", np.zeros((8, 8), np.uint8))
    content = bytearray((tmp_path / "a.png").read_bytes())
    at = content.index(b"IDAT") - 4
    content[at : at + 4] = b"\xff\xff\xff\xf0"
    (tmp_path / "a.png").write_bytes(content)
    tracemalloc.start()
    try:
        assert read_image(tmp_path / "a.png").array.shape == (8, 8)  # its pixels are whole
        assert tracemalloc.get_traced_memory()[1] < 10e6
    finally:
        tracemalloc.stop()
