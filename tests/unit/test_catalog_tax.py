"""Tax in a catalog: what is refused, that what is written reads back, and which ids can be right."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, cast

import pytest

from chalicelib.domain.catalog_document import write_catalog
from chalicelib.domain.catalog_rules import problems_in, read_catalog
from chalicelib.domain.customer import Address, Customer, TaxExempt
from chalicelib.domain.errors import ValidationError
from chalicelib.domain.tax import NO_TAX, TaxNote
from chalicelib.domain.tax_ids import TaxIdType, read_tax_id, type_of
from chalicelib.domain.tax_rates import TaxProvider
from chalicelib.domain.taxation import terms_of

FREE: dict[str, Any] = {"id": "free", "name": "Free", "rank": 0}
GERMANY: dict[str, Any] = {"country": "DE", "rate": "19", "reverse_charge": True}


def catalog(*rates: dict[str, Any], provider: str = "rates", country: str = "IE") -> Any:
    seller = {"name": "Acme", "country": country}
    return {"seller": seller, "plans": [FREE], "tax": {"provider": provider, "rates": list(rates)}}


def test_a_catalog_without_it_has_no_tax() -> None:
    assert (
        read_catalog(cast(Any, {"seller": {"name": "Acme"}, "plans": [FREE]}), version=1).tax.provider
        is TaxProvider.NONE
    )


def test_what_is_written_reads_back() -> None:
    full = {"country": "CA", "region": "QC", "rate": "14.975", "inclusive": True, "products": ["free"]}
    published = read_catalog(catalog(GERMANY, full), version=3)
    assert len(published.tax.rates) == 2
    assert read_catalog(write_catalog(published), version=3) == published


@pytest.mark.parametrize(
    ("rate", "path"),
    [
        ({"country": "XX"}, "country"),
        ({"country": "de"}, "country"),
        ({"rate": "101"}, "rate"),
        ({"rate": "19 %"}, "rate"),
        ({"region": "Bavaria"}, "region"),
        ({"products": ["free", "gold"]}, "products[1]"),
    ],
)
def test_what_is_wrong_is_named(rate: dict[str, Any], path: str) -> None:
    found = [problem.field for problem in problems_in(catalog({**GERMANY, **rate}))]
    assert found == [f"tax.rates[0].{path}"]


@pytest.mark.parametrize(
    ("document", "paths"),
    [
        (catalog(), ["tax.rates"]),
        (catalog(GERMANY, provider="none"), ["tax.provider"]),
        (catalog(GERMANY, country=""), ["tax.rates[0].reverse_charge"]),
        (catalog(GERMANY, GERMANY), ["tax.rates[1]"]),
        (catalog(GERMANY, {**GERMANY, "products": ["free"]}), []),
        (catalog(GERMANY, {**GERMANY, "region": "BY"}), []),
        (catalog(provider="none"), []),
    ],
)
def test_what_does_not_go_together(document: Any, paths: list[str]) -> None:
    assert [problem.field for problem in problems_in(document)] == paths


@pytest.mark.parametrize(
    ("text", "type_", "kept"),
    [
        ("de 136 695 976", TaxIdType.EU_VAT, "DE136695976"),
        ("GR094259216", TaxIdType.EU_VAT, "EL094259216"),
        ("EL094259216", TaxIdType.EU_VAT, "EL094259216"),
        ("XI432525179", TaxIdType.EU_VAT, "XI432525179"),
        ("gb 980 7806 84", TaxIdType.GB_VAT, "GB980780684"),
        ("CHE-107.787.577 MWST", TaxIdType.CH_VAT, "CHE107787577MWST"),
        ("NO 995 525 828 MVA", TaxIdType.NO_VAT, "NO995525828MVA"),
        ("12-3456789", TaxIdType.OTHER, "12-3456789"),
    ],
)
def test_an_id_is_known_by_how_it_begins_and_kept_in_one_form(text: str, type_: TaxIdType, kept: str) -> None:
    assert (type_of(text), read_tax_id(text, field="id")) == (type_, kept)
    assert read_tax_id(kept, type_, field="id") == kept


@pytest.mark.parametrize(
    ("text", "type_"),
    [
        ("DE136695977", None),
        ("DE136695976", TaxIdType.GB_VAT),
        ("GB123456789", None),
        ("none", None),
        ("DE", TaxIdType.EU_VAT),
        ("136695976", TaxIdType.EU_VAT),
    ],
)
def test_ids_that_cannot_be_right(text: str, type_: TaxIdType | None) -> None:
    with pytest.raises(ValidationError) as refused:
        read_tax_id(text, type_, field="tax_ids[0]")
    assert refused.value.field == "tax_ids[0]"


def buyer(country: str = "DE", state: str = "", **more: Any) -> Customer:
    return Customer(
        id="cus_1",
        created_at=datetime(2027, 1, 1, tzinfo=UTC),
        email="ada@example.com",
        address=Address(country=country, state=state),
        **more,
    )


class TestWhoPaysWhat:
    RATES = read_catalog(
        catalog(
            GERMANY,
            {"country": "DE", "rate": "7", "products": ["free"]},
            {"country": "US", "region": "CA", "rate": "7.25"},
        ),
        version=1,
    )

    @pytest.mark.parametrize("state", ["CA", "ca ", "US-CA"])
    def test_a_state_may_be_written_in_several_ways(self, state: str) -> None:
        assert [rule.rate for rule in terms_of(buyer("US", state), self.RATES).rules] == ["7.25"]

    def test_where_no_rate_is_listed_nothing_is_taxed(self) -> None:
        for customer in (buyer("US", "NY"), buyer("FR"), buyer("")):
            assert terms_of(customer, self.RATES) == NO_TAX
        assert terms_of(buyer(), read_catalog(catalog(provider="none"), version=1)) == NO_TAX

    def test_a_reverse_charge_is_that_of_the_rate_that_has_it(self) -> None:
        terms = terms_of(buyer(tax_ids=("DE136695976",)), self.RATES)
        assert terms.note is TaxNote.REVERSE_CHARGE
        assert [(rule.rate, rule.reverse_charge) for rule in terms.rules] == [("7", False), ("19", True)]

    def test_what_the_seller_knows_of_the_customer_goes_first(self) -> None:
        exempt = terms_of(buyer(tax_exempt=TaxExempt.EXEMPT, tax_ids=("DE136695976",)), self.RATES)
        assert exempt.note is TaxNote.EXEMPT
        told = terms_of(buyer(tax_exempt=TaxExempt.REVERSE), self.RATES)
        assert (told.note, all(rule.reverse_charge for rule in told.rules)) == (TaxNote.REVERSE_CHARGE, True)
