"""What tax goes by in a sign-up: where the buyer is, and a tax id."""

from __future__ import annotations

from typing import Any

from chalicelib.domain.checkout import SignupSession
from chalicelib.domain.errors import Problem, ValidationError
from chalicelib.domain.profile import LONGEST_TAX_ID, plain_text
from chalicelib.domain.tax_ids import in_full, read_tax_id


def place_of(session: SignupSession) -> dict[str, Any]:
    """The part of the profile that tax goes by. A number alone is a tax id as the buyer's own country writes it."""
    tax_id = session.tax_id and in_full(session.tax_id, session.country)
    return {
        "address": {"country": session.country, "state": session.state},
        "tax_ids": [tax_id] if tax_id else [],
    }


def tax_id_problems(session: SignupSession) -> list[Problem]:
    """Also for a country that is another one since the id was given."""
    if not session.tax_id:
        return []
    try:
        text = plain_text(session.tax_id, field="tax_id", longest=LONGEST_TAX_ID)
        read_tax_id(in_full(text, session.country), field="tax_id")
    except ValidationError as error:
        return [Problem("tax_id", error.message, error.fix)]
    return []
