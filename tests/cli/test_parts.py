"""The pure parts: spans, addresses of stores, exit codes, reports."""

from __future__ import annotations

import getpass
import warnings
from datetime import timedelta
from pathlib import Path

import pytest

from pipedrive_oauth_client import errors
from pipedrive_oauth_client.cli import output as terminal
from pipedrive_oauth_client.cli.callback_server import Loopback, loopback_of
from pipedrive_oauth_client.cli.exit_codes import CommandError, ExitCode, exit_code_of
from pipedrive_oauth_client.cli.output import OutputOptions, format_error, one_line
from pipedrive_oauth_client.cli.settings import app_settings, store_url_from
from pipedrive_oauth_client.cli.status import format_duration, format_relative, parse_duration
from pipedrive_oauth_client.cli.store_url import StoreURL, folder_from_url, redact_url
from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.stores import MemoryTokenStore


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7199, "119 minutes"),
        (7200, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (5_184_000, "60 days"),
    ],
)
def test_span_in_words(seconds: int, words: str) -> None:
    """A span is said in its largest unit of which there are two, and never as more than it is."""
    assert format_duration(timedelta(seconds=seconds)) == words
    assert format_relative(timedelta(seconds=seconds)) == f"in {words}"
    if seconds:
        assert format_relative(timedelta(seconds=-seconds)) == f"{words} ago"


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        (" 12H ", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("8w", timedelta(weeks=8)),
        ("0d", timedelta(0)),
    ],
)
def test_read_span(text: str, span: timedelta) -> None:
    """A span is a number and a unit."""
    assert parse_duration(text) == span


SHOWN = {
    "memory:": "memory",
    "file:///srv/tokens": "file /srv/tokens",
    "file:///srv/a%20b": "file /srv/a b",
    "sqlite:////srv/tokens.db": "sqlite:////srv/tokens.db",
    "postgresql+psycopg://u:PW@db:5432/app?sslmode=require": "postgresql+psycopg://db:5432/app",
    "postgresql://u:PW/PW@db/app": "postgresql://db/app",
    "postgresql://u:PW@PW@db/app": "postgresql://db/app",
    "postgresql://u:PW?PW#PW@db/app": "postgresql://...",
    "redis://cache/0?password=PW@PW": "redis://...",
    "sqlite+pysqlcipher://:PW@/srv/tokens.db": "sqlite+pysqlcipher:///srv/tokens.db",
    "sqlite:////srv/a@b.db": "sqlite:////srv/a@b.db",
    "file:///srv/%1b%5b31m\x07": "file /srv/ [31m",
    "mysql+pymysql://db/app?password=PW": "mysql+pymysql://db/app",
    "redis://:PW@cache:6379/0": "redis://cache:6379/0",
    "rediss://PW@cache/0?password=PW#PW": "rediss://cache/0",
    "unix://u:PW@/run/redis.sock?db=0": "unix:///run/redis.sock",
    "postgres:PW@db": "(an address that can't be read)",
    "PW": "(an address that can't be read)",
    "": "(an address that can't be read)",
}


@pytest.mark.parametrize(("url", "shown"), SHOWN.items())
def test_shown_url_has_no_password(url: str, shown: str) -> None:
    """What is shown of a store's address is its kind and its place, and never the password."""
    assert redact_url(url) == shown
    assert "PW" not in repr(StoreURL(url, keys=("PW",))) + StoreURL(url).shown


@pytest.mark.parametrize(
    "url", ["PW", "", "file:", "file:///", "file://host/PW", "https://PW", "postgres://u:PW@h/x"]
)
def test_wrong_address_is_refused_unseen(url: str) -> None:
    """What is no address of a store is refused, and not repeated."""
    with (
        pytest.raises(ConfigurationError) as caught,
        StoreURL(url).opened(),
    ):
        pass
    assert "PW" not in str(caught.value)


def test_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses lead to the stores that they name."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder_from_url("file:///srv/a%20b") == Path("/srv/a b")
    assert folder_from_url("file:~/tokens") == tmp_path / "tokens"
    assert folder_from_url("file:tokens") == Path("tokens")
    with StoreURL("memory:").opened() as store:
        assert isinstance(store, MemoryTokenStore)
    with StoreURL(f"sqlite:///{tmp_path}/t.db", "mine").opened() as store:
        assert "table='mine'" in repr(store)
    with StoreURL("redis://127.0.0.1:1/0", "{mine}").opened() as store:
        assert "prefix='{mine}'" in repr(store)
    with pytest.raises(ConfigurationError, match="store-name"), StoreURL("memory:", "x").opened():
        pass


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("http://127.0.0.1:8123/callback", Loopback("127.0.0.1", 8123, "/callback")),
        ("http://localhost:1/a/b?c=d", Loopback("localhost", 1, "/a/b")),
        ("http://[::1]:99", Loopback("::1", 99, "/")),
        ("HTTP://LOCALHOST/x", Loopback("localhost", 80, "/x")),
        ("https://127.0.0.1:8123/callback", None),
        ("http://127.0.0.1.example.com:8123/callback", None),
        ("http://app.example.com/callback", None),
        ("com.example.app:/callback", None),
    ],
)
def test_loopback_of(uri: str, address: Loopback | None) -> None:
    """Only plain http to this machine can be listened for."""
    assert loopback_of(uri) == address


CODES = {
    errors.ConfigurationError("x"): 2,
    errors.TokenNotFoundError("x"): 3,
    errors.InvalidGrantError("x", status_code=400): 3,
    errors.AuthorizationDeniedError("x", error="e"): 4,
    errors.StateMismatchError("x"): 7,
    errors.CallbackError("x"): 7,
    errors.TransportError("x", maybe_sent=False): 8,
    errors.ServerError("x", status_code=500): 8,
    errors.RateLimitedError("x", status_code=429): 8,
    errors.InvalidResponseError("x"): 8,
    errors.InvalidClientError("x", status_code=401): 9,
    errors.TokenRequestError("x", status_code=400): 9,
    errors.StoreError("x"): 10,
    errors.StoreLockTimeoutError("x"): 10,
    errors.CorruptTokenError("x"): 10,
    KeyboardInterrupt(): 130,
    RuntimeError("x"): 1,
    errors.PipedriveOAuthError("x"): 1,
}


@pytest.mark.parametrize(("error", "code"), CODES.items(), ids=lambda each: type(each).__name__)
def test_exit_codes(error: BaseException, code: int) -> None:
    """Each kind of error has its exit code."""
    assert exit_code_of(error) == code


def test_terminal_that_can_not_hide_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an answer would be shown, it is not asked for."""

    def shown(_question: str, stream: object) -> str:
        warnings.warn(f"{stream} shows it", getpass.GetPassWarning, stacklevel=1)
        pytest.fail("it was asked for")

    monkeypatch.setattr(getpass, "getpass", shown)
    with pytest.raises(CommandError, match="can't ask without showing"):
        terminal.ask_hidden("Secret:")


def test_report_is_one_line_and_hides() -> None:
    """A report is one line without control characters, and hides what it was told to hide."""
    assert one_line("a\n b\x1b[1m\tc") == "a b [1m c"
    output = OutputOptions(secrets=["p w%/", "xy"])
    error = errors.StoreError("no\nway for p w%/ or p%20w%25%2F or p+w%25%2F and xyz")
    text = format_error(error, ExitCode.STORE, output)
    assert text == "Error: no way for <hidden> or <hidden> or <hidden> and xyz\n"
    assert "p w%/" not in repr(output)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:plant%2Fed@h/0",
        "redis://u:plant/ed@h/0",
        "postgresql://u@h/x?a=b&password=plant/ed#x",
        "postgresql://u:plant/ed@h/x",
    ],
)
def test_traceback_hides_what_the_settings_have_read(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even an error of somebody else's that repeats a secret is shown without it."""
    monkeypatch.setenv("PIPEDRIVE_CLIENT_SECRET", "planted-client-secret")
    monkeypatch.setenv("PIPEDRIVE_OAUTH_STORE_KEYS", "planted-key-1, planted-key-2")
    output = OutputOptions(debug=True)
    store_url_from(output, url, None)
    app_settings(output, None, None)
    try:
        try:
            raise OSError("plant/ed planted-key-1 planted-key-2")
        except OSError as error:
            raise ValueError("planted-client-secret") from error
    except ValueError as error:
        text = format_error(error, ExitCode.UNEXPECTED, output)
    shown = [line for line in text.splitlines() if not line.startswith("    ")]  # the test's lines
    assert "Traceback (most recent call last):" in shown
    assert "plant" not in "".join(shown)
    assert shown[-1] == "Error: ValueError: <hidden>"
    with pytest.raises(ValueError, match="title") as steering:
        raise ValueError("\x1b]0;title\x07")
    assert not set("\x1b\x07") & set(format_error(steering.value, ExitCode.UNEXPECTED, output))
    output.debug = False
    text = format_error(ValueError("x"), ExitCode.UNEXPECTED, output)
    assert text == "Error: ValueError: x (--debug shows where)\n"


def test_cause_is_named_where_it_says_why() -> None:
    """Where the library's error leaves the reason to its cause, the line has it."""
    error = errors.StoreError("It failed; the cause says why.")
    error.__cause__ = OSError("file is\nnot a database, planted-word")
    text = format_error(error, ExitCode.STORE, OutputOptions(secrets=["planted-word"]))
    assert text == "Error: It failed; the cause: file is not a database, <hidden>\n"
