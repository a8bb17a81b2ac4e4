"""Clients for the Redis store: made from a URL, or given and checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from pipedrive_oauth_client.errors import ConfigurationError

__all__ = ["RedisClient", "checked_client", "client_of"]

RedisClient: TypeAlias = "redis.Redis | redis.RedisCluster"

_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 10.0
_UNUSED_SECONDS: Final = 30


def client_of(url: str) -> redis.Redis:
    """Make a client for the store alone.

    Args:
        url: The address: `redis://`, `rediss://` (TLS) or `unix://`. What it sets counts more
            than what is set here.

    Returns:
        The client, which has no connection yet.

    Raises:
        ConfigurationError: The address can't be right.
    """
    # A database that is no number would be taken for the first one.
    if re.fullmatch(r"rediss?://[^/?#]*(?:/(?!\d*(?:[?#]|$)).*)", url, re.DOTALL):
        raise ConfigurationError(
            "url names a database of Redis that is no number; it is the part behind the host, for"
            " example redis://host:6379/0."
        )
    # redis-py 5 does not compare the name in the certificate unless it is told to.
    tls: dict[str, Any] = {"ssl_check_hostname": True} if url.startswith("rediss://") else {}
    if tls and "ssl_cert_reqs=" in url:
        tls = {}
    from_url: Callable[..., redis.Redis] = getattr(redis.Redis, "from_url")  # noqa: B009 - its types are incomplete
    try:
        client = from_url(
            url,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
            health_check_interval=_UNUSED_SECONDS,
            # The store itself tries each step again, once.
            retry=Retry(NoBackoff(), 0),
            **tls,
        )
        client.connection_pool.make_connection()  # checks the parameters; connects to nothing
    except (ValueError, TypeError, AttributeError, redis.RedisError) as error:
        problem = type(error).__name__  # its text may repeat the URL with its password
    else:
        return client
    raise ConfigurationError(
        "url is no address of a Redis, such as rediss://user:password@host:6379/0, or has a"
        f" parameter that redis-py does not know ({problem})."
    )


def checked_client(client: object) -> RedisClient:
    """Check a client.

    Args:
        client: The client of the app.

    Returns:
        The client.

    Raises:
        ConfigurationError: It is asynchronous, or something else.
    """
    kind = type(client)
    if kind.__module__.startswith("redis.asyncio"):
        raise ConfigurationError(
            "The token store is synchronous and can't use a client of redis.asyncio. Give a"
            " redis.Redis, or a URL."
        )
    if not isinstance(client, redis.Redis | redis.RedisCluster) or isinstance(client, Pipeline):
        raise ConfigurationError(
            f"url_or_client must be a URL, a redis.Redis or a redis.RedisCluster, not"
            f" {kind.__name__}."
        )
    if getattr(client, "connection", None) is not None:
        raise ConfigurationError(
            "The client has single_connection_client=True: threads and forked processes would"
            " share its connection. Give one without."
        )
    return client
