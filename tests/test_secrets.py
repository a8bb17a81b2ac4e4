"""Secrets that are planted everywhere, and everything in which they could be read."""

from __future__ import annotations

import logging
import pprint
from collections.abc import Callable
from typing import Final

import httpx
import pytest

from pipedrive_oauth_client import (
    UNSET,
    AppCredentials,
    AuthenticatedClient,
    Client,
    ConfigurationError,
    GetTokensRequest,
    GetTokensResponse,
    InvalidResponseError,
    OAuthErrorResponse,
    PipedriveOAuthError,
    RefreshTokensRequest,
    Response,
    TransportError,
    UnexpectedStatus,
    basic_auth_header,
)
from pipedrive_oauth_client.generated.response import RawResponse
from tests.support.driver import call
from tests.support.samples import (
    AUTHORIZE,
    CODE,
    GET_TOKENS,
    REFRESH_TOKENS,
    SECRETS,
    SENT_REFRESH_TOKEN,
    TOKENS,
    UNKNOWN_VALUE,
    Operation,
    token_body,
)
from tests.support.sweep import found, visible
from tests.support.tls import UNTRUSTING
from tests.support.untyped import untyped
from tests.support.wire import Wire, always, answer, client_of, once, refusing, silent

pytestmark = pytest.mark.usefixtures("no_proxy")

CLIENT_SECRET: Final = "client-secret-58b1"
CLIENT_TOKEN: Final = "client-token-77aa"
CLIENT_HEADER: Final = "client-header-0c9e"
CLIENT_COOKIE: Final = "client-cookie-4d21"
PROXY_PASSWORD: Final = "proxy-password-e6f0"
ALL_SECRETS: Final = (
    *SECRETS,
    CLIENT_SECRET,
    basic_auth_header("id", CLIENT_SECRET).removeprefix("Basic "),
    CLIENT_TOKEN,
    CLIENT_HEADER,
    CLIENT_COOKIE,
    PROXY_PASSWORD,
)

CLIENT_SETTINGS: Final[dict[str, object]] = {
    "token": CLIENT_TOKEN,
    "headers": {"X-Key": CLIENT_HEADER},
    "cookies": {"session": CLIENT_COOKIE},
    "verify_ssl": UNTRUSTING,
}


def loaded_client(base_url: str, **settings: object) -> AuthenticatedClient:
    """Make a client with a secret in each place that takes one."""
    arguments = {**CLIENT_SETTINGS, **settings}
    return untyped(AuthenticatedClient)(base_url, **arguments)


def token_response() -> GetTokensResponse:
    """Make a good answer with a field beyond the spec."""
    return GetTokensResponse.from_dict({**TOKENS, "unknown": UNKNOWN_VALUE})


def form_with_extra() -> GetTokensRequest:
    """Make a form with a field beyond the spec."""
    form = GetTokensRequest(code=CODE)
    form["code_verifier"] = UNKNOWN_VALUE
    return form


def raw_answer() -> RawResponse:
    """Make an answer as it comes from the wire."""
    return RawResponse(200, httpx.Headers({"X-Token": UNKNOWN_VALUE}), token_body())


def full_response() -> Response[GetTokensResponse]:
    """Make what a detailed function gives."""
    answered = raw_answer()
    return Response(200, answered.content, answered.headers, token_response())


HOLDERS: Final[list[Callable[[], object]]] = [
    token_response,
    form_with_extra,
    lambda: RefreshTokensRequest(refresh_token=SENT_REFRESH_TOKEN),
    lambda: OAuthErrorResponse.from_dict({"error": "invalid_grant", "hint": UNKNOWN_VALUE}),
    raw_answer,
    full_response,
    lambda: loaded_client("https://oauth.example"),
    lambda: Client(
        headers={"Authorization": CLIENT_TOKEN},
        cookies={"session": CLIENT_COOKIE},
        httpx_args={"auth": ("id", CLIENT_SECRET), "proxy": f"http://u:{PROXY_PASSWORD}@p:1"},
    ),
    lambda: loaded_client("https://oauth.example").with_headers({"X": CLIENT_HEADER}),
    lambda: AppCredentials("id", CLIENT_SECRET, "https://app.example.com/callback"),
]


@pytest.mark.parametrize("make", HOLDERS)
@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        pprint.pformat,
        lambda value: f"{value!r:>400}",
        lambda value: "%s %r" % (value, value),  # noqa: UP031 - as `logging` does it
        lambda value: repr([{"value": (value,)}]),
        lambda value: str(ValueError(value)),
    ],
    ids=["repr", "str", "format", "pprint", "f-string", "percent", "container", "exception"],
)
def test_nothing_that_holds_a_secret_shows_it(
    make: Callable[[], object], show: Callable[[object], str]
) -> None:
    """No way of writing an object out has a secret in it."""
    shown = show(make())
    assert type(make()).__name__ in shown
    assert found(shown, ALL_SECRETS) == []


def test_a_repr_still_says_what_is_no_secret() -> None:
    """What helps with an error stays visible, and so does whether a secret is there at all."""
    shown = repr(token_response())
    assert "token_type='Bearer'" in shown
    assert "expires_in=3599" in shown
    assert "access_token=<hidden>" in shown
    assert "refresh_token=UNSET" in repr(GetTokensResponse("a", "Bearer", 1))
    assert "<1 hidden>" in shown
    assert "200" in repr(full_response())
    assert f"<{len(token_body())} bytes>" in repr(full_response())


# --- Logs ---


def logged(caplog: pytest.LogCaptureFixture) -> str:
    """Give all that the log records hold, formatted or not."""
    return "\n".join(f"{record.getMessage()}\n{record.__dict__!r}" for record in caplog.records)


@pytest.mark.parametrize("operation", [AUTHORIZE, GET_TOKENS, REFRESH_TOKENS], ids=lambda o: o[1])
def test_no_log_record_of_an_exchange_shows_a_secret(
    mode: str, operation: Operation, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger at its most talkative, an exchange logs no secret."""
    body = token_body(unknown=UNKNOWN_VALUE)
    with caplog.at_level(logging.DEBUG), Wire(always(answer(body))) as wire:
        client = loaded_client(wire.url)
        call(mode, operation.module, client=client, **operation.arguments)
    loggers = {record.name.split(".")[0] for record in caplog.records}
    assert loggers >= {"httpx", "httpcore"}
    assert found(wire.received.decode("ascii"), ALL_SECRETS) != [], "secrets were sent"
    assert found(logged(caplog), ALL_SECRETS) == []


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"token": f"{CLIENT_TOKEN}\n"}, id="token"),
        pytest.param({"headers": {"X-Key": f"{CLIENT_HEADER}\n"}}, id="header"),
        pytest.param({"cookies": {"session": f"{CLIENT_COOKIE}\n"}}, id="cookie"),
    ],
)
def test_no_log_record_of_a_refused_setting_shows_it(
    mode: str, settings: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    """A secret with a line break, as files end with one, is refused before anybody can log it."""
    with (
        caplog.at_level(logging.DEBUG),
        Wire(always(answer())) as wire,
        pytest.raises(ConfigurationError) as caught,
    ):
        call(
            mode,
            AUTHORIZE.module,
            client=loaded_client(wire.url, **settings),
            **AUTHORIZE.arguments,
        )
    assert wire.received == b""
    assert found(visible(caught.value), ALL_SECRETS) == []
    assert found(logged(caplog), ALL_SECRETS) == []


# --- Errors ---


def caught_from(
    mode: str, operation: Operation, client: Client, expected: type[PipedriveOAuthError]
) -> str:
    """Make a call that fails as expected, and give all that can be seen of the error."""
    with pytest.raises(expected) as caught:
        call(mode, operation.module, client=client, **operation.arguments)
    return visible(caught.value)


def test_the_sweep_of_an_error_finds_what_is_planted() -> None:
    """The check below fails where a secret is in a text, an argument, an attribute or a cause."""

    class Error(Exception):
        pass

    def raised(error: Exception, cause: Exception | None) -> Exception:
        try:
            try:
                raise cause or ValueError
            except ValueError:
                raise error from None
        except Error as caught:
            return caught

    attributed = Error()
    attributed.__dict__["body"] = token_body()
    noted = Error()
    noted.add_note(CODE)
    for error, cause in [
        (Error(CODE), None),
        (attributed, None),
        (noted, None),
        (Error(), ValueError(CODE)),
        (Error(), UnicodeEncodeError("ascii", CODE, 0, 1, "")),
    ]:
        assert found(visible(raised(error, cause)), SECRETS) != []
    assert found(visible(raised(Error("harmless"), None)), SECRETS) == []


def test_no_error_without_an_answer_shows_a_secret(mode: str, grant: Operation) -> None:
    """Connections that fail leave no secret in what is raised."""
    with refusing() as authority:
        client = loaded_client(f"http://{authority}")
        assert found(caught_from(mode, grant, client, TransportError), ALL_SECRETS) == []
    with Wire(silent) as wire:
        client = loaded_client(wire.url, timeout=httpx.Timeout(20, read=0.05))
        assert found(caught_from(mode, grant, client, TransportError), ALL_SECRETS) == []


BODY: Final = token_body(unknown=UNKNOWN_VALUE)
BAD_ANSWERS: Final = [
    pytest.param(answer(BODY[:-1]), InvalidResponseError, id="not json"),
    pytest.param(answer(b"[" + BODY + b"]"), InvalidResponseError, id="no object"),
    pytest.param(
        answer(token_body(expires_in=[UNKNOWN_VALUE])), InvalidResponseError, id="wrong field"
    ),
    pytest.param(
        answer(token_body(access_token=f"{UNKNOWN_VALUE}\n")),
        InvalidResponseError,
        id="wrong characters",
    ),
    pytest.param(answer(BODY, status=201), UnexpectedStatus, id="unexpected status"),
    pytest.param(answer(b"[" + BODY + b"]", status=400), InvalidResponseError, id="error answer"),
    pytest.param(answer(BODY + b" " * 2000), InvalidResponseError, id="too large"),
    pytest.param(
        answer(BODY, headers={"Content-Encoding": "gzip"}),
        InvalidResponseError,
        id="broken compression",
    ),
    pytest.param(answer(BODY)[:-1], TransportError, id="cut off"),
    # The next ones are what a broken proxy makes of a token answer. The error of httpx quotes the
    # line that it stumbles over.
    pytest.param(BODY + b"\r\n\r\n", TransportError, id="no head"),
    pytest.param(
        b"HTTP/1.1 200 OK\r\n" + BODY + b"\r\n\r\n", TransportError, id="body among the headers"
    ),
    pytest.param(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + BODY + b"\r\n",
        TransportError,
        id="said to be chunked",
    ),
    pytest.param(
        b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://[" + BODY + b"\r\n\r\n",
        PipedriveOAuthError,
        id="redirect to no url",
    ),
]


@pytest.mark.parametrize(("data", "expected"), BAD_ANSWERS)
def test_no_error_of_an_answer_shows_a_secret(
    mode: str, grant: Operation, data: bytes, expected: type[PipedriveOAuthError]
) -> None:
    """An answer that can't be used leaves none of its content in what is raised."""
    with Wire(once(data)) as wire:
        client = loaded_client(
            wire.url, raise_on_unexpected_status=True, max_response_bytes=len(BODY) + 1000
        )
        shown = caught_from(mode, grant, client, expected)
    assert found(wire.received.decode("ascii"), SECRETS) != [], "secrets were sent"
    assert found(shown, ALL_SECRETS) == []


def test_a_server_that_echoes_the_request_gets_no_secret_into_an_error(
    mode: str, grant: Operation
) -> None:
    """What was sent does not come back in the error of an answer that is no HTTP."""
    with Wire(lambda peer: peer.send(peer.read_request().split(b"\r\n", 1)[1])) as wire:
        shown = caught_from(mode, grant, loaded_client(wire.url), TransportError)
    assert found(shown, ALL_SECRETS) == []


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"token": f"{CLIENT_TOKEN}\u00e9"}, id="token"),
        pytest.param({"headers": {"X-Key": f"{CLIENT_HEADER}\u00e9"}}, id="header"),
        pytest.param({"headers": {"X-Key": [CLIENT_HEADER]}}, id="list as a header"),
        pytest.param({"headers": {f"{CLIENT_HEADER}\u00e9": "v"}}, id="name of a header"),
        pytest.param({"cookies": {"session": f"{CLIENT_COOKIE}\u043e"}}, id="cookie"),
        pytest.param({"cookies": {"session": [CLIENT_COOKIE]}}, id="list as a cookie"),
    ],
)
def test_no_error_of_a_setting_shows_it(mode: str, settings: dict[str, object]) -> None:
    """A header or a cookie that can't be sent is refused without being repeated."""
    with Wire(always(answer())) as wire, pytest.raises(ConfigurationError) as caught:
        call(
            mode,
            AUTHORIZE.module,
            client=loaded_client(wire.url, **settings),
            **AUTHORIZE.arguments,
        )
    assert wire.received == b""
    assert found(visible(caught.value), ALL_SECRETS) == []


@pytest.mark.parametrize(
    "base_url",
    [
        f"https://user:{PROXY_PASSWORD}@oauth.example",
        f"https://{PROXY_PASSWORD}@oauth.example",
        f"https://oauth.example/?token={PROXY_PASSWORD}",
        f"https://oauth.example/#{PROXY_PASSWORD}",
        f"https://oauth.example:{PROXY_PASSWORD}",
        f"https://[{PROXY_PASSWORD}",
        f"{PROXY_PASSWORD}://oauth.example",
        f"https://xn--{PROXY_PASSWORD}\u00e9\ud800",
    ],
)
def test_no_error_of_a_base_url_repeats_it(base_url: str) -> None:
    """A base URL may hold a password by mistake, so its error does not repeat it."""
    with pytest.raises(ConfigurationError, match="base_url") as caught:
        client_of(base_url)
    assert found(visible(caught.value), [PROXY_PASSWORD]) == []


def test_an_unset_secret_is_not_called_hidden() -> None:
    """Whether there is a secret at all may be seen."""
    assert "code=UNSET" in repr(GetTokensRequest(code=UNSET))
    assert "code=<hidden>" in repr(GetTokensRequest(code=""))
