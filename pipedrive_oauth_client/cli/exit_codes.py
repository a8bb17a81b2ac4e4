"""Exit codes, and the errors that are the command's own."""

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
    """What the command's exit code says."""

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
    INTERRUPTED = 130
    OUTPUT_CLOSED = 141
    TERMINATED = 143

    @property
    def meaning(self) -> str:
        """One line for people."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "Done.",
    ExitCode.UNEXPECTED: "Something went wrong that has no code of its own; --debug shows where.",
    ExitCode.USAGE: "An option or a setting is missing or can't be right; nothing was done.",
    ExitCode.NO_GRANT: "The account has no token, or its grant is over: log in.",
    ExitCode.DECLINED: "Somebody said no: on Pipedrive's page, or to a question of the command.",
    ExitCode.TIMED_OUT: "Nobody came back from the browser in time.",
    ExitCode.PORT_IN_USE: "The port of the redirect URI can't be listened on.",
    ExitCode.WRONG_CALLBACK: "What came back from the browser has a wrong state or no code.",
    ExitCode.NO_ANSWER: "Pipedrive can't be reached, is out of order, too busy, or not understood.",
    ExitCode.REFUSED: "Pipedrive refused: the client ID or secret is wrong, or the request was.",
    ExitCode.STORE: "The store does not work, or what it holds can't be read.",
    ExitCode.SOME_FAILED: "Some accounts were not renewed; they are named.",
    ExitCode.INTERRUPTED: "Stopped by Ctrl-C.",
    ExitCode.OUTPUT_CLOSED: "Whoever read the output has closed it.",
    ExitCode.TERMINATED: "Stopped by SIGTERM.",
}


class CommandError(PipedriveOAuthError):
    """The command can't go on, for a reason that no part of the library knows.

    Attributes:
        code: The exit code.
    """

    def __init__(self, message: str, code: ExitCode) -> None:
        self.code = code
        super().__init__(message)


class OutputClosedError(PipedriveOAuthError):
    """Nobody reads the output any more."""


# The first that fits counts.
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
    """Give the exit code of an error.

    Args:
        error: What ended the command.

    Returns:
        The code.
    """
    if isinstance(error, CommandError):
        return error.code
    for kinds, code in _CODES:
        if isinstance(error, kinds):
            return code
    return ExitCode.UNEXPECTED
