"""Reads and writes pictures in PNG: with a palette, and with a text that they carry (zTXt)."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from attrs import frozen

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_BYTES_OF_PIXEL: Final = {2: 3, 3: 1, 6: 4}  # by color type: RGB, palette, RGB with transparency
_PALETTE: Final = 3
_MAX_COLORS: Final = 256

Color = tuple[int, int, int]


@frozen
class Picture:
    """A picture of 8 bits in each channel, without transparency.

    Attributes:
        width: In pixels.
        height: In pixels.
        pixels: The colors, row by row.
        text: What the picture carries under the keyword, or nothing.
    """

    width: int
    height: int
    pixels: list[Color]
    text: str = ""


def read_png(png: bytes, keyword: str) -> Picture:
    """Read a picture; `ValueError` says what is wrong with a file that is none."""
    found: dict[bytes, bytes] = {}
    text = ""
    for kind, data in _chunks(png):
        if kind == b"zTXt" and data.startswith(keyword.encode() + b"\0\0"):
            text = zlib.decompress(data[len(keyword) + 2 :]).decode("latin-1")
        else:
            found[kind] = found.get(kind, b"") + data
    width, height, depth, color_type, *rest = struct.unpack(">IIBBBBB", found[b"IHDR"])
    if depth != 8 or color_type not in _BYTES_OF_PIXEL or any(rest):
        raise ValueError("This kind of PNG file is not read here.")
    size = _BYTES_OF_PIXEL[color_type]
    rows = list(_rows(zlib.decompress(found[b"IDAT"]), width * size, size))
    if len(rows) != height:
        raise ValueError(f"The file has {len(rows)} rows, not {height}.")
    if color_type == _PALETTE:
        flat = found[b"PLTE"]
        palette = list(zip(flat[::3], flat[1::3], flat[2::3], strict=True))
        pixels = [palette[number] for row in rows for number in row]
    else:
        channels = (b"".join(row[at::size] for row in rows) for at in range(3))
        pixels = list(zip(*channels, strict=True))
    return Picture(width, height, pixels, text)


def write_png(picture: Picture, keyword: str) -> bytes:
    """Write a picture with a palette: of more than 256 colors, rare ones become similar ones."""
    counted = Counter(picture.pixels).most_common()
    palette = [color for color, _ in counted[:_MAX_COLORS]]
    numbers = {color: number for number, color in enumerate(palette)}
    for color, _ in counted[_MAX_COLORS:]:
        numbers[color] = min(
            range(_MAX_COLORS),
            key=lambda number: _distance(palette[number], color),
        )
    flat = bytes(numbers[color] for color in picture.pixels)
    width = picture.width
    rows = (b"\0" + flat[at : at + width] for at in range(0, len(flat), width))
    header = struct.pack(">IIBBBBB", width, picture.height, 8, _PALETTE, 0, 0, 0)
    text = zlib.compress(picture.text.encode("latin-1"), 9)
    chunks = {
        b"IHDR": header,
        b"PLTE": bytes(channel for color in palette for channel in color),
        b"zTXt": keyword.encode() + b"\0\0" + text,
        b"IDAT": zlib.compress(b"".join(rows), 9),
        b"IEND": b"",
    }
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks.items()
    )


def _distance(one: Color, other: Color) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    if not png.startswith(_SIGNATURE):
        raise ValueError("This is no PNG file.")
    at = len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        kind, data = png[at + 4 : at + 8], png[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack(">I", png[at + 8 + length : at + 12 + length])
        if checksum != zlib.crc32(kind + data):
            raise ValueError(f"The chunk {kind!r} is damaged.")
        yield kind, data
        at += 12 + length


def _rows(data: bytes, width: int, size: int) -> Iterator[bytes]:
    """Undo the filter of each row; `width` and `size`, of a pixel, are in bytes."""
    above = bytes(width)
    for at in range(0, len(data), width + 1):
        kind, row = data[at], bytearray(data[at + 1 : at + 1 + width])
        if kind == 2:
            row = bytearray((a + b) & 255 for a, b in zip(row, above, strict=True))
        elif kind:
            for i in range(width):
                left, corner = (row[i - size], above[i - size]) if i >= size else (0, 0)
                guess = {
                    1: left,
                    3: (left + above[i]) // 2,
                    4: _paeth(left, above[i], corner),
                }[kind]
                row[i] = (row[i] + guess) & 255
        above = bytes(row)
        yield above


def _paeth(left: int, above: int, corner: int) -> int:
    expected = left + above - corner
    return min((left, above, corner), key=lambda each: abs(expected - each))
