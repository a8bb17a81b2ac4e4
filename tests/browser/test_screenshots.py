"""The pictures in docs/images show their pages as they are."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.browser.driver import Browser
from tests.browser.screenshots import COMMAND, IMAGES, KEYWORD, PAGES, SECRETS, take
from tests.support.png import Picture, read_png, write_png
from tests.support.programs import ROOT

MAX_BYTES = 60_000
SHOWN = re.compile(r"!\[(?P<alt>[^\]]*)\]\(images/(?P<name>[\w-]+)\.png\)")


def committed(name: str) -> Picture:
    """Read a picture of docs/images."""
    return read_png((IMAGES / f"{name}.png").read_bytes(), KEYWORD)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("name", PAGES)
def test_picture_shows_the_page_as_it_is(browser: Browser, tmp_path: Path, name: str) -> None:
    """The page says what it said when its picture was made, looks so, and shows no secret."""
    shot = take(browser, PAGES[name], tmp_path)
    picture, again = committed(name), read_png(shot.png, KEYWORD)
    assert json.loads(picture.text) == shot.record, (
        f"The page of docs/images/{name}.png has changed: run `{COMMAND}`, and look at the picture."
    )
    assert again.width == picture.width
    # Fonts have other heights on another machine.
    assert 0.75 < again.height / picture.height < 1.33
    assert not any(secret in shot.source for secret in SECRETS)


@pytest.mark.parametrize("name", PAGES)
def test_picture_is_small_and_not_blank(name: str) -> None:
    """A picture is as wide as its page, has few bytes, many colors, and not one for nearly all."""
    assert (IMAGES / f"{name}.png").stat().st_size < MAX_BYTES
    picture = committed(name)
    assert picture.width == PAGES[name].width
    assert picture.height > 150
    assert len(picture.pixels) == picture.width * picture.height
    colors = Counter(picture.pixels)
    assert len(colors) > 50
    ((_, most),) = colors.most_common(1)
    assert most / len(picture.pixels) < 0.95


def test_every_picture_is_on_a_page() -> None:
    """Each picture is shown on one page at least, with a text in its place, and no file is left."""
    pages = [page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md")]
    shown = [found for page in pages for found in SHOWN.finditer(page)]
    assert {found["name"] for found in shown} == set(PAGES)
    assert {file.name for file in IMAGES.iterdir()} == {f"{name}.png" for name in PAGES}
    assert all(len(found["alt"].split()) > 5 for found in shown)


def test_picture_of_many_colors_is_written_with_the_nearest_ones() -> None:
    """Of more than 256 colors the rare ones change a little; the text that is carried stays."""
    common = [(0, 0, 0), (255, 255, 255)] * 300
    rare = [(red, 100, 100) for red in range(0, 256, 2)] + [
        (100, green, 200) for green in range(0, 256, 2)
    ]
    odd = [(0, 0, 1), (255, 255, 254)]
    pixels = [*common, *rare[:254], *rare[:254], *odd, *rare[254:]]
    picture = Picture(2, len(pixels) // 2, pixels, json.dumps(["h1 é"]))
    read = read_png(write_png(picture, "Page"), "Page")
    assert read.text == picture.text
    changed = {was: now for was, now in zip(pixels, read.pixels, strict=True) if was != now}
    assert changed == {
        (0, 0, 1): (0, 0, 0),
        (255, 255, 254): (255, 255, 255),
        (100, 252, 200): (100, 250, 200),
        (100, 254, 200): (100, 250, 200),
    }


@pytest.mark.parametrize("damage", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_file_that_is_no_picture(damage: bytes) -> None:
    """A file that is no picture, or a damaged one, is an error."""
    with pytest.raises((ValueError, KeyError)):
        read_png(damage, "Page")
    whole = write_png(Picture(1, 1, [(1, 2, 3)]), "Page")
    with pytest.raises(ValueError, match="IDAT"):
        read_png(whole[:-16] + b"\0" + whole[-15:], "Page")
