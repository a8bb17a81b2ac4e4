"""Every account has a file of its own, on every file system."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.stores.conformance import NAMES
from pipedrive_oauth_client.stores.file import (
    is_token_file,
    lease_file,
    lock_file,
    spelled_account,
    token_file,
)
from pipedrive_oauth_client.stores.protocol import MOST_CHARACTERS, checked_account

SAFE = re.compile(r"[a-z0-9=~._-]+")
LONG = (
    "\U0001f980" * MOST_CHARACTERS,
    "\U0001f980" * (MOST_CHARACTERS - 1) + "\U0001f981",
    "A" * MOST_CHARACTERS,
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
    names = (*NAMES, *LONG, *(name.upper() for name in NAMES))
    files = {as_file_systems_see_it(token_file(name)) for name in names}
    assert len(files) == len(set(names))


@pytest.mark.parametrize("account", [*NAMES, *LONG])
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
    assert spelled_account(name) == (None if "~" in name else account)


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
def test_other_files_are_nobodys(name: str) -> None:
    """A name that no account gives is no account's, though a careless reader could make it one."""
    assert spelled_account(name) is None


def test_few_files_are_locked() -> None:
    """However many accounts there are, they share 256 files for their steps."""
    assert len({lock_file(str(number)) for number in range(5000)}) == 256
