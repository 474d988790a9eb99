"""What the tax rates of a catalog must keep to be published."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.domain.catalog_document import CatalogDocument, build_tax_rule
from chalicelib.domain.catalog_problems import repeated
from chalicelib.domain.errors import Problem, ValidationError


def tax_problems(document: CatalogDocument) -> Iterator[Problem]:
    """Every breach: a rate or country that is none, an unknown product, two rules for the same."""
    rules = document.get("tax", ())
    known = {product["id"] for product in (*document["plans"], *document.get("add_ons", ()))}
    for index, rule in enumerate(rules):
        try:
            build_tax_rule(rule)
        except ValidationError as error:
            yield Problem(f"tax[{index}].{error.field}", error.message, error.fix)
        for place, product in enumerate(rule.get("products", ())):
            if product not in known:
                yield Problem(
                    f"tax[{index}].products[{place}]",
                    f"there is no plan or add-on {product!r}",
                    f"use one of: {', '.join(sorted(known))}",
                )
    subjects = (
        (f"tax[{index}]", " ".join((rule["country"], rule.get("region", ""), product)).strip())
        for index, rule in enumerate(rules)
        for product in rule.get("products") or ("",)
    )
    yield from repeated(subjects, "the rate for {} is already given at {}")
