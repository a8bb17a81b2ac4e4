"""Damage to an answer that was right: cut off in the middle, or with other fields in its body."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

import attrs

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.replies import Reply


def cut_short(reply: Reply, sent_bytes: int | None) -> Reply:
    """Return the answer with a body that ends before the length that its header says.

    Args:
        reply: The whole answer.
        sent_bytes: How much of its body is left; half of it if None.
    """
    whole = b"".join(reply.body)
    sent = whole[: len(whole) // 2 if sent_bytes is None else sent_bytes]
    said = max(len(whole), len(sent) + 1)
    shorter = attrs.evolve(reply, body=(sent,), ending="closed")
    return shorter.with_header("content-length", str(said))


def check_fields(fields: Mapping[str, object]) -> None:
    """Refuse fields that no JSON body could have.

    Raises:
        ConfigurationError: A value is not one of JSON's.
    """
    try:
        json.dumps(fields)
    except (TypeError, ValueError) as error:
        raise ConfigurationError("fields holds a value that JSON can't carry.") from error


def override_fields(reply: Reply, fields: Mapping[str, object], without: Collection[str]) -> Reply:
    """Return a success with other fields in its JSON body; any other answer as it is."""
    if reply.status != 200 or ("content-type", "application/json") not in reply.headers:
        return reply
    body: dict[str, object] = json.loads(b"".join(reply.body))
    changed = {**body, **fields}
    kept = {name: value for name, value in changed.items() if name not in without}
    return reply.with_body(json.dumps(kept).encode())
