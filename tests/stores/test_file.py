"""`FileTokenStore`: the shared tests, its files, and files that are damaged or not private."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import stat
import sys
import unicodedata
from collections.abc import Callable
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    StoreError,
    StoreLockTimeoutError,
)
from pipedrive_oauth_client.stores import FileTokenStore
from pipedrive_oauth_client.stores._private_files import MAX_BYTES
from pipedrive_oauth_client.stores.conformance import (
    NAMES,
    START,
    LeaseConformance,
    ListingConformance,
    TokenStoreConformance,
    a_token,
)
from pipedrive_oauth_client.stores.file import (
    BOOT_ID,
    account_from_file_name,
    is_token_file,
    lease_file,
    lock_file,
    token_file,
)
from pipedrive_oauth_client.stores.protocol import MAX_ACCOUNT_LENGTH, checked_account
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sweep import found, visible


class TestConformance(TokenStoreConformance, LeaseConformance, ListingConformance):
    """The shared tests, on a folder that is opened several times."""

    @pytest.fixture
    def open_store(self, tmp_path: Path) -> Callable[..., FileTokenStore]:
        """Give stores on one folder."""
        return lambda **settings: FileTokenStore(tmp_path / "tokens", **settings)


@pytest.mark.parametrize("name", ["accounts", "due"])
def test_lists_are_read_bit_by_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """However many accounts there are, a list of them is never held in memory."""
    store = FileTokenStore(tmp_path / "tokens")
    for number in range(40):
        store.save(f"account {number}", a_token(number))
    seen: list[str] = []
    open_listings: list[Watched] = []
    scandir = os.scandir

    class Watched:
        def __init__(self, path: Path) -> None:
            self.real = scandir(path)
            open_listings.append(self)

        def __enter__(self) -> Watched:
            return self

        def __exit__(self, *_: object) -> None:
            self.real.close()
            open_listings.remove(self)

        def __iter__(self) -> Watched:
            return self

        def __next__(self) -> os.DirEntry[str]:
            entry = next(self.real)
            seen.append(entry.name)
            return entry

    monkeypatch.setattr(os, "scandir", Watched)
    listing = store.accounts() if name == "accounts" else store.due(START + timedelta(days=1))
    assert seen == []
    first = next(listing)
    # Files of steps may come before the first token.
    assert [entry for entry in seen if entry.startswith("token-")] == [
        f"token-{first.replace(' ', '=20')}.json"
    ]
    assert len(set(listing)) == 39
    assert open_listings == []


SAFE = re.compile(r"[a-z0-9=~._-]+")
LONG_NAMES = (
    "\U0001f980" * MAX_ACCOUNT_LENGTH,
    "\U0001f980" * (MAX_ACCOUNT_LENGTH - 1) + "\U0001f981",
    "A" * MAX_ACCOUNT_LENGTH,
    "x" * 117,
    "x" * 199,
)


def is_account(name: str) -> bool:
    """Tell whether an account can have the name."""
    try:
        checked_account(name)
    except ConfigurationError:
        return False
    return True


accounts = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp", "Cn", "Co", "Cf"]), min_size=1
).filter(is_account)


def as_file_systems_see_it(name: str) -> str:
    """Give what is left of a name where neither case nor the form of accents counts."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


@given(accounts, accounts)
def test_two_accounts_have_two_files(one: str, other: str) -> None:
    """Different accounts have different files, also where names are taken for the same."""
    files = {as_file_systems_see_it(token_file(account)) for account in (one, other)}
    assert len(files) == len({one, other})


def test_names_that_are_nearly_the_same_have_two_files() -> None:
    """The names of the shared tests, and long ones with the same beginning, are told apart."""
    names = (*NAMES, *LONG_NAMES, *(name.upper() for name in NAMES))
    files = {as_file_systems_see_it(token_file(name)) for name in names}
    assert len(files) == len(set(names))


@pytest.mark.parametrize("account", [*NAMES, *LONG_NAMES])
def test_file_can_be_made_anywhere(account: str) -> None:
    """A file's name is short and holds only characters that mean nothing anywhere."""
    for name in (token_file(account), lease_file(account), lock_file(account)):
        assert SAFE.fullmatch(name)
        assert len(f"{name}.new") <= 143
    assert is_token_file(token_file(account))
    assert not is_token_file(lease_file(account))
    assert not is_token_file(f"{token_file(account)}.new")


@pytest.mark.parametrize(
    "account", ["con", "CON", "nul", "prn.txt", "com1", "lpt9", "aux.json", "acme.", "."]
)
def test_reserved_name_is_none_of_ours(account: str) -> None:
    """What comes before the first dot is never one of the names that Windows keeps to itself."""
    reserved = {"con", "prn", "aux", "nul"} | {
        f"{kind}{n}" for kind in ("com", "lpt") for n in "19"
    }
    for name in (token_file(account), lease_file(account), lock_file(account)):
        assert name.split(".")[0] not in reserved
        assert not name.endswith((".", " "))


@given(accounts)
def test_short_account_is_read_from_the_name(account: str) -> None:
    """The name of a file tells its account, or that it can't."""
    name = token_file(account)
    assert account_from_file_name(name) == (None if "~" in name else account)


def test_plain_account_is_its_own_name() -> None:
    """A person finds the file of an account."""
    assert token_file("acme-corp.example_1") == "token-acme-corp.example_1.json"
    assert token_file("123456:789") == "token-123456=3a789.json"
    assert token_file("x" * 116) == f"token-{'x' * 116}.json"
    assert "~" in token_file("x" * 117)


@pytest.mark.parametrize(
    "name",
    [
        "token-Acme.json",
        "token-acme copy.json",
        "token-.json",
        "token-=61cme.json",
        "token-acme=3A1.json",
        "token-acme=3.json",
        "token-acme=ff.json",
        "token-=20acme.json",
        "token-a=0ab.json",
        f"token-{'x' * 117}.json",
        "token-acme.json.new",
        "lease-acme.json",
        "step-00.lock",
        "readme.txt",
    ],
)
def test_other_files_are_no_accounts(name: str) -> None:
    """A name that no account gives is no account's, though a careless reader could make it one."""
    assert account_from_file_name(name) is None


def test_few_files_are_locked() -> None:
    """However many accounts there are, they share 256 files for their steps."""
    assert len({lock_file(str(number)) for number in range(5000)}) == 256


POSIX = pytest.mark.skipif(sys.platform == "win32", reason="Windows has other rights.")

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
    """Give a status as it is for a file of another user."""
    fields = list(status)
    fields[stat.ST_UID] = user
    return os.stat_result(fields)


def refused(store: FileTokenStore, *, what: type[StoreError] = StoreError) -> str:
    """Check that a token is not given out; give the error's text."""
    with pytest.raises(what) as info:
        store.load("acme")
    assert not found(visible(info.value), [ACCESS_TOKEN, REFRESH_TOKEN])
    return str(info.value)


@POSIX
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077], ids=oct)
def test_files_are_private_from_the_beginning(tmp_path: Path, umask: int) -> None:
    """Folders that are made are for this user alone, as are all files, whatever the umask."""
    folder = tmp_path / "made" / "as well" / "tokens"
    before = os.umask(umask)
    try:
        store = FileTokenStore(folder)
        with store.lock("acme"):
            store.save("acme", a_token())
            # The token, the lease and the file of the step.
            modes = [mode_of(file) for file in folder.iterdir()]
    finally:
        os.umask(before)
    assert modes == [0o600] * 3
    for made in (folder, folder.parent, folder.parent.parent):
        assert mode_of(made) == 0o700


@POSIX
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


@POSIX
@pytest.mark.parametrize("path", ["", "a\0b", None, 5, b"tokens", "\ud800", "~no-such-user/x"])
def test_what_is_no_path_is_refused(path: Any) -> None:
    """A path that can't be one is a setting that can't be right."""
    with pytest.raises(ConfigurationError, match="path"):
        FileTokenStore(path)


@POSIX
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


@POSIX
def test_folder_that_cannot_be_made(folder: Path) -> None:
    """A folder that can't be made is an error with the cause."""
    folder.write_text("mine")
    with pytest.raises(StoreError, match="Failed to make the folder") as info:
        FileTokenStore(folder / "below" / "a file")
    assert isinstance(info.value.__cause__, NotADirectoryError)
    with pytest.raises(StoreError) as info:
        FileTokenStore(folder.parent / ("x" * 5000))
    assert isinstance(info.value.__cause__, OSError)


@POSIX
def test_linked_folder_is_followed(folder: Path, store: FileTokenStore) -> None:
    """The folder itself may be reached by a link, which is the user's own choice."""
    link = folder.parent / "link"
    link.symlink_to(folder)
    assert FileTokenStore(link).load("acme") == store.load("acme") == TOKEN


@POSIX
@pytest.mark.parametrize("mode", [0o777, 0o772, 0o702, 0o1777], ids=oct)
def test_folder_that_others_may_write_to(folder: Path, store: FileTokenStore, mode: int) -> None:
    """It is refused in whatever is asked, with the command that helps, and works again after it."""
    folder.chmod(mode)
    with pytest.raises(StoreError, match="chmod go-w"):
        FileTokenStore(folder)
    assert "chmod go-w" in refused(store)
    with pytest.raises(StoreError, match="chmod go-w"):
        store.save("acme", a_token(1))
    with pytest.raises(StoreError, match="chmod go-w"):
        store.delete("acme")
    with pytest.raises(StoreError, match="chmod go-w"), store.lock("acme"):
        pass
    with pytest.raises(StoreError, match="chmod go-w"):
        list(store.accounts())
    with pytest.raises(StoreError, match="chmod go-w"):
        list(store.due(a_token(1).expires_at))
    folder.chmod(0o700)
    assert store.load("acme") == TOKEN


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o2770, 0o720, 0o2775], ids=oct)
def test_folder_of_a_group_is_tightened(
    folder: Path, store: FileTokenStore, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The right to write that Kubernetes gives a group is taken away, with a warning."""
    folder.chmod(mode)
    assert store.load("acme") == TOKEN
    assert folder.stat().st_mode & 0o7777 == mode & ~0o020
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert str(folder) in record.getMessage()
    assert FileTokenStore(folder).load("acme") == TOKEN
    assert len(caplog.records) == 1


@POSIX
@pytest.mark.parametrize("mode", [0o640, 0o660, 0o620, 0o670], ids=oct)
def test_token_of_a_group_is_tightened(
    folder: Path, store: FileTokenStore, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    """A token that its group could read is for its owner alone from then on, with a warning."""
    file = folder / token_file("acme")
    file.chmod(mode)
    assert store.load("acme") == TOKEN
    assert mode_of(file) == 0o600
    (record,) = caplog.records
    assert "chmod 600" in record.getMessage()
    assert str(file) in record.getMessage()


@POSIX
def test_rights_that_can_not_be_changed_are_refused(
    folder: Path, store: FileTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a read-only volume, what the group can use is refused as what all others can use is."""
    file = folder / token_file("acme")
    file.chmod(0o660)

    def fail(*_: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "chmod", fail)
    assert f"chmod 600 '{file}'" in refused(store)
    monkeypatch.undo()
    folder.chmod(0o770)
    monkeypatch.setattr(os, "chmod", fail)
    assert "chmod go-w" in refused(store)


@POSIX
def test_folder_that_others_may_read(folder: Path, store: FileTokenStore) -> None:
    """Names of accounts are no secret: others may list the folder."""
    folder.chmod(0o755)
    assert store.load("acme") == TOKEN


@POSIX
@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o666], ids=oct)
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


@POSIX
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


@POSIX
@pytest.mark.parametrize("whose", ["folder", "file"])
def test_another_users(
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
    assert "belongs to another user (12345)" in text
    assert f"chown {os.geteuid()} '{path}'" in text


@POSIX
def test_roots_folder_is_let_pass(store: FileTokenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write anywhere anyway, so that root's folder is as good as one's own."""
    fstat, path_stat = os.fstat, Path.stat
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(os, "fstat", lambda file: given_to(12345, fstat(file)))
    monkeypatch.setattr(Path, "stat", lambda path: given_to(0, path_stat(path)))
    assert store.load("acme") == TOKEN
    monkeypatch.setattr(Path, "stat", lambda path: given_to(12346, path_stat(path)))
    assert "user (12346)" in refused(store)


@POSIX
def test_volume_of_root_and_a_group(
    folder: Path, store: FileTokenStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What root owns and a group may write to can't be tightened: a folder below it can be used."""
    folder.chmod(0o2775)
    path_stat = Path.stat
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setattr(Path, "stat", lambda path: given_to(0, path_stat(path)))
    text = refused(store)
    assert f"chmod go-w '{folder}'" in text
    assert str(folder / "tokens") in text
    assert stat.S_IMODE(path_stat(folder).st_mode) == 0o2775


@POSIX
def test_lock_file_that_is_a_link(folder: Path, store: FileTokenStore) -> None:
    """A link in place of a file that is locked is not followed, either."""
    (lock,) = folder.glob("step-*.lock")
    lock.unlink()
    lock.symlink_to(folder.parent / "victim")
    with pytest.raises(StoreError, match="link"):
        store.save("acme", a_token(2))
    assert not (folder.parent / "victim").exists()
    assert store.load("acme") == TOKEN


SECRETS = [ACCESS_TOKEN, REFRESH_TOKEN]
LONG = "\U0001f980" * 200
LATER = START + timedelta(days=1)


def written(**changes: object) -> bytes:
    """Write a file as the store does, with changes; None leaves a field out."""
    whole = {"account": "acme", "version": "0123456789abcdef", "token": TOKEN.to_dict(), **changes}
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


DAMAGES = {
    "empty": b"",
    "zeroes": b"\0" * 300,
    "cut": written()[:-40],
    "doubled": written() * 2,
    "no UTF-8": written().replace(b"deals", b"\xff\xfe"),
    "a list": b"[" + written() + b"]",
    "a string": json.dumps(ACCESS_TOKEN).encode(),
    "deep": b"[" * 200_000,
    "a number without end": b'{"account": ' + b"1" * 5000 + b"}",
    "too long": written(more="x" * MAX_BYTES),
    "one byte too long": written().ljust(MAX_BYTES + 1),
    "no account": written(account=None),
    "another account": written(account="umbrella"),
    "nearly the account": written(account="Acme"),
    "no account's name": written(account="\ud800"),
    "a number for the account": written(account=5),
    "no version": written(version=None),
    "no token": written(token=None),
    "a list for the token": written(token=[ACCESS_TOKEN]),
    "half a token": written(token={"access_token": ACCESS_TOKEN}),
    "an odd token": written(token={**TOKEN.to_dict(), "refresh_token": f"{REFRESH_TOKEN}\n"}),
    "an odd time": written(token={**TOKEN.to_dict(), "expires_at": ACCESS_TOKEN}),
}


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_damage(folder: Path, store: FileTokenStore, content: bytes) -> None:
    """What can't be read is an error of that account alone, shows no secret, and stays as it is."""
    store.save("umbrella", a_token(2))
    file = folder / token_file("acme")
    file.write_bytes(content)
    for _ in range(2):
        with pytest.raises(CorruptTokenError) as info:
            store.load("acme")
        assert not found(visible(info.value), SECRETS)
        assert "authorize" in str(info.value)
    with store.lock("acme"), pytest.raises(CorruptTokenError):
        store.load("acme")
    assert file.read_bytes() == content
    assert store.load("umbrella") == a_token(2)
    assert sorted(store.accounts()) == ["acme", "umbrella"]
    assert sorted(store.due(LATER)) == ["acme", "umbrella"]
    assert list(store.due(START - timedelta(days=1))) == ["acme"]


@pytest.mark.parametrize("content", DAMAGES.values(), ids=DAMAGES)
def test_damage_is_replaced_or_deleted(folder: Path, store: FileTokenStore, content: bytes) -> None:
    """A save puts a token in its place, with the lock and without, and so does a delete."""
    file = folder / token_file("acme")
    file.write_bytes(content)
    with store.lock("acme"):
        store.save("acme", a_token(3))
    assert store.load("acme") == a_token(3)
    file.write_bytes(content)
    store.save("acme", a_token(4))
    assert store.load("acme") == a_token(4)
    file.write_bytes(content)
    store.delete("acme")
    assert store.load("acme") is None


def test_what_comes_after_the_damage_is_fenced(folder: Path, store: FileTokenStore) -> None:
    """The holder of the lock does not replace a token that another caller put over the damage."""
    (folder / token_file("acme")).write_bytes(b"damage")
    with store.lock("acme"):
        FileTokenStore(folder).save("acme", a_token(3))
        with pytest.raises(StoreLockTimeoutError, match="another caller"):
            store.save("acme", a_token(4))
    assert store.load("acme") == a_token(3)


@pytest.mark.parametrize("is_deleted", [True, False])
def test_damage_that_others_have_cleared(
    folder: Path, store: FileTokenStore, is_deleted: bool
) -> None:
    """The holder of the lock does not bring back a token that was deleted over the damage."""
    file = folder / token_file("acme")
    file.write_bytes(b"damage")
    with store.lock("acme"):
        if is_deleted:
            FileTokenStore(folder).delete("acme")
        else:
            file.write_bytes(b"another damage")
        with pytest.raises(StoreLockTimeoutError, match="another caller"):
            store.save("acme", a_token(4))
    assert file.exists() != is_deleted


def test_renamed_file_is_not_another_accounts(folder: Path, store: FileTokenStore) -> None:
    """A file that was copied to another account's name is not that account's token."""
    (folder / token_file("umbrella")).write_bytes((folder / token_file("acme")).read_bytes())
    (folder / token_file("umbrella")).chmod(0o600)
    with pytest.raises(CorruptTokenError, match="another account"):
        store.load("umbrella")
    assert store.load("acme") == TOKEN


def test_unknown_fields_are_passed_over(folder: Path, store: FileTokenStore) -> None:
    """What a newer version may write beside the token is no damage."""
    file = folder / token_file("acme")
    file.write_bytes(written(more=1, token={**TOKEN.to_dict(), "more": 1}))
    assert store.load("acme") == TOKEN


def test_damage_of_a_long_account_is_logged(
    folder: Path, store: FileTokenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the file's name does not tell whose it is, the log says which file can't be read."""
    store.save(LONG, a_token(2))
    store.save("y" * 200, a_token(3))
    assert sorted(store.accounts()) == ["acme", "y" * 200, LONG]
    file = folder / token_file(LONG)
    others = (folder / token_file("y" * 200)).read_bytes()
    for content in (b"damage", written(), others, written(account="\ud800")):
        file.write_bytes(content)
        caplog.clear()
        assert sorted(store.accounts()) == ["acme", "y" * 200]
        assert sorted(store.due(LATER)) == ["acme", "y" * 200]
        assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
        assert file.name in caplog.text
        assert not found(caplog.text, SECRETS)
        with pytest.raises(CorruptTokenError):
            store.load(LONG)
    file.chmod(0o644)
    assert len(list(store.accounts())) == 2
    assert "chmod 600" in caplog.text


def test_prefix_opens_no_other_file(
    folder: Path, store: FileTokenStore, caplog: pytest.LogCaptureFixture
) -> None:
    """The names of the files tell which accounts it can be, short or shortened."""
    near, far = "x" * 150 + "near", "x" * 150 + "far"
    for name in (near, far, "y" * 200, "Acme", "acme:1"):
        store.save(name, a_token())
    (folder / token_file("y" * 200)).write_bytes(b"damage")
    assert list(store.accounts("x" * 150 + "n")) == [near]
    assert sorted(store.accounts("x" * 40)) == [far, near]
    assert sorted(store.accounts("acme")) == ["acme", "acme:1"]
    assert list(store.accounts("A")) == ["Acme"]
    assert caplog.records == []
    assert list(store.accounts("y")) == []
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


def test_overview_of_damaged_files(folder: Path, store: FileTokenStore) -> None:
    """A file that can't be read, or must not be, may be damaged; the others are seen."""
    store.save("umbrella", a_token(1))
    for damage in (b"damage", written(token={}), None):
        file = folder / token_file("acme")
        if damage is None:
            file.write_bytes(written())
            file.chmod(0o644)
        else:
            file.write_bytes(damage)
        assert sorted(store.overview()) == [
            ("acme", None, False, True),
            ("umbrella", a_token(1).expires_at, False, False),
        ]
        assert list(store.ended()) == []


def test_other_peoples_files_are_left_alone(folder: Path, store: FileTokenStore) -> None:
    """Files with other names are no accounts, whatever is in them, and stay."""
    names = ["readme.txt", "token-Acme.json", "token-acme copy.json", "token-acme.json.bak"]
    for name in names:
        (folder / name).write_bytes(written())
    (folder / "token-x").mkdir()
    assert list(store.accounts()) == ["acme"]
    assert list(store.due(LATER)) == ["acme"]
    store.save("acme", a_token(1))
    store.delete("acme")
    assert {name for name in names if (folder / name).read_bytes() == written()} == set(names)


LEASES = {
    "empty": b"",
    "cut": b'{"owner": "0123',
    "a list": b"[]",
    "deep": b"[" * 200_000,
    "no end": b'{"owner": "0123"}',
    "a text for the end": b'{"owner": "0123", "until": "2030"}',
    "no number for the end": b'{"owner": "0123", "until": NaN}',
    "long ago": b'{"owner": "0123", "until": -1e400}',
    "another boot": b'{"owner": "0123", "until": 1e400, "boot": "6f1c"}',
}


@pytest.mark.parametrize("content", LEASES.values(), ids=LEASES)
def test_damaged_lease_is_none(folder: Path, store: FileTokenStore, content: bytes) -> None:
    """A lease that can't be read is one that a power cut has left: the lock is free."""
    file = folder / lease_file("acme")
    file.write_bytes(content)
    file.chmod(0o600)
    with store.lock("acme"):
        store.save("acme", a_token(1))
        assert json.loads(file.read_bytes())["owner"] != "0123"
    assert not file.exists()


@pytest.mark.parametrize("until", ["1e400", "9" * 400], ids=["infinity", "a long number"])
def test_lease_without_end_is_outlived(folder: Path, until: str) -> None:
    """A lease that ends in a far future, by a clock that was wrong, counts for its length only."""
    store = FileTokenStore(folder, lease=timedelta(milliseconds=100), wait=timedelta(seconds=30))
    file = folder / lease_file("acme")
    file.write_text(f'{{"owner": "0123", "until": {until}, "boot": "{BOOT_ID}"}}')
    file.chmod(0o600)
    with store.lock("acme"):
        store.save("acme", a_token(1))
    assert store.load("acme") == a_token(1)


def test_token_that_is_too_long_is_refused(store: FileTokenStore) -> None:
    """What could not be read again is not written, and the token before is still there."""
    with pytest.raises(ConfigurationError, match="bytes"):
        store.save("acme", a_token(scope="x" * MAX_BYTES))
    assert store.load("acme") == TOKEN


@pytest.mark.parametrize("before", [LATER.replace(tzinfo=None), None, "2031-01-01"], ids=repr)
def test_time_that_is_none_is_refused(store: FileTokenStore, before: Any) -> None:
    """What is due before a time can't be told where the time can be one of many."""
    with pytest.raises(ConfigurationError, match="before"):
        store.due(before)


def test_due_to_the_moment(store: FileTokenStore) -> None:
    """A token that expires at the very time is not due yet; a zone is a way to write a time."""
    store.save("acme", a_token(expires_at=START))
    zone = timezone(timedelta(hours=-7))
    assert list(store.due(START.astimezone(zone))) == []
    assert list(store.due((START + timedelta(microseconds=1)).astimezone(zone))) == ["acme"]
