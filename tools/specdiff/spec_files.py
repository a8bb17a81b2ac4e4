"""Where specs come from: a file or a git revision."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from attrs import frozen

from tools.bounded_yaml import MAX_BYTES, read_bytes
from tools.safe_output import printable, without_commands

ROOT = Path(__file__).resolve().parents[2]
SPEC = "openapi.yaml"


class CannotCompareError(Exception):
    """One of the two specs can't be found, read or understood; the text is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(without_commands(printable(" ".join(message.split()))))


@frozen
class Source:
    """The bytes of a spec, with the name that the user gave for it."""

    label: str
    text: bytes


def read_source(name: str, *, root: Path = ROOT) -> Source:
    """Read a spec from a file, a revision (its `openapi.yaml`), or `REVISION:PATH`; files win."""
    if not name or "\0" in name or not name.isprintable():
        raise CannotCompareError(f"{name!r} is neither a file nor a git revision")
    path = Path(name)
    if path.is_dir() and not _is_revision(name, root):
        raise CannotCompareError(f"{name} is a directory; name the file in it")
    is_file = path.exists() and not path.is_dir()
    text = _read_file(path) if is_file else _read_revision(name, root)
    if len(text) > MAX_BYTES:
        raise _too_large(name)
    return Source(name, text)


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise CannotCompareError(f"{path} is not a regular file")
    try:
        return read_bytes(path)
    except OSError as error:
        raise CannotCompareError(f"{path} can't be read: {error.strerror}") from error


def _is_revision(name: str, root: Path) -> bool:
    return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", name) is not None


def _read_revision(name: str, root: Path) -> bytes:
    wanted = name if ":" in name else f"{name}:{SPEC}"
    blob = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
    content = None if blob is None else _read_blob(name, blob.decode().strip(), root)
    if content is not None:
        return content
    revision = name.partition(":")[0]
    if revision and _is_revision(f"{revision}^{{commit}}", root):
        raise CannotCompareError(f"the revision {revision} has no file {wanted.partition(':')[2]}")
    raise CannotCompareError(f"{name} is neither a file nor a git revision (a shallow clone?)")


def _read_blob(name: str, blob: str, root: Path) -> bytes | None:
    size = git(root, "cat-file", "-s", blob)
    if size is not None and int(size) > MAX_BYTES:
        raise _too_large(name)
    return git(root, "cat-file", "blob", blob)


def _too_large(name: str) -> CannotCompareError:
    return CannotCompareError(f"{name} is too large for a spec: over {MAX_BYTES >> 20} MB")


def git(root: Path, *arguments: str) -> bytes | None:
    """Run a read-only git command; give its output, or None if it failed."""
    # A hook runs with variables that name the repository of the hook.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, env=environment)

    except OSError as error:
        raise CannotCompareError("git can't be run, and is needed to look up revisions") from error
    return done.stdout if done.returncode == 0 else None
