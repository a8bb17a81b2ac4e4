"""Signals: `account_connected`, `account_disconnected` and `grant_ended`.

The sender is the model of the app's accounts, `models.PipedriveAccount` unless `MODEL` says
otherwise, and the argument `name` is the name of the app: `default`, unless `PIPEDRIVE_OAUTH`
describes several. What a receiver raises goes to the caller, except for
`grant_ended`, which is sent from the thread of a renewal: there it is logged.
"""

from __future__ import annotations

from django.dispatch import Signal

__all__ = ["account_connected", "account_disconnected", "grant_ended"]

account_connected = Signal()
"""A token is saved. Arguments: `account`, `connection`, `request`, `name`, and `user`, or None."""

account_disconnected = Signal()
"""A token is deleted. Arguments: `account`, `name`, and `notice`, or None for `disconnect`."""

grant_ended = Signal()
"""The service has rejected a refresh token. Arguments: `account`, `at`, `error` and `name`."""
