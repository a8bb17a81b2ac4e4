"""The pages of the example web apps: to log in, before a user has connected, and after.

The forms lead to `/login`, `/logout` and `/disconnect`. Each has a secret of the browser's session,
so that another site's page can't send it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any, Final

from attrs import field, frozen

_STYLE: Final = """
:root { color-scheme: light dark; --page: #f4f5f7; --card: #fff; --text: #1c2733; --soft: #505c6b;
  --line: #d9dde3; --accent: #11703c; --on-accent: #fff; --tint: #e9f5ee; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --card: #1c222b; --text: #eceff3;
  --soft: #b1bbc8; --line: #3a4451; --accent: #58cb8b; --on-accent: #06220f; --tint: #1f3329; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; }
header { display: flex; flex-wrap: wrap; gap: 0.5rem 1rem; align-items: center;
  justify-content: space-between; padding: 0.875rem max(1rem, 50% - 24rem);
  background: var(--card); border-bottom: 1px solid var(--line); }
header strong { font-size: 1.0625rem; }
form { display: inline; }
main { width: min(48rem, 100% - 2rem); margin: 2rem auto; }
h1 { margin: 0 0 0.5rem; font-size: 1.625rem; line-height: 1.25; text-wrap: balance; }
.lead { margin: 0 0 1.5rem; color: var(--soft); }
.hero { margin-top: 12vh; padding: 2.5rem; text-align: center; background: var(--card);
  border: 1px solid var(--line); border-radius: 1rem; }
ul { margin: 0; padding: 0; list-style: none; background: var(--card);
  border: 1px solid var(--line); border-radius: 1rem; overflow: hidden; }
li { display: flex; gap: 1rem; align-items: baseline; justify-content: space-between;
  padding: 0.875rem 1.25rem; }
li + li { border-top: 1px solid var(--line); }
li span { white-space: nowrap; font-variant-numeric: tabular-nums; color: var(--soft); }
.button { display: inline-block; padding: 0.5rem 1.125rem; border: 1px solid var(--soft);
  border-radius: 0.625rem; background: transparent; color: var(--text); font: inherit;
  font-weight: 600; text-decoration: none; cursor: pointer; }
.primary { border-color: var(--accent); background: var(--accent); color: var(--on-accent); }
.tag { margin-right: auto; padding: 0.125rem 0.625rem; border-radius: 1rem; background: var(--tint);
  font-size: 0.875rem; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px; }
@media (max-width: 30rem) { main { margin: 1rem auto; } .hero { margin-top: 4vh; padding: 1.5rem; }
  li { flex-direction: column; gap: 0; } }
"""


@frozen
class Form:
    """What a form of the session has: the hidden field's name, and its secret."""

    name: str
    secret: str = field(repr=False)

    def button(self, path: str, label: str, *, field: str = "") -> str:
        """Return a form that is one button; `field` is what it sends along, as HTML."""
        hidden = f'<input type="hidden" name="{escape(self.name)}" value="{escape(self.secret)}">'
        button = f'<button class="button">{escape(label)}</button>'
        return f'<form method="post" action="{escape(path)}">{hidden}{field}{button}</form> '


def login_page(framework: str, users: Iterable[str], form: Form) -> str:
    """Return the page of a visitor who has not logged in to the app."""
    name = '<input type="hidden" name="user" value="{}">'
    buttons = "".join(
        form.button("/login", user, field=name.format(escape(user))) for user in users
    )
    return _page(
        framework,
        '<section class="hero"><h1>Who are you?</h1>'
        f'<p class="lead">A real app asks for a password.</p>{buttons}</section>',
    )


def welcome(framework: str, user: str, form: Form, connect: str, message: str = "") -> str:
    """Return the page of a user who has not connected an account."""
    lead = message or "Connect your Pipedrive account to see your deals here."
    return _page(
        framework,
        '<section class="hero"><h1>See your deals</h1>'
        f'<p class="lead">{escape(lead)}</p>'
        f'<a class="button primary" href="{escape(connect)}">Connect with Pipedrive</a></section>',
        _leaving(user, form),
    )


def deals_page(
    framework: str,
    user: str,
    form: Form,
    owner: Mapping[str, Any],
    deals: Iterable[Mapping[str, Any]],
) -> str:
    """Return the page of a user who has connected: the deals of an account and its owner."""
    rows = "".join(
        f"<li>{escape(str(deal['title']))}"
        f"<span>{int(deal['value']):,} {escape(str(deal['currency']))}</span></li>"
        for deal in deals
    )
    return _page(
        framework,
        f"<h1>Deals of {escape(str(owner['company_name']))}</h1>"
        f'<p class="lead">In Pipedrive you are {escape(str(owner["name"]))}.</p><ul>{rows}</ul>',
        form.button("/disconnect", "Disconnect") + _leaving(user, form),
    )


def _leaving(user: str, form: Form) -> str:
    return form.button("/logout", f"Log out {user}")


def _page(framework: str, main: str, action: str = "") -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>Deals, with {escape(framework)}</title><style>{_STYLE}</style></head><body>"
        f'<header><strong>Deals</strong> <span class="tag">{escape(framework)}</span>'
        f"<div>{action}</div></header><main>{main}</main></body></html>"
    )
