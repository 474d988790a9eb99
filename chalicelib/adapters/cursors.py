"""The opaque cursor of a list: where the last page ended, checked before it is believed.

It holds only the sort value of the list index (instant and id); environment and type come from the request,
so a cursor can never lead into somebody else's data.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime
from typing import Any

from chalicelib.application.records import Key, child_key, customer_key
from chalicelib.domain.customer import Customer
from chalicelib.domain.errors import NotFoundError, ValidationError


def encode_cursor(list_sk: str) -> str:
    """URL-safe, without padding."""
    return base64.urlsafe_b64encode(list_sk.encode()).rstrip(b"=").decode()


def decode_cursor(type_: type[Any], env: str, cursor: str) -> tuple[str, Key[Any]]:
    """The sort value where the list goes on, and the key of the record there (which may be gone by now).

    ValidationError with field `cursor` when it is not one of ours.
    """
    try:
        list_sk = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        instant, _, id_ = list_sk.partition("#")
        if datetime.fromisoformat(instant).tzinfo is None or "#" in id_:
            raise ValueError("not an instant and an id")
        key = customer_key(env, id_) if type_ is Customer else child_key(type_, env, id_)
    except (ValueError, binascii.Error, NotFoundError):
        raise ValidationError(
            "this cursor was not given out by this list", field="cursor", fix="start again without a cursor"
        ) from None
    return list_sk, key
