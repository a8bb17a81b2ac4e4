from __future__ import annotations

import copy
import inspect
import pickle
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipedrive_oauth_client import errors
from pipedrive_oauth_client.errors import (
    AuthorizationDeniedError,
    GrantEndedError,
    InvalidResponseError,
    MissingScopesError,
    PipedriveOAuthError,
    TokenRequestError,
    TransportError,
    UnexpectedStatus,
)

# Each error with the one that it descends from, as the project's design has it.
DESIGN = {
    "PipedriveOAuthError": "Exception",
    "ConfigurationError": "PipedriveOAuthError",
    "CallbackError": "PipedriveOAuthError",
    "AuthorizationDeniedError": "CallbackError",
    "StateMismatchError": "CallbackError",
    "TokenRequestError": "PipedriveOAuthError",
    "InvalidGrantError": "TokenRequestError",
    "GrantEndedError": "InvalidGrantError",
    "InvalidClientError": "TokenRequestError",
    "RateLimitedError": "TokenRequestError",
    "ServerError": "TokenRequestError",
    "TransportError": "PipedriveOAuthError",
    "InvalidResponseError": "PipedriveOAuthError",
    "MissingScopesError": "PipedriveOAuthError",
    "UnusableAccessTokenError": "InvalidResponseError",
    "SignedTokenError": "PipedriveOAuthError",
    "StoreError": "PipedriveOAuthError",
    "TokenNotFoundError": "StoreError",
    "StoreLockTimeoutError": "StoreError",
    "CorruptTokenError": "StoreError",
}

CLASSES: dict[str, type[PipedriveOAuthError]] = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, PipedriveOAuthError)
}

ARGUMENTS: dict[type[PipedriveOAuthError], dict[str, Any]] = {
    TokenRequestError: {
        "status_code": 400,
        "error": "planted-error",
        "description": "planted-description",
        "retry_after": timedelta(seconds=90),
    },
    GrantEndedError: {
        "account": "acme",
        "since": datetime(2030, 1, 1, tzinfo=UTC),
        "status_code": 400,
        "error": "planted-error",
        "description": "planted-description",
        "retry_after": timedelta(seconds=90),
    },
    MissingScopesError: {"missing": frozenset({"deals:full"})},
    AuthorizationDeniedError: {"error": "planted-error", "description": "planted-description"},
    TransportError: {"maybe_sent": True},
    InvalidResponseError: {"field": "data.items[1].id", "status_code": 200},
    UnexpectedStatus: {"content": b"planted-content"},
}

for_each_class = pytest.mark.parametrize("name", CLASSES)


def arguments(error_class: type[PipedriveOAuthError]) -> dict[str, Any]:
    """Give the keyword arguments that a class takes, its own or those of the class above."""
    return next((ARGUMENTS[base] for base in error_class.__mro__ if base in ARGUMENTS), {})


def make(name: str) -> PipedriveOAuthError:
    """Make an error with all its attributes."""
    first: Any = 302 if name == "UnexpectedStatus" else "It happened. Do this."
    return CLASSES[name](first, **arguments(CLASSES[name]))


def tree() -> dict[str, str]:
    """Give each class with the one that it descends from."""
    # One class is an ImportError as well.
    shared = [name for name, each in CLASSES.items() if len(each.__bases__) > 1]
    assert shared == ["MissingExtraError"]
    return {name: each.__bases__[0].__name__ for name, each in CLASSES.items()}


def drawn(text: str) -> dict[str, str]:
    """Read a tree that is drawn with lines: each name with the one that it hangs from."""
    found: dict[str, str] = {}
    above = ["Exception"]
    for line in text.splitlines():
        match = re.match(r"^    ((?:│   |    )*)(├── |└── )?([A-Z]\w*)(?:\s{2,}\S.*)?$", line)
        if match is None:
            continue
        indent, branch, name = match.groups()
        depth = len(indent) // 4 + (2 if branch else 1)
        found[name] = above[depth - 1]
        above[depth:] = [name]
    return found


def test_drawing_is_read_by_its_lines() -> None:
    """The reader of the drawing tells levels apart and sees a class in the wrong place."""
    picture = "    A\n    ├── B     words\n    │   └── C     words\n    └── D\n"
    assert drawn(picture) == {"A": "Exception", "B": "A", "C": "B", "D": "A"}
    assert drawn(picture.replace("│   └", "├")) != drawn(picture)


def test_tree_is_the_one_that_is_drawn() -> None:
    """The tree in the module's docstring is that of the classes, none missing and none more."""
    assert drawn(errors.__doc__ or "") == tree()


def test_tree_is_the_one_of_the_design() -> None:
    """Every error that users were promised is there, below the class that they were told."""
    found = tree()
    assert {name: found[name] for name in DESIGN} == DESIGN
    assert found.keys() - DESIGN.keys() == {"MissingExtraError", "UnexpectedStatus"}
    assert issubclass(errors.MissingExtraError, ImportError)


def test_all_errors_are_public() -> None:
    """The module hands out all of the errors and nothing else, in alphabetical order."""
    assert errors.__all__ == sorted(CLASSES)


@for_each_class
def test_error_says_what_it_is(name: str) -> None:
    """Each class opens its docstring with a sentence and describes each of its attributes."""
    doc = inspect.getdoc(CLASSES[name]) or ""
    assert doc != inspect.getdoc(CLASSES[name].__base__)
    assert re.match(r"[A-Z][^\n]+(\n[^\n]+)*\.(\n\n|$)", doc)
    own = CLASSES[name].__dict__.get("__init__")
    for attribute in vars(make(name)) if own else ():
        assert f"    {attribute}: " in doc


@for_each_class
def test_error_keeps_its_attributes(name: str) -> None:
    """What is passed by keyword is an attribute, and there is no other way to pass it."""
    error = make(name)
    for attribute, value in arguments(CLASSES[name]).items():
        assert getattr(error, attribute) == value
    if not isinstance(error, InvalidResponseError | UnexpectedStatus):
        assert str(error) == "It happened. Do this."


@for_each_class
@pytest.mark.parametrize("protocol", [0, pickle.HIGHEST_PROTOCOL])
def test_error_survives_pickling(name: str, protocol: int) -> None:
    """An error comes back from pickling with its class, its text, its attributes and its notes."""
    error = make(name)
    error.add_note("on account 7")
    back = pickle.loads(pickle.dumps(error, protocol))  # noqa: S301
    assert type(back) is CLASSES[name]
    assert (str(back), back.args, vars(back)) == (str(error), error.args, vars(error))


@for_each_class
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_error_survives_copying(name: str, copied: Any) -> None:
    """A copy has the class, the text and the attributes of the original."""
    error = make(name)
    back = copied(error)
    assert type(back) is CLASSES[name]
    assert back is not error
    assert (str(back), back.args, vars(back)) == (str(error), error.args, vars(error))


@for_each_class
def test_text_carries_nothing_of_the_answer(name: str) -> None:
    """What a service or a browser sent is an attribute, and no part of the text."""
    error = make(name)
    assert "planted" not in str(error)
    assert "planted" not in repr(error)
    assert "planted" not in str(error.args)


@for_each_class
def test_error_keeps_its_cause(name: str) -> None:
    """An error that is raised from another one has it as its cause."""
    cause = OSError("disk")
    with pytest.raises(PipedriveOAuthError) as caught:
        raise make(name) from cause
    assert caught.value.__cause__ is cause


def test_refusal_needs_only_its_status() -> None:
    """What the service did not say is None."""
    error = TokenRequestError("No.", status_code=500)
    assert (error.status_code, error.error, error.description, error.retry_after) == (
        500,
        None,
        None,
        None,
    )


def test_refusal_needs_its_status() -> None:
    """A refusal without a status can't be made, nor one with arguments by position."""
    make_refusal: Any = TokenRequestError
    for positional, named in (((), {}), ((400,), {}), ((400, "invalid_grant"), {"status_code": 1})):
        with pytest.raises(TypeError):
            make_refusal("No.", *positional, **named)


def test_invalid_response_says_what_and_where() -> None:
    """The text names the problem and the status, and what to look at."""
    answer = InvalidResponseError("field 'x' is missing", field="x", status_code=200)
    assert "field 'x' is missing" in str(answer)
    assert "200" in str(answer)
    assert "base_url" in str(answer)
    assert "status" not in str(InvalidResponseError("field 'x' is missing", field="x"))


def test_ended_grant_needs_its_account_and_time() -> None:
    """What it says of the earlier response has a default; it is caught as a rejected grant."""
    since = datetime(2030, 1, 1, tzinfo=UTC)
    error = GrantEndedError("No.", account="acme", since=since)
    assert (error.account, error.since) == ("acme", since)
    assert (error.status_code, error.error, error.description) == (400, "invalid_grant", None)
    assert isinstance(error, errors.InvalidGrantError)


def test_missing_scopes_are_a_set() -> None:
    """Whatever the scopes come in, each is there once."""
    assert MissingScopesError("No.", missing=["b", "a", "b"]).missing == frozenset({"a", "b"})
