"""The one screen that `make run` prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Keys:
    """The shown-once keys of the sandbox that a fresh state begins with."""

    secret: str
    publishable: str


def shell_file(url: str, keys: Keys) -> str:
    """What a shell reads before the curl lines below."""
    return f"export URL={url}\nexport SK={keys.secret}\nexport PK={keys.publishable}\n"


def screen(url: str, keys: Keys, state: Path) -> str:
    """At most 24 lines of at most 100 columns (a very long state path aside)."""
    return f"""
Perennial is running. Ctrl-C stops it; what it holds stays in {state}.

  Price list       {url}/
  API docs         {url}/docs
  Caught mail      {url}/_local/mail

  Secret key       {keys.secret}
  Publishable key  {keys.publishable}

  Test cards       4242 4242 4242 4242  pays          4000 0000 0000 0002  is declined
                   4000 0025 0000 3155  wants 3DS     4000 0000 0000 0341  fails at renewal
                   any future expiry, any CVC

  Try, in another terminal:
    . {state}/env
    curl "$URL/v1/plans?currency=EUR" -H "Authorization: Bearer $PK"
    curl $URL/v1/customers -H "Authorization: Bearer $SK" --json '{{"email": "ada@example.com"}}'
    curl $URL/v1/clock/advance -H "Authorization: Bearer $SK" --json '{{"by": "P1M"}}'
"""
