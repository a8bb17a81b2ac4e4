from __future__ import annotations

import attrs
import pytest

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import DEFAULT_APP, DEFAULT_USER, OTHER_USER, App, User


def test_app_hides_its_secret() -> None:
    """No text form of an app holds the client secret."""
    assert DEFAULT_APP.client_secret not in repr(DEFAULT_APP) + str(DEFAULT_APP)
    assert DEFAULT_APP.client_id in repr(DEFAULT_APP)


def test_app_is_frozen() -> None:
    """An app can't be changed once it is made."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        DEFAULT_APP.__setattr__("name", "another")


def test_scopes_become_a_tuple() -> None:
    """Any list of scopes is taken and kept in its order."""
    assert attrs.evolve(DEFAULT_APP, scopes=iter(["b", "a"])).scopes == ("b", "a")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", ""),
        ("name", "  "),
        ("name", None),
        ("name", "two\nlines"),
        ("client_id", ""),
        ("client_id", "with:colon"),
        ("client_id", "nul\x00"),
        ("client_secret", ""),
        ("client_secret", "del\x7f"),
        ("client_secret", "half \ud800"),
        ("redirect_uri", "/callback"),
        ("redirect_uri", "//host/callback"),
        ("redirect_uri", "http:///callback"),
        ("redirect_uri", "ftp://host/callback"),
        ("redirect_uri", "javascript:alert(1)"),
        ("redirect_uri", "http://host/callback#part"),
        ("redirect_uri", "http://host/callback#"),
        ("redirect_uri", "http://user:pass@host/callback"),
        ("redirect_uri", "http://host:port/callback"),
        ("redirect_uri", "http://host:99999/callback"),
        ("redirect_uri", "http://[::1/callback"),
        ("redirect_uri", "http://ho;st/callback"),
        ("redirect_uri", "http://host/a b"),
        ("redirect_uri", "http://host/ü"),
        ("redirect_uri", "http://host/%zz"),
        ("redirect_uri", "http://host/\r\nX: y"),
        ("scopes", "base,deals:read"),
        ("scopes", []),
        ("scopes", ["base", "base"]),
        ("scopes", ["deals read"]),
        ("scopes", ["deals,read"]),
        ("scopes", ['deals"read']),
        ("scopes", [""]),
    ],
)
def test_app_refuses(name: str, value: object) -> None:
    """An app that Pipedrive or HTTP could not have is rejected by the name of the field."""
    fields: dict[str, object] = {
        **attrs.asdict(DEFAULT_APP),
        "client_secret": "a-secret-value",
        name: value,
    }
    with pytest.raises(ConfigurationError) as caught:
        App(**fields)  # type: ignore[arg-type]  # wrong types are among what is rejected
    assert name.removesuffix("s") in str(caught.value)
    assert "a-secret-value" not in str(caught.value)


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://127.0.0.1:8123/callback",
        "https://app.example",
        "https://app.example/callback?tenant=1",
        "http://[::1]:8000/callback",
        "http://localhost/%C3%BC",
    ],
)
def test_app_takes_a_redirect_uri(redirect_uri: str) -> None:
    """Absolute http and https URIs are taken as they are written."""
    assert attrs.evolve(DEFAULT_APP, redirect_uri=redirect_uri).redirect_uri == redirect_uri


@pytest.mark.parametrize(
    ("name", "value"),
    [("id", 0), ("id", True), ("id", "1"), ("company_id", -1), ("name", ""), ("email", "a\tb")],
)
def test_user_refuses(name: str, value: object) -> None:
    """A user without a number, a name or an address is rejected by the field."""
    fields: dict[str, object] = {**attrs.asdict(DEFAULT_USER), name: value}
    with pytest.raises(ConfigurationError, match=f"^{name} "):
        User(**fields)  # type: ignore[arg-type]  # wrong types are among what is rejected


def test_default_users_are_of_two_companies() -> None:
    """The two default users belong to two companies."""
    assert DEFAULT_USER.company_id != OTHER_USER.company_id
    assert DEFAULT_USER.company_domain != OTHER_USER.company_domain
