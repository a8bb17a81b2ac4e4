"""What `FileTokenStore` makes of folders and files that are not this user's alone."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipedrive_oauth_client.errors import ConfigurationError, StoreError
from pipedrive_oauth_client.stores import FileTokenStore
from pipedrive_oauth_client.stores.conformance import a_token
from pipedrive_oauth_client.stores.file import token_file
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sweep import found, visible

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights.")

TOKEN = a_token(access_token=ACCESS_TOKEN, refresh_token=REFRESH_TOKEN)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give the place of a folder."""
    return tmp_path / "tokens"


@pytest.fixture
def store(folder: Path) -> FileTokenStore:
    """Give a store with a token."""
    store = FileTokenStore(folder)
    store.save("acme", TOKEN)
    return store


def mode_of(path: Path) -> int:
    """Give who may do what with a file."""
    return stat.S_IMODE(path.stat().st_mode)


def given_to(user: int, status: os.stat_result) -> os.stat_result:
    """Give a status as it is for a file of somebody else."""
    fields = list(status)
    fields[stat.ST_UID] = user
    return os.stat_result(fields)


def refused(store: FileTokenStore, *, what: type[StoreError] = StoreError) -> str:
    """Check that a token is not given out; give the error's text."""
    with pytest.raises(what) as info:
        store.load("acme")
    assert not found(visible(info.value), [ACCESS_TOKEN, REFRESH_TOKEN])
    return str(info.value)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_files_are_private_from_the_beginning(tmp_path: Path, umask: int) -> None:
    """Folders that are made are for this user alone, as are all files, whatever the umask."""
    program = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from pipedrive_oauth_client.stores import FileTokenStore\n"
        "from pipedrive_oauth_client.stores.conformance import a_token\n"
        "os.umask(int(sys.argv[2]))\n"
        "store = FileTokenStore(Path(sys.argv[1]))\n"
        "with store.lock('acme'):\n"
        "    store.save('acme', a_token())\n"
        "    print(len(list(Path(sys.argv[1]).iterdir())))\n"
        "    os._exit(0 if sys.stdout.flush() is None else 1)\n"
    )
    folder = tmp_path / "made" / "as well" / "tokens"
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder), str(umask)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "3\n"  # the token, the lease and the file of the step
    for made in (folder, folder.parent, folder.parent.parent):
        assert mode_of(made) == 0o700
    assert {mode_of(file) for file in folder.iterdir()} == {0o600}


def test_relative_path_stays_where_it_was(
    folder: Path, store: FileTokenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program that changes its folder afterwards finds its tokens, and a `~` is the home."""
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("HOME", str(folder.parent))
    relative, home = FileTokenStore("tokens"), FileTokenStore("~/tokens")
    monkeypatch.chdir(tmp_path.parent)
    assert relative.load("acme") == home.load("acme") == store.load("acme") == TOKEN
    assert repr(relative) == f"FileTokenStore({str(folder)!r})"


@pytest.mark.parametrize(
    "path", ["", "a\0b", None, 5, b"tokens", "\ud800", "~nobody-is-called-so/x"]
)
def test_what_is_no_path_is_refused(path: Any) -> None:
    """A path that can't be one is a setting that can't be right."""
    with pytest.raises(ConfigurationError, match="path"):
        FileTokenStore(path)


@pytest.mark.parametrize("kind", ["file", "dangling link"])
def test_something_else_in_the_folders_place(folder: Path, kind: str) -> None:
    """Where something else is in the folder's place, it stays, and the error says so."""
    if kind == "file":
        folder.write_text("mine")
    else:
        folder.symlink_to(folder.parent / "nowhere")
    with pytest.raises(ConfigurationError, match="must name a folder"):
        FileTokenStore(folder)
    assert folder.is_symlink() or folder.read_text() == "mine"


def test_folder_that_cannot_be_made(folder: Path) -> None:
    """A folder that can't be made is an error with the cause."""
    folder.write_text("mine")
    with pytest.raises(StoreError, match="Failed to make the folder") as info:
        FileTokenStore(folder / "below" / "a file")
    assert isinstance(info.value.__cause__, NotADirectoryError)
    with pytest.raises(StoreError) as info:
        FileTokenStore(folder.parent / ("x" * 5000))
    assert isinstance(info.value.__cause__, OSError)


def test_linked_folder_is_followed(folder: Path, store: FileTokenStore) -> None:
    """The folder itself may be reached by a link, which is the user's own choice."""
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert FileTokenStore(link).load("acme") == store.load("acme") == TOKEN


@pytest.mark.parametrize("mode", [0o770, 0o720, 0o702, 0o1777], ids=oct)
def test_folder_that_others_may_write_to(folder: Path, store: FileTokenStore, mode: int) -> None:
    """It is refused in whatever is asked, with the command that helps, and works again after it."""
    folder.chmod(mode)
    with pytest.raises(StoreError, match="chmod 700"):
        FileTokenStore(folder)
    assert "chmod 700" in refused(store)
    with pytest.raises(StoreError, match="chmod 700"):
        store.save("acme", a_token(1))
    with pytest.raises(StoreError, match="chmod 700"):
        store.delete("acme")
    with pytest.raises(StoreError, match="chmod 700"), store.lock("acme"):
        pass
    with pytest.raises(StoreError, match="chmod 700"):
        list(store.accounts())
    with pytest.raises(StoreError, match="chmod 700"):
        list(store.due(a_token(1).expires_at))
    folder.chmod(0o700)
    assert store.load("acme") == TOKEN


def test_folder_that_others_may_read(folder: Path, store: FileTokenStore) -> None:
    """Names of accounts are no secret: others may list the folder."""
    folder.chmod(0o755)
    assert store.load("acme") == TOKEN


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o666], ids=oct)
def test_token_that_others_can_read(folder: Path, store: FileTokenStore, mode: int) -> None:
    """It is not given out until the command of the error was run, but can be replaced."""
    file = folder / token_file("acme")
    file.chmod(mode)
    assert f"chmod 600 '{file}'" in refused(store)
    assert list(store.due(a_token(1).expires_at)) == ["acme"]
    assert mode_of(file) == mode
    file.chmod(0o600)
    assert store.load("acme") == TOKEN
    file.chmod(mode)
    store.save("acme", a_token(2))
    assert store.load("acme") == a_token(2)


@pytest.mark.parametrize("kind", ["link", "dangling link", "pipe", "folder"])
def test_token_that_is_no_file(folder: Path, store: FileTokenStore, kind: str) -> None:
    """A link is not followed, a pipe is not waited for, and neither what is behind them changes."""
    file, target = folder / token_file("acme"), folder.parent / "target"
    content = file.read_bytes()
    file.unlink()
    if kind == "link":
        target.write_bytes(content)
        target.chmod(0o600)
    if kind == "pipe":
        os.mkfifo(file, 0o600)
    elif kind == "folder":
        file.mkdir(0o700)
    else:
        file.symlink_to(target)
    assert str(file) in refused(store)
    with pytest.raises(StoreError), store.lock("acme"):
        pass
    if kind == "folder":
        with pytest.raises(StoreError):
            store.save("acme", a_token(2))
    else:
        store.save("acme", a_token(2))
        assert store.load("acme") == a_token(2)
    assert target.exists() == (kind == "link")
    assert not target.exists() or target.read_bytes() == content


@pytest.mark.parametrize("whose", ["folder", "file"])
def test_somebody_elses(
    folder: Path, store: FileTokenStore, monkeypatch: pytest.MonkeyPatch, whose: str
) -> None:
    """A folder or a token that another user owns is refused, with the command that helps."""
    fstat, path_stat = os.fstat, Path.stat
    if whose == "file":
        monkeypatch.setattr(os, "fstat", lambda file: given_to(12345, fstat(file)))
    else:
        monkeypatch.setattr(Path, "stat", lambda path: given_to(12345, path_stat(path)))
    text = refused(store)
    path = folder if whose == "folder" else folder / token_file("acme")
    assert "belongs to somebody else (user 12345)" in text
    assert f"chown {os.geteuid()} '{path}'" in text


def test_roots_folder_is_let_pass(store: FileTokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere anyway, so that root's folder is as good as one's own."""
    fstat, path_stat = os.fstat, Path.stat
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(os, "fstat", lambda file: given_to(12345, fstat(file)))
    monkeypatch.setattr(Path, "stat", lambda path: given_to(0, path_stat(path)))
    assert store.load("acme") == TOKEN
    monkeypatch.setattr(Path, "stat", lambda path: given_to(12346, path_stat(path)))
    assert "user 12346" in refused(store)


def test_lock_file_that_is_a_link(folder: Path, store: FileTokenStore) -> None:
    """A link in place of a file that is locked is not followed, either."""
    (lock,) = folder.glob("step-*.lock")
    lock.unlink()
    lock.symlink_to(folder.parent / "victim")
    with pytest.raises(StoreError, match="link"):
        store.save("acme", a_token(2))
    assert not (folder.parent / "victim").exists()
    assert store.load("acme") == TOKEN
