"""Shapes of what names a person or a firm: e-mail address, country, language, host."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Final

from chalicelib.domain.errors import ValidationError

_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_HOST: Final = re.compile(rf"(?:{_LABEL}\.)+(?!\d+$){_LABEL}", re.IGNORECASE)
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LOCAL: Final = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_LANGUAGE: Final = re.compile(r"([a-z]{2,3})(?:-([a-z]{4}))?(?:-([a-z]{2}|[0-9]{3}))?", re.IGNORECASE)
_LONGEST_LOCAL: Final = 64
_LONGEST_HOST: Final = 253
_LONGEST_EMAIL: Final = 254
_DOTLESS_HOSTS: Final = frozenset({"gmail.com", "googlemail.com"})


def email_address(text: str, *, field: str) -> str:
    """The address with its host in lower case. ValidationError unless it is a plain `name@host.tld`."""
    local, at, host = text.strip().rpartition("@")
    is_plain = at and _LOCAL.fullmatch(local) and len(local) <= _LONGEST_LOCAL and _is_host(host)
    if not is_plain or len(local) + 1 + len(host) > _LONGEST_EMAIL:
        raise ValidationError(
            "this is not an e-mail address that mail can be sent to",
            field=field,
            fix="send a plain address such as ada@example.com; write an international domain in punycode",
        )
    return f"{local}@{host.lower()}"


def mailbox(address: str) -> str:
    """The mailbox behind an address, as far as can be told: in lower case, without a `+tag`, and without dots where
    the host ignores them. For comparing people, never for writing to them.
    """
    local, _, host = address.strip().lower().rpartition("@")
    local = local.partition("+")[0] or local
    if host in _DOTLESS_HOSTS:
        local, host = local.replace(".", ""), "gmail.com"
    return f"{local}@{host}"


def host_name(text: str, *, field: str) -> str:
    """A domain such as `example.com`, in lower case."""
    host = text.strip().lower()
    if not _is_host(host):
        raise ValidationError(
            f"{text!r} is not a domain", field=field, fix="send a bare host such as example.com"
        )
    return host


def country_code(text: str, *, field: str) -> str:
    """An ISO 3166-1 alpha-2 code, in upper case."""
    code = text.strip().upper()
    if code not in _countries():
        raise ValidationError(
            f"{text!r} is not a country", field=field, fix="use an ISO 3166-1 alpha-2 code such as DE"
        )
    return code


def language_tag(text: str, *, field: str) -> str:
    """A language with optional script and region, in their usual case: `en`, `pt-BR`, `zh-Hant-TW`."""
    match = _LANGUAGE.fullmatch(text.strip())
    if match is None:
        raise ValidationError(
            f"{text!r} is not a language tag", field=field, fix="use a tag such as en, pt-BR or zh-Hant"
        )
    language, script, region = match.groups()
    parts = (language.lower(), script and script.title(), region and region.upper())
    return "-".join(part for part in parts if part)


def _is_host(text: str) -> bool:
    return len(text) <= _LONGEST_HOST and _HOST.fullmatch(text) is not None


@cache
def _countries() -> frozenset[str]:
    table = (files("tzdata") / "zoneinfo" / "iso3166.tab").read_text(encoding="utf-8")
    return frozenset(line.split("\t")[0] for line in table.splitlines() if not line.startswith("#"))
