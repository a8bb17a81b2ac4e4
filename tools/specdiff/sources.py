"""OLD and NEW of the command line: a file, or a revision of git."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from attrs import frozen

from tools.specdiff.trouble import CannotCompareError

ROOT = Path(__file__).resolve().parents[2]
SPEC = "openapi.yaml"

# A hundred times the project's own spec, ten times one of 500 operations.
MOST_BYTES = 16 * 1024 * 1024


@frozen
class Source:
    """The text of a spec.

    Attributes:
        label: Where it comes from, as the reader typed it.
        text: The bytes.
    """

    label: str
    text: bytes


def read_source(name: str, *, root: Path = ROOT) -> Source:
    """Read a spec from a file or from git's history.

    Args:
        name: A file; or a revision (`main`, `HEAD~1`), which stands for its `openapi.yaml`; or a
            revision and a path (`v1.0:openapi.yaml`). A file wins over a revision of its name.
        root: The repository that revisions are looked up in.

    Raises:
        CannotCompareError: It is neither, can't be read, or is too long for a spec.
    """
    if not name or "\0" in name or not name.isprintable():
        raise CannotCompareError(f"{name!r} is neither a file nor a revision of git")
    path = Path(name)
    if path.is_dir() and not _is_revision(name, root):
        raise CannotCompareError(f"{name} is a folder; name the file in it")
    if path.exists() and not path.is_dir():
        return Source(name, _limited(name, _read_file(path)))
    return Source(name, _limited(name, _read_revision(name, root)))


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise CannotCompareError(f"{path} is no plain file")
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise CannotCompareError(f"{path} can't be read: {error.strerror}") from error


def _limited(name: str, text: bytes) -> bytes:
    if len(text) > MOST_BYTES:
        raise CannotCompareError(f"{name} has more than {MOST_BYTES >> 20} MB, too much for a spec")
    return text


def _is_revision(name: str, root: Path) -> bool:
    return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", name) is not None


def _read_revision(name: str, root: Path) -> bytes:
    wanted = name if ":" in name else f"{name}:{SPEC}"
    blob = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
    found = None if blob is None else git(root, "cat-file", "blob", blob.decode().strip())
    if found is not None:
        return found
    revision = name.partition(":")[0]
    if revision and _is_revision(f"{revision}^{{commit}}", root):
        raise CannotCompareError(f"the revision {revision} has no file {wanted.partition(':')[2]}")
    raise CannotCompareError(
        f"{name} is neither a file nor a revision of git (a shallow clone lacks older ones)"
    )


def git(root: Path, *arguments: str) -> bytes | None:
    """Run a command of git that only reads.

    Args:
        root: The repository.
        *arguments: The command.

    Returns:
        What it printed, or None if it failed.

    Raises:
        CannotCompareError: There is no git.
    """
    # A hook runs with variables that name the repository of the hook.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments],
            capture_output=True,
            check=False,
            env=environment | {"GIT_OPTIONAL_LOCKS": "0"},
        )
    except OSError as error:
        raise CannotCompareError("git can't be run, and is needed to look up revisions") from error
    return done.stdout if done.returncode == 0 else None
