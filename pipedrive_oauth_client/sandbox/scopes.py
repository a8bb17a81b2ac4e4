"""Scopes in words, for the person who is asked to allow them."""

from __future__ import annotations

_WHOLE = {
    "base": "See who you are and the basic settings of your company",
    "admin": "Change the settings of your whole company",
    "recents:read": "See what has changed lately",
    "search:read": "Search in everything that you can see",
    "users:read": "See the people who use your company's account",
    "phone-integration": "Work as your phone",
    "video-calls": "Offer video calls",
    "messengers-integration": "Work as your messenger",
}
_THINGS = {
    "activities": "activities",
    "contacts": "contacts (people and organizations)",
    "deals": "deals",
    "goals": "goals",
    "leads": "leads",
    "mail": "email messages",
    "products": "products",
    "projects": "projects",
    "webhooks": "webhooks",
}
_VERBS = {"read": "See your", "full": "See and change your"}


def in_words(scope: str) -> str:
    """Return what a scope allows, in words.

    Args:
        scope: A scope such as `deals:full`.
    """
    if scope in _WHOLE:
        return _WHOLE[scope]
    thing, _, level = scope.partition(":")
    if thing in _THINGS and level in _VERBS:
        return f"{_VERBS[level]} {_THINGS[thing]}"
    return "Do something that the sandbox has no words for"
