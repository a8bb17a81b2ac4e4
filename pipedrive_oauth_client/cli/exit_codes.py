"""Exit codes, and the errors that only the command raises."""

from __future__ import annotations

from enum import IntEnum

from pipedrive_oauth_client.errors import (
    AuthorizationDeniedError,
    CallbackError,
    ConfigurationError,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuthError,
    RateLimitedError,
    ServerError,
    StoreError,
    TokenNotFoundError,
    TokenRequestError,
    TransportError,
)

__all__ = ["CommandError", "ExitCode", "OutputClosedError", "exit_code_of"]


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    NO_GRANT = 3
    DECLINED = 4
    TIMED_OUT = 5
    PORT_IN_USE = 6
    WRONG_CALLBACK = 7
    NO_ANSWER = 8
    REFUSED = 9
    STORE = 10
    SOME_FAILED = 11
    CHECK_FAILED = 12
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        """One line for the help and the manual."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "Done.",
    ExitCode.UNEXPECTED: "Another error; --debug shows where.",
    ExitCode.USAGE: "An option or a setting is missing or not valid; nothing is done.",
    ExitCode.NO_GRANT: "The account has no token, or its grant has ended: log in.",
    ExitCode.DECLINED: "Access was declined at Pipedrive, or a prompt was answered with no.",
    ExitCode.TIMED_OUT: "The browser did not return in time.",
    ExitCode.PORT_IN_USE: "Cannot listen on the port of the redirect URI.",
    ExitCode.WRONG_CALLBACK: "The callback from the browser has a wrong state or no code.",
    ExitCode.NO_ANSWER: "Pipedrive is not reachable or available, or its response invalid.",
    ExitCode.REFUSED: "Pipedrive rejected the client ID, the secret or the request.",
    ExitCode.STORE: "The store does not work, or its content cannot be read.",
    ExitCode.SOME_FAILED: "Some accounts failed, and the others are done; they are named.",
    ExitCode.CHECK_FAILED: "Something in the setup is wrong; `check` has named it.",
    ExitCode.INTERRUPTED: "Stopped by Ctrl-C.",
    ExitCode.OUTPUT_CLOSED: "The reader of the output closed it.",
    ExitCode.TERMINATED: "Stopped by SIGTERM.",
}


class CommandError(PipedriveOAuthError):
    """The command cannot continue, for a reason that the library has no error for."""

    def __init__(self, message: str, code: ExitCode) -> None:
        self.code = code
        super().__init__(message)


class OutputClosedError(PipedriveOAuthError):
    """The reader of the output closed it."""


# The first match counts: subclasses come before their base classes.
_CODES: tuple[tuple[tuple[type[BaseException], ...], ExitCode], ...] = (
    ((OutputClosedError,), ExitCode.OUTPUT_CLOSED),
    ((AuthorizationDeniedError,), ExitCode.DECLINED),
    ((CallbackError,), ExitCode.WRONG_CALLBACK),
    ((InvalidGrantError, TokenNotFoundError), ExitCode.NO_GRANT),
    ((StoreError,), ExitCode.STORE),
    ((RateLimitedError, ServerError, TransportError, InvalidResponseError), ExitCode.NO_ANSWER),
    ((TokenRequestError,), ExitCode.REFUSED),
    ((ConfigurationError,), ExitCode.USAGE),
    ((KeyboardInterrupt,), ExitCode.INTERRUPTED),
)


def exit_code_of(error: BaseException) -> ExitCode:
    """Give the exit code of an error."""
    if isinstance(error, CommandError):
        return error.code
    for types, code in _CODES:
        if isinstance(error, types):
            return code
    return ExitCode.UNEXPECTED
