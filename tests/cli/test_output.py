"""Error messages, exit codes, prompts and encodings."""

from __future__ import annotations

import getpass
import json
import warnings
from collections.abc import Callable

import pytest
from attrs import evolve

from pipedrive_oauth_client import Token, errors
from pipedrive_oauth_client.cli import output
from pipedrive_oauth_client.cli.exit_codes import CommandError, ExitCode, exit_code_of
from pipedrive_oauth_client.cli.output import OutputOptions, format_error, one_line
from pipedrive_oauth_client.cli.settings import app_settings, store_url_from
from pipedrive_oauth_client.stores import FileTokenStore
from tests.cli.conftest import spawned
from tests.support.locales import ASCII_ONLY, needs_ascii_folder

Grant = Callable[[], Token]


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


def test_terminal_that_cannot_hide_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without hidden input there is no prompt for a secret."""

    def prompt(_prompt: str, stream: object) -> str:
        warnings.warn(f"{stream} shows it", getpass.GetPassWarning, stacklevel=1)
        pytest.fail("it prompted")

    monkeypatch.setattr(getpass, "getpass", prompt)
    with pytest.raises(CommandError, match="cannot hide what is typed"):
        output.ask_hidden("Secret:")


def test_error_is_one_line_without_secrets() -> None:
    """An error is one line without control characters and without known secrets."""
    assert one_line("a\n b\x1b[1m\tc") == "a b [1m c"
    options = OutputOptions(secrets=["p w%/", "xy"])
    error = errors.StoreError("no\nway for p w%/ or p%20w%25%2F or p+w%25%2F and xyz")
    text = format_error(error, ExitCode.STORE, options)
    assert text == "Error: no way for <hidden> or <hidden> or <hidden> and xyz\n"
    assert "p w%/" not in repr(options)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:plant%2Fed@h/0",
        "redis://u:plant/ed@h/0",
        "postgresql://u@h/x?a=b&password=plant/ed#x",
        "postgresql://u:plant/ed@h/x",
    ],
)
def test_traceback_hides_secrets_of_the_settings(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected error that contains a secret is shown without it."""
    monkeypatch.setenv("PIPEDRIVE_CLIENT_SECRET", "planted-client-secret")
    monkeypatch.setenv("PIPEDRIVE_OAUTH_STORE_KEYS", "planted-key-1, planted-key-2")
    options = OutputOptions(debug=True)
    store_url_from(options, url, None)
    app_settings(options, None, None)
    try:
        try:
            raise OSError("plant/ed planted-key-1 planted-key-2")
        except OSError as error:
            raise ValueError("planted-client-secret") from error
    except ValueError as error:
        text = format_error(error, ExitCode.UNEXPECTED, options)
    shown = [line for line in text.splitlines() if not line.startswith("    ")]  # the test's lines
    assert "Traceback (most recent call last):" in shown
    assert "plant" not in "".join(shown)
    assert shown[-1] == "Error: ValueError: <hidden>"
    with pytest.raises(ValueError, match="title") as steering:
        raise ValueError("\x1b]0;title\x07")
    assert not set("\x1b\x07") & set(format_error(steering.value, ExitCode.UNEXPECTED, options))
    options.debug = False
    text = format_error(ValueError("x"), ExitCode.UNEXPECTED, options)
    assert text == "Error: ValueError: x (--debug shows where)\n"


def test_cause_is_part_of_the_message() -> None:
    """If the library's error refers to its cause, the message includes the cause."""
    error = errors.StoreError("It failed; the cause says why.")
    error.__cause__ = OSError("file is\nnot a database, planted-word")
    text = format_error(error, ExitCode.STORE, OutputOptions(secrets=["planted-word"]))
    assert text == "Error: It failed; the cause: file is not a database, <hidden>\n"


@needs_ascii_folder
def test_ascii_locale(environ: dict[str, str], store: FileTokenStore, granted: Grant) -> None:
    """In the locale C, other characters are escaped instead of failing."""
    store.save("łódź", evolve(granted(), scope="naïve"))
    ascii_only = {**ASCII_ONLY, "PYTHONIOENCODING": "ascii"}
    done = spawned({**environ, **ascii_only}, "status")
    assert done.returncode == 0, done.stderr
    assert "\\u0142\\xf3d\\u017a" in done.stdout
    done = spawned({**environ, **ascii_only}, "status", "--json")
    assert json.loads(done.stdout)["accounts"][0]["account"] == "łódź"
