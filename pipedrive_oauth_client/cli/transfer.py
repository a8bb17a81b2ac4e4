"""`copy` and `rotate`: stored tokens into another store, or under another key."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum
from typing import Final

from attrs import Factory, define

from pipedrive_oauth_client._checks import utc_now
from pipedrive_oauth_client.cli.exit_codes import CommandError, ExitCode
from pipedrive_oauth_client.cli.output import one_line, progress_bar, say, write, write_json
from pipedrive_oauth_client.cli.status import listed
from pipedrive_oauth_client.cli.store_url import StoreURL
from pipedrive_oauth_client.errors import CorruptTokenError, StoreError
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import Token

__all__ = ["copy_accounts", "rotate_keys"]

_PROBE: Final = "pipedrive-oauth copy "


class _Outcome(Enum):
    DONE = "done"
    SAME = "same"
    KEPT = "kept"
    GONE = "gone"


@define
class _Tally:
    """What became of each account."""

    done: int = 0
    same: int = 0
    kept: list[str] = Factory(list[str])
    failed: dict[str, str] = Factory(dict[str, str])

    @property
    def total(self) -> int:
        return self.done + self.same + len(self.kept) + len(self.failed)

    def add(self, account: str, outcome: _Outcome) -> None:
        if outcome is _Outcome.DONE:
            self.done += 1
        elif outcome is _Outcome.SAME:
            self.same += 1
        elif outcome is _Outcome.KEPT:
            self.kept.append(account)


def copy_accounts(source: StoreURL, target: StoreURL, *, replace: bool, in_json: bool) -> None:
    """Copy every account, and report what was copied, what was kept and what failed."""
    if target.is_temporary:
        raise CommandError("--to must not be memory:, which ends with the command.", ExitCode.USAGE)
    with source.open() as old, target.open() as new:
        _require_two_stores(old, new)
        # Both are read in full first: in one database, an open list could block what is written.
        with _for_each(old, "Copying", "copied") as run:
            tally = run(lambda account: _copy(old, new, account, replace=replace))
    if in_json:
        counts = {"copied": tally.done, "already_there": tally.same, "kept": sorted(tally.kept)}
        write_json(
            {"from": source.redacted, "to": target.redacted, **counts, "failed": tally.failed}
        )
    else:
        for account, reason in sorted(tally.failed.items()):
            say(one_line(f"{account}: {reason}"))
        parts = [f"{tally.done} copied"]
        parts += [f"{tally.same} already there"] if tally.same else []
        parts += [f"{len(tally.kept)} not replaced"] if tally.kept else []
        write(f"{', '.join(parts)}, {len(tally.failed)} failed. Store: {target.redacted}\n")
    if tally.kept and not tally.failed:
        raise CommandError(
            f"{target.redacted} holds other tokens of {listed(tally.kept)}. To replace them, pass"
            " --replace.",
            ExitCode.SOME_FAILED,
        )
    _raise_failed(tally, "copied")


def _copy(old: TokenStore, new: TokenStore, account: str, *, replace: bool) -> _Outcome:
    # Under both locks: no process refreshes the token between the copy and the end of this step.
    with old.lock(account), new.lock(account):
        token = old.load(account)
        if token is None:
            return _Outcome.GONE
        if token.token_type.lower() != "bearer":
            raise CorruptTokenError("It is encrypted; pass the keys: --store-keys-file.")
        try:
            existing = new.load(account)
        except CorruptTokenError:
            if not replace:
                raise
            existing = None
        if existing == token:
            return _Outcome.SAME
        if existing is not None and not replace:
            return _Outcome.KEPT
        new.save(account, token)
        return _Outcome.DONE


def _require_two_stores(old: TokenStore, new: TokenStore) -> None:
    """Reject a copy onto itself, whose locks would wait for each other."""
    # Two URLs can name one store in many ways, so the store itself is asked.
    account = f"{_PROBE}{secrets.token_hex(4)}"
    probe = Token(access_token="made-up", expires_at=utc_now() + timedelta(minutes=10))
    with new.lock(account):
        new.save(account, probe)
        try:
            is_same = old.load(account) is not None
        except CorruptTokenError:
            is_same = True  # it is there, under another key
        finally:
            new.delete(account)
    if is_same:
        raise CommandError(
            "--to names the store that is copied from. To change the keys of a store, run:"
            " pipedrive-oauth rotate",
            ExitCode.USAGE,
        )


def rotate_keys(store_url: StoreURL, *, seal_clear: bool, in_json: bool) -> None:
    """Encrypt every token with the first key, and report what was done and what failed."""
    if not store_url.keys:
        raise CommandError(
            "rotate needs the keys, the new one first: --store-keys-file, or"
            " PIPEDRIVE_OAUTH_STORE_KEYS.",
            ExitCode.USAGE,
        )
    from pipedrive_oauth_client.stores import EncryptedTokenStore  # noqa: PLC0415 - an extra

    with store_url.open() as store:
        assert isinstance(store, EncryptedTokenStore)  # noqa: S101 - since there are keys
        with _for_each(store, "Encrypting", "encrypted with the first key") as run:
            tally = run(
                lambda account: (
                    _Outcome.DONE if store.rotate(account, seal_clear=seal_clear) else _Outcome.SAME
                )
            )
    if in_json:
        write_json({"encrypted": tally.done, "unchanged": tally.same, "failed": tally.failed})
    else:
        for account, reason in sorted(tally.failed.items()):
            say(one_line(f"{account}: {reason}"))
        others = f", {tally.same} had it already" if tally.same else ""
        write(f"{tally.done} encrypted with the first key{others}, {len(tally.failed)} failed.\n")
    _raise_failed(tally, "encrypted with the first key; keep the old keys")


@contextmanager
def _for_each(
    store: TokenStore, label: str, done: str
) -> Generator[Callable[[Callable[[str], _Outcome]], _Tally]]:
    """Do something for each account of a store, with a progress bar; an account may fail."""
    accounts = sorted(each for each in store.accounts() if not each.startswith(_PROBE))
    tally = _Tally()

    with progress_bar(label, lambda: len(accounts)) as show:

        def run(work: Callable[[str], _Outcome]) -> _Tally:
            for account in accounts:
                try:
                    tally.add(account, work(account))
                except CorruptTokenError as error:
                    tally.failed[account] = str(error)
                except StoreError as error:
                    # If the whole store fails, this raises; otherwise only this account does.
                    next(iter(store.accounts()), None)
                    tally.failed[account] = str(error)
                if show is not None:
                    show(tally.total, len(tally.failed))
            return tally

        try:
            yield run
        except BaseException:
            if tally.total:
                say(
                    f"{tally.done} accounts were {done}. Run the command again for the rest: what"
                    " is done is skipped."
                )
            raise


def _raise_failed(tally: _Tally, done: str) -> None:
    if tally.failed:
        raise CommandError(
            f"{len(tally.failed)} accounts were not {done}: {listed(sorted(tally.failed))}.",
            ExitCode.SOME_FAILED,
        )
