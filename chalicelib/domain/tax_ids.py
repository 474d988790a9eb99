"""Tax ids as authorities give them out: their type, their usual form, and whether they can be right."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Final

from chalicelib.domain.errors import ValidationError


class TaxIdType(StrEnum):
    EU_VAT = "eu_vat"
    GB_VAT = "gb_vat"
    CH_VAT = "ch_vat"
    NO_VAT = "no_vat"
    OTHER = "other"


EU_PREFIXES: Final = frozenset(
    "AT BE BG CY CZ DE DK EE EL ES FI FR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK XI".split()
)
_PREFIX: Final = {"GR": "EL"}
"""Where VAT ids begin with something else than the country's code."""
_EXAMPLES: Final = {
    TaxIdType.EU_VAT: "DE136695976",
    TaxIdType.GB_VAT: "GB980780684",
    TaxIdType.CH_VAT: "CHE-107.787.577 MWST",
    TaxIdType.NO_VAT: "NO995525828MVA",
    TaxIdType.OTHER: "12-3456789",
}


def read_tax_id(text: str, type_: TaxIdType | None = None, *, field: str) -> str:
    """The id as it is kept: one that is checked without spaces and dots, with its country in front.

    Without a type it is told by how the id begins. ValidationError for one whose form or check digits are wrong:
    nothing is asked of any authority, so a right form is no proof that it was given out.
    """
    type_ = type_ or type_of(text)
    if type_ is TaxIdType.OTHER:
        found = text if any(char.isdigit() for char in text) else None
    else:
        found = _compact(text, type_)
    if found is None:
        what = "a tax id" if type_ is TaxIdType.OTHER else f"a tax id of type {type_}"
        raise ValidationError(
            f"{text!r} is not {what}", field=field, fix=f"send it as registered, e.g. {_EXAMPLES[type_]}"
        )
    return found


def type_of(text: str) -> TaxIdType:
    """The type that an id has by how it begins; OTHER for what begins like none that is checked."""
    written = _written(text)
    if written.startswith("CHE"):
        return TaxIdType.CH_VAT
    if written.startswith("GB"):
        return TaxIdType.GB_VAT
    if written.startswith("NO") and written[2:3].isdigit():
        return TaxIdType.NO_VAT
    prefix = _PREFIX.get(written[:2], written[:2])
    return TaxIdType.EU_VAT if prefix in EU_PREFIXES else TaxIdType.OTHER


def in_full(text: str, country: str) -> str:
    """A number alone as one of the country that it is given for, where ids of that country are checked."""
    prefix = _PREFIX.get(country, country)
    known = prefix in EU_PREFIXES or country in ("GB", "NO")
    return f"{prefix}{text}" if known and type_of(text) is TaxIdType.OTHER else text


def is_tax_id_of(country: str, tax_id: str) -> bool:
    """Whether the id begins as VAT ids of the country do. Says nothing of whether it was ever given out."""
    written = _written(tax_id)
    prefix = _PREFIX.get(country, country)
    return written.startswith(prefix) and len(written) > len(prefix) + 1


def _compact(text: str, type_: TaxIdType) -> str | None:
    """None where form or check digits are wrong."""
    from stdnum.exceptions import ValidationError as Invalid

    try:
        return _checks()[type_](text)
    except Invalid:
        return None


def _checks() -> dict[TaxIdType, Callable[[str], str]]:
    """Loaded on first use: most requests know no tax id."""
    from stdnum.ch import vat as ch_vat
    from stdnum.eu import vat as eu_vat
    from stdnum.gb import vat as gb_vat
    from stdnum.no import mva

    return {
        TaxIdType.EU_VAT: lambda text: _greek(str(eu_vat.validate(text))),
        TaxIdType.GB_VAT: lambda text: f"GB{gb_vat.validate(text)}",
        TaxIdType.CH_VAT: lambda text: str(ch_vat.validate(text)),
        TaxIdType.NO_VAT: lambda text: f"NO{mva.validate(text)}",
    }


def _greek(text: str) -> str:
    return f"EL{text[2:]}" if text.startswith("GR") else text


def _written(text: str) -> str:
    return "".join(sign for sign in text.upper() if sign.isalnum())
