"""What a customer's profile may hold, and revising one field by field."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields, replace
from typing import Any, Final

from chalicelib.domain import contact
from chalicelib.domain.calendar import is_zone
from chalicelib.domain.currencies import is_currency
from chalicelib.domain.customer import Address, CollectionMethod, Customer, TaxExempt, Terms
from chalicelib.domain.errors import InvalidDocumentError, Problem, ValidationError
from chalicelib.domain.tax_ids import TaxIdType, read_tax_id

LONGEST_TEXT: Final = 200
LONGEST_TAX_ID: Final = 40
MOST_TAX_IDS: Final = 10
MOST_METADATA: Final = 50
LONGEST_METADATA_KEY: Final = 40
LONGEST_METADATA_VALUE: Final = 500
LARGEST_COMPANY: Final = 10_000_000
LONGEST_NET_DAYS: Final = 365
_SEGMENT: Final = re.compile(r"(?=.{1,64}$)[a-z0-9]+(?:[_.-][a-z0-9]+)*")
_UNPRINTABLE: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})


def revised(customer: Customer, changes: Mapping[str, Any]) -> Customer:
    """The customer with `changes` applied: plain JSON values by public field name.

    None sets a field back to its default; `address`, `terms` and `metadata` are merged, and None removes a key of
    theirs. InvalidDocumentError holds every field that is wrong.
    """
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in changes.items():
        attribute, read = _FIELDS[name]
        try:
            values[attribute] = _default(attribute) if value is None else read(value, customer)
        except ValidationError as error:
            problems.append(Problem(error.field or name, error.message, error.fix))
    result = replace(customer, **values)
    if not result.email and not any(problem.field == "email" for problem in problems):
        problems.insert(0, Problem("email", "a customer has an e-mail address", "send email"))
    if problems:
        raise InvalidDocumentError(problems[0].message, tuple(problems))
    return result


def changed_fields(old: Customer, new: Customer) -> tuple[str, ...]:
    """The public names of the fields that differ."""
    return tuple(
        name for name, (attribute, _) in _FIELDS.items() if getattr(old, attribute) != getattr(new, attribute)
    )


def plain_text(text: str, *, field: str, longest: int = LONGEST_TEXT) -> str:
    """`text` without space around it. Control characters have no place on an invoice or in a mail's header."""
    text = text.strip()
    if len(text) > longest:
        raise ValidationError(f"this is longer than {longest} characters", field=field, fix="shorten it")
    if any(unicodedata.category(char) in _UNPRINTABLE for char in text):
        raise ValidationError("this holds control characters", field=field, fix="send one line of text")
    return text


def _text(name: str) -> Callable[[str, Customer], str]:
    return lambda value, _: plain_text(value, field=name)


def _email(value: str, _: Customer) -> str:
    return contact.email_address(value, field="email")


def _billing_email(value: str, _: Customer) -> str:
    return contact.email_address(value, field="billing_email") if value else ""


def _external_id(value: str, _: Customer) -> str:
    text = plain_text(value, field="external_id")
    if not text:
        raise ValidationError(
            "an external id is not empty", field="external_id", fix="send null to remove it"
        )
    return text


def _address(value: Mapping[str, str | None], customer: Customer) -> Address:
    parts = {name: plain_text(text or "", field=f"address.{name}") for name, text in value.items()}
    if parts.get("country"):
        parts["country"] = contact.country_code(parts["country"], field="address.country")
    return replace(customer.address, **parts)


def _tax_ids(value: Sequence[str | Mapping[str, str]], _: Customer) -> tuple[str, ...]:
    if len(value) > MOST_TAX_IDS:
        raise ValidationError(
            f"a customer has at most {MOST_TAX_IDS} tax ids", field="tax_ids", fix="send fewer"
        )
    ids = [_tax_id(each, f"tax_ids[{index}]") for index, each in enumerate(value)]
    return tuple(dict.fromkeys(ids))


def _tax_id(given: str | Mapping[str, str], path: str) -> str:
    """As written alone, its type told by how it begins; or with its type."""
    text, type_ = (given, None) if isinstance(given, str) else (given["value"], given.get("type"))
    text = plain_text(text, field=path, longest=LONGEST_TAX_ID)
    return read_tax_id(text, TaxIdType(type_) if type_ else None, field=path)


def _tax_exempt(value: str, _: Customer) -> TaxExempt:
    return TaxExempt(value)


def _language(value: str, _: Customer) -> str:
    return contact.language_tag(value, field="language")


def _currency(value: str, _: Customer) -> str:
    if not is_currency(value):
        raise ValidationError(
            f"{value!r} is not an ISO 4217 currency code",
            field="currency",
            fix="use an upper-case code such as USD",
        )
    return value


def _zone(value: str, _: Customer) -> str:
    if not is_zone(value):
        raise ValidationError(
            f"{value!r} is not a time zone", field="time_zone", fix="use an IANA name such as Europe/Paris"
        )
    return value


def _company_size(value: int, _: Customer) -> int:
    if not 1 <= value <= LARGEST_COMPANY:
        raise ValidationError(
            f"a company has 1 to {LARGEST_COMPANY} people, not {value}",
            field="company_size",
            fix="send a head count",
        )
    return value


def _segment(value: str, _: Customer) -> str:
    if value and not _SEGMENT.fullmatch(value):
        raise ValidationError(
            f"{value!r} is not the name of a segment",
            field="segment",
            fix="use up to 64 lower-case letters and digits, joined by _ . or -, as the catalog does",
        )
    return value


def _domain(value: str, _: Customer) -> str:
    return contact.host_name(value, field="domain") if value else ""


def _terms(value: Mapping[str, Any], customer: Customer) -> Terms:
    defaults = Terms()
    method = value.get("method", customer.terms.method) or defaults.method
    net_days = value.get("net_days", customer.terms.net_days if "method" not in value else 0) or 0
    if not 0 <= net_days <= LONGEST_NET_DAYS:
        raise ValidationError(
            f"terms are 0 to {LONGEST_NET_DAYS} days net, not {net_days}",
            field="terms.net_days",
            fix="use e.g. 30",
        )
    if net_days and method != CollectionMethod.SEND_INVOICE:
        raise ValidationError(
            "only sent invoices have days to pay", field="terms.net_days", fix="use method send_invoice"
        )
    return Terms(method=CollectionMethod(method), net_days=net_days)


def _metadata(value: Mapping[str, str | None], customer: Customer) -> tuple[tuple[str, str], ...]:
    merged: dict[str, str | None] = {**dict(customer.metadata), **value}
    kept = {key: text for key, text in merged.items() if text is not None}
    if len(kept) > MOST_METADATA:
        raise ValidationError(
            f"metadata has at most {MOST_METADATA} keys, not {len(kept)}",
            field="metadata",
            fix="remove some with null",
        )
    for key, text in kept.items():
        if not 0 < len(key) <= LONGEST_METADATA_KEY or len(text) > LONGEST_METADATA_VALUE:
            raise ValidationError(
                f"keys have 1 to {LONGEST_METADATA_KEY} characters, values up to {LONGEST_METADATA_VALUE}",
                field=f"metadata.{key[:LONGEST_METADATA_KEY]}",
                fix="shorten it",
            )
    return tuple(sorted(kept.items()))


_FIELDS: Final[dict[str, tuple[str, Callable[[Any, Customer], Any]]]] = {
    "email": ("email", _email),
    "name": ("name", _text("name")),
    "legal_name": ("legal_name", _text("legal_name")),
    "external_id": ("external_id", _external_id),
    "billing_email": ("billing_email", _billing_email),
    "address": ("address", _address),
    "tax_ids": ("tax_ids", _tax_ids),
    "tax_exempt": ("tax_exempt", _tax_exempt),
    "language": ("language", _language),
    "currency": ("currency", _currency),
    "time_zone": ("zone", _zone),
    "company_size": ("company_size", _company_size),
    "domain": ("domain", _domain),
    "terms": ("terms", _terms),
    "owner": ("owner", _text("owner")),
    "segment": ("segment", _segment),
    "metadata": ("metadata", _metadata),
}


def _default(attribute: str) -> Any:
    """What a new customer has there; an e-mail address has no default and becomes empty, which is refused."""
    declared = next(field.default for field in fields(Customer) if field.name == attribute)
    return "" if declared is MISSING else declared
