"""Identifiers: `cus_` plus 26 characters, and children that carry their customer's 26 before their own 16.

An id is derived from what caused the thing (an idempotency key, a subscription and its period), so the
same cause always names the same thing and a second run finds the first one's work. Because a child carries
its customer, every id leads to its partition without an index.
"""

from __future__ import annotations

import hashlib

from chalicelib.domain.errors import NotFoundError

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32, lower case
TOKEN_LENGTH = 26
CHILD_LENGTH = 16
_ROOTS = ("cus", "key")
"""What belongs to no customer."""


def token(*parts: str, length: int = TOKEN_LENGTH) -> str:
    """`length` base-32 characters (5 bits each) that are a pure function of `parts`."""
    digest = hashlib.sha256("\x1f".join(parts).encode()).digest()
    number = int.from_bytes(digest, "big")
    return "".join(_ALPHABET[(number >> (5 * index)) & 31] for index in range(length))


def customer_id(*cause: str) -> str:
    return f"cus_{token('customer', *cause)}"


def child_id(prefix: str, customer: str, *cause: str) -> str:
    """`prefix_` + the customer's token + 16 characters derived from `prefix` and `cause`."""
    return f"{prefix}_{token_of(customer)}{token(prefix, *cause, length=CHILD_LENGTH)}"


def token_of(customer: str) -> str:
    """The 26 characters of a customer id (or of any child's customer)."""
    body = customer.partition("_")[2]
    if len(body) < TOKEN_LENGTH:
        raise NotFoundError("no such object", id=customer)
    return body[:TOKEN_LENGTH]


def own_token(child: str) -> str:
    """The 16 characters that tell a child from its siblings."""
    return child.partition("_")[2][TOKEN_LENGTH:]


def customer_of(child: str) -> str:
    """The customer id inside any child id."""
    return f"cus_{token_of(child)}"


def require(prefix: str, value: str) -> str:
    """`value` if it looks like an id with this prefix, else NotFoundError: malformed and foreign answer alike."""
    head, _, body = value.partition("_")
    expected = TOKEN_LENGTH if prefix in _ROOTS else TOKEN_LENGTH + CHILD_LENGTH
    if head != prefix or len(body) != expected or any(char not in _ALPHABET for char in body):
        raise NotFoundError("no such object", id=value)
    return value
