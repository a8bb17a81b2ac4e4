"""Input that can't be compared ends with one clear line and status 2."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.specdiff.cases import base
from tools.specdiff.__main__ import main

BOMB = b"a: &a0 [x, x, x, x, x, x, x, x, x]\n" + b"".join(
    b"b%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 9)
)
HEAD = b"openapi: 3.0.3\ninfo: {title: T, version: '1'}\n"


def referring(target: str) -> bytes:
    """Give a spec with a reference."""
    return base().replace("#/components/parameters/Key", target).encode()


CIRCLE = base().replace(
    "    Key: {name: X-Api-Key, in: header, required: true, description: Who asks., schema:"
    " {type: string}}",
    "    Key: {$ref: '#/components/parameters/Lock'}\n"
    "    Lock: {$ref: '#/components/parameters/Key'}",
)

HOSTILE = {
    "nothing": (b"", "the document is empty"),
    "no YAML": (b"a: [1", "not YAML"),
    "a tab": (b"a:\n\t- b", ":2: not YAML"),
    "binary": (b"\x00\x01\x02", "not YAML"),
    "another encoding": (base().encode("utf-16"), "not YAML in UTF-8"),
    "aliases that explode": (BOMB, "more than 500,000 values"),
    "an anchor in itself": (b"a: &a [*a]", "an anchor that contains itself"),
    "a key twice": (HEAD + b"paths: {}\npaths: {}", "the key 'paths' twice"),
    "a key that is not a string": (b"? [1]\n: 2", "a key that is not a string"),
    "an object of Python": (b"!!python/object/apply:os.system [ls]", "the tag"),
    "too deep": (b"a: " + b"[" * 100_000, "not YAML"),
    "deep": (b"a: " + b"[" * 500 + b"]" * 500, "more than 200 levels"),
    "two documents": (b"--- a\n--- b", "not YAML"),
    "a list": (b"- a", "no key `openapi`"),
    "Swagger": (b"swagger: '2.0'", "no key `openapi`"),
    "a version to come": (HEAD.replace(b"3.0.3", b"3.2.0"), "'3.2.0'"),
    "a version that is a number": (HEAD.replace(b"3.0.3", b"3.0"), "as a number"),
    "no paths": (HEAD, "'paths' is a required property"),
    "paths that are no mapping": (HEAD + b"paths: [a]", "/paths"),
    "an operation without responses": (HEAD + b"paths: {/x: {get: {}}}", "'responses'"),
    "a reference into a file": (referring("other.yaml#/A"), "which is another document"),
    "a reference to a URL": (referring("https://e.example/a#/b"), "which is another document"),
    "a reference to nowhere": (referring("#/components/parameters/Gone"), "which does not exist"),
    "a reference that is no pointer": (referring("#key"), "which is not a JSON pointer"),
    "references in a circle": (CIRCLE.encode(), "in a circle"),
}


@pytest.mark.parametrize(("text", "words"), HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("side", ["old", "new"])
def test_document_is_rejected_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: bytes, words: str, side: str
) -> None:
    """A document that is not a spec is rejected in one line that names it and the problem."""
    bad, good = tmp_path / "bad.yaml", tmp_path / "good.yaml"
    bad.write_bytes(text)
    good.write_text(base(), encoding="utf-8")
    pair = [str(bad), str(good)] if side == "old" else [str(good), str(bad)]
    assert main(pair) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "bad.yaml" in err
    assert words in err


MISSING = {
    "no such file": ("nowhere.yaml", "neither a file nor a git revision"),
    "no such revision": ("no-such-branch", "neither a file nor a git revision"),
    "no such file in a revision": ("HEAD:nowhere.yaml", "has no file nowhere.yaml"),
    "an option in disguise": ("--output=/tmp/x", "see --help"),
    "a revision that begins with a dash": ("-x", "see --help"),
    "a directory": ("docs", "is a directory"),
    "a device": ("/dev/zero", "not a regular file"),
    "two lines": ("main\nHEAD", "neither a file nor a git revision"),
    "nothing": ("", "neither a file nor a git revision"),
    "a null byte": ("a\0b", "neither a file nor a git revision"),
}


@pytest.mark.parametrize(("name", "words"), MISSING.values(), ids=MISSING.keys())
def test_missing_source_is_reported_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    """A name that is neither a file nor a git revision is rejected in one line."""
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    assert main([name, "openapi.yaml"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert words in err


def test_dash_after_the_end_of_options(capsys: pytest.CaptureFixture[str]) -> None:
    """Git treats a name with a dash as a revision, never as an option."""
    assert main(["--no-python", "--", "--help", "openapi.yaml"]) == 2
    assert "--help is neither" in capsys.readouterr().err


def test_large_file_is_rejected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is too large for a spec is not read to its end."""
    large = tmp_path / "large.yaml"
    with large.open("wb") as file:
        file.truncate(1 << 40)
    assert main([str(large), "openapi.yaml"]) == 2
    assert "too large for a spec" in capsys.readouterr().err


def test_missing_git_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without git, a revision can't be looked up, and the message says so."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["HEAD", "openapi.yaml"]) == 2
    assert "git can't be run" in capsys.readouterr().err


def test_program_ends_without_traceback() -> None:
    """The command as a program ends like the function, without a traceback."""
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "tools.specdiff", "nowhere", "openapi.yaml"],
        cwd=root, capture_output=True, text=True, check=False, timeout=80,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith("specdiff: nowhere")
    assert done.stderr.count("\n") == 1
