"""The texts of network failures: which host, by way of which proxy, for what reason.

Nothing of a request is repeated, and of a proxy's address only what holds no password.
"""

import errno
import os
import re
import socket
import ssl
from typing import Any, Final
from urllib.request import getproxies

import httpx


def unsent(operation: str, request: httpx.Request, error: Exception, client: Any) -> str:
    """Say why no connection was made for a request, and what to do.

    `client` is the `httpx` client that would have sent it.
    """
    proxy = _proxy_of(client, request.url)
    through = f" through {proxy}" if proxy else ""
    reason, advice = _reason(error, request, proxy)
    return (
        f"Cannot connect to {_origin(request.url)}{through}: {reason}. Nothing was sent"
        f" ({operation}). {advice}, then try again."
    )


def interrupted(operation: str, request: httpx.Request, error: Exception) -> str:
    """Say how a connection failed after a request may have been sent."""
    server = _origin(request.url)
    if isinstance(error, httpx.TimeoutException):
        seconds = _seconds(request, "write" if isinstance(error, httpx.WriteTimeout) else "read")
        happened = f"timed out: no response from {server}{seconds}"
    else:
        happened = f"failed: the connection to {server} broke ({type(error).__name__})"
    return (
        f"{operation} {happened}. The service may have acted on it: read the operation's"
        " description before you repeat it."
    )


def settings_problem(error: Exception, *, own_proxy: bool) -> str | None:
    """Say which variable of the environment made `httpx` fail, if one did."""
    if isinstance(error, ImportError):
        return _missing_socks(error, own_proxy=own_proxy)
    if isinstance(error, OSError):
        return certificates_problem(error)
    if own_proxy:
        return None
    proxies = getproxies()
    for scheme in _SCHEMES:
        given = proxies.get(scheme)
        if given and not _is_proxy(given):
            return (
                f"The proxy address in the environment variable {_variable(scheme)} is not valid."
            )
    for host in _excluded():
        if not _is_exclusion(host):
            # Hosts are no secrets; a name with @ might be a mistaken password.
            shown = f" ({host})" if re.fullmatch(r"[\w.:/*\[\]-]{1,100}", host) else ""
            return (
                f"The environment variable NO_PROXY has an entry that httpx cannot read{shown}."
                " List names and single addresses, separated by commas; httpx reads no networks."
            )
    return None


def certificates_problem(error: OSError) -> str | None:
    """Say why the certificates that the environment names can't be loaded, if it names any."""
    path = os.environ.get("SSL_CERT_FILE")
    if not path:
        return None
    if isinstance(error, ssl.SSLError):
        reason = "it holds no certificate in the form of PEM"
    else:
        reason = _system_reason(error)
    return (
        f"Cannot read the certificates to trust from {_printable(path)}: {reason}. Correct the"
        " environment variable SSL_CERT_FILE, or remove it."
    )


_SCHEMES: Final = ("http", "https", "all")


def _variable(scheme: str) -> str:
    return f"{scheme.upper()}_PROXY"


def _excluded() -> list[str]:
    return [each.strip() for each in getproxies().get("no", "").split(",") if each.strip()]


def _is_proxy(address: str) -> bool:
    try:
        httpx.Proxy(address if "://" in address else f"http://{address}")
    except (ValueError, httpx.InvalidURL):
        return False
    return True


def _is_exclusion(host: str) -> bool:
    # The patterns that httpx makes of the entries.
    is_v6 = "://" not in host and re.fullmatch(r"[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(/.*)?", host)
    try:
        httpx.URL(host if "://" in host else f"all://[{host}]" if is_v6 else f"all://*{host}")
    except (httpx.InvalidURL, ValueError):
        return False
    return True


def _missing_socks(error: ImportError, *, own_proxy: bool) -> str | None:
    if "socks" not in str(error).lower():
        return None
    named = [
        scheme
        for scheme, address in getproxies().items()
        if scheme in _SCHEMES and address.lower().startswith("socks")
    ]
    what = "The proxy in httpx_args"
    if not own_proxy:
        if not named:
            return None
        what = f"The environment variable {_variable(named[0])}"
    return (
        f"{what} names a SOCKS proxy, which needs another package: pip install 'httpx[socks]'."
        " Or name an http:// proxy."
    )


def _origin(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _proxy_of(client: Any, url: httpx.URL) -> str | None:
    """Describe the proxy that `httpx` takes for a URL, without user and password."""
    # httpx doesn't tell in public. Where its inner names are others, no proxy is named.
    choose = getattr(client, "_transport_for_url", None)
    pool = getattr(choose(url) if callable(choose) else None, "_pool", None)
    proxy: Any = getattr(pool, "_proxy_url", None)
    if proxy is None:
        return None
    try:
        address = httpx.URL(scheme=proxy.scheme.decode(), host=proxy.host.decode(), port=proxy.port)
    except (AttributeError, TypeError, ValueError, httpx.InvalidURL):
        return None
    for scheme in (url.scheme, "all"):
        given = getproxies().get(scheme, "") if client.trust_env else ""
        if given and _is_proxy(given):
            named = httpx.URL(given if "://" in given else f"http://{given}")
            if (named.scheme, named.host) == (address.scheme, address.host):
                return f"the proxy {_origin(address)} ({_variable(scheme)})"
    return f"the proxy {_origin(address)}"


_CHECK_PROXY: Final = "Check the proxy, or exclude the host from it in the variable NO_PROXY"


def _reason(error: Exception, request: httpx.Request, proxy: str | None) -> tuple[str, str]:
    """Give the reason and the advice, by the exceptions that led to the given one."""
    advice = "Check the address and the network"
    if proxy:
        advice = _CHECK_PROXY
        if any("/" in host and "://" not in host for host in _excluded()):
            advice += " (httpx reads no networks there, only names and single addresses)"
    cause: Any = error
    for _ in range(10):
        if isinstance(cause, ssl.SSLCertVerificationError):
            advice = _certificate_advice(cause)
        reason = _reason_of(cause, request)
        if reason is not None:
            return reason, advice
        group = getattr(cause, "exceptions", None)  # anyio has one for each address of a host
        if group:
            cause = group[0]
        elif cause is not None:
            cause = cause.__cause__ or cause.__context__
    return type(error).__name__, advice


def _reason_of(error: object, request: httpx.Request) -> str | None:
    """Give the reason that an exception of the chain stands for, or None."""
    reason: str | None = None
    detail = ""
    match error:
        case httpx.ProxyError():
            reason = "the proxy rejected the connection"
            # The rest of its text is the proxy's own.
            status = re.match(r"[1-5][0-9]{2}(?= |$)", str(error))
            detail = f"status {status[0]}" if status else ""
        case httpx.ConnectTimeout():
            reason = f"no connection{_seconds(request, 'connect')}"
        case httpx.PoolTimeout():
            reason = f"every connection of the pool was in use{_seconds(request, 'pool')}"
        case ssl.SSLCertVerificationError():
            reason, detail = "certificate not trusted", _printable(error.verify_message).rstrip(".")
        case ssl.SSLError():
            reason = "no TLS connection"
            detail = _printable(error.reason or "").replace("_", " ").lower()
        case socket.gaierror():
            is_silent = error.errno == socket.EAI_AGAIN
            reason = "the name server does not respond" if is_silent else "host not found"
        case OSError() if error.errno in errno.errorcode:
            reason = _system_reason(error)
        case _:
            pass
    return f"{reason} ({detail})" if detail else reason


def _certificate_advice(error: ssl.SSLCertVerificationError) -> str:
    why = error.verify_message.lower()
    if "mismatch" in why:
        return "Check the address: the certificate is for another host"
    if "expired" in why or "not yet valid" in why:
        return "Check this machine's clock and the certificate of the service"
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        path = os.environ.get(name)
        if path:
            return (
                "The certificates to trust come from the environment variable"
                f" {name} ({_printable(path)}): check them"
            )
    return (
        "If your network's own authority signs certificates, name a file with its root certificate"
        " in the environment variable SSL_CERT_FILE"
    )


def _seconds(request: httpx.Request, step: str) -> str:
    seconds = request.extensions.get("timeout", {}).get(step)
    return " within the timeout" if seconds is None else f" within {seconds:g} seconds"


def _system_reason(error: OSError) -> str:
    if error.errno is None:
        return type(error).__name__
    return os.strerror(error.errno).lower()


def _printable(text: str) -> str:
    return "".join(each if each.isprintable() else "?" for each in text)[:200]


__all__ = ["certificates_problem", "interrupted", "settings_problem", "unsent"]
