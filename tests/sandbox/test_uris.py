from __future__ import annotations

import pytest

from pipedrive_oauth_client.sandbox.urls import content_security_source, is_absolute_uri, with_query


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://a.example/cb", "https://a.example/cb?code=1&state=x%20y"),
        ("https://a.example/cb?", "https://a.example/cb?code=1&state=x%20y"),
        ("https://a.example/cb?t=1", "https://a.example/cb?t=1&code=1&state=x%20y"),
        ("https://a.example/cb?t=1&", "https://a.example/cb?t=1&code=1&state=x%20y"),
        ("https://a.example", "https://a.example?code=1&state=x%20y"),
    ],
)
def test_callback_keeps_the_query_of_its_uri(uri: str, expected: str) -> None:
    """Parameters are added to a redirect URI without touching the query it has."""
    assert with_query(uri, [("code", "1"), ("state", "x y")]) == expected


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://a.example/cb?t=1", "https://a.example"),
        ("http://127.0.0.1:8123/cb", "http://127.0.0.1:8123"),
        ("http://[::1]:8123/cb", "http:"),
    ],
)
def test_source_for_a_policy(uri: str, expected: str) -> None:
    """A policy names the origin, or the scheme where its grammar can't hold the host."""
    assert content_security_source(uri) == expected


@pytest.mark.parametrize(
    "text", ["", "callback", "/cb", "http:", "a b:c", "1http://x", "http://x/ "]
)
def test_not_a_uri(text: str) -> None:
    """Text without a scheme, or with characters that no URI has, is no absolute URI."""
    assert not is_absolute_uri(text)
