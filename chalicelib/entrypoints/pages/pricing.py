"""The public price page: what a visitor sees first."""

from __future__ import annotations

from chalice.app import Blueprint
from pydantic import BaseModel

from chalicelib.application.catalog import current_catalog
from chalicelib.application.context import Context
from chalicelib.application.credentials import check_token
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.contact import language_tag
from chalicelib.domain.currencies import is_currency
from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import NotFoundError, UnauthenticatedError, ValidationError
from chalicelib.domain.journal import Actor, ActorKind
from chalicelib.domain.tax_rates import TaxProvider
from chalicelib.domain.taxation import terms_at
from chalicelib.entrypoints.formatting import DEFAULT_LANGUAGE
from chalicelib.entrypoints.http.auth import is_publishable
from chalicelib.entrypoints.http.kit import Call, Reply, endpoint
from chalicelib.entrypoints.http.plans import CACHING
from chalicelib.entrypoints.pages import etag, page
from chalicelib.entrypoints.pages.price_view import Visit, pitch, price_view
from chalicelib.entrypoints.pages.visitor import guessed_country
from chalicelib.entrypoints.tax_words import price_note

bp = Blueprint(__name__)


class PricingQuery(BaseModel):
    """Addresses of pages collect parameters of all sorts on their way: unknown ones are not ours to refuse."""

    currency: str | None = None
    language: str | None = None
    key: str | None = None
    country: str | None = None


@endpoint(
    bp,
    "GET",
    "/pricing",
    query=PricingQuery,
    public=True,
    cors=False,
    hidden=True,
    tag="Pages",
    summary="The price page",
)
def pricing(call: Call[None]) -> Reply:
    try:
        catalog = current_catalog(_entered(call))
    except UnauthenticatedError:
        return page(
            "unavailable.html",
            status=404,
            heading="This price list is not here",
            message="The link that led you here names a key that does not open it. Ask whoever gave you the link.",
        )
    except NotFoundError:
        return page(
            "unavailable.html",
            status=404,
            heading="No prices yet",
            message="This shop has not published its price list. Please come back soon.",
        )
    visit = Visit(key=call.query.key, language=_language(call.query.language))
    wanted = (call.query.currency or "").upper()
    shown = page(
        "pricing.html",
        sheets=("base.css", "pricing.css"),
        headers={**CACHING, "Vary": f"{CACHING['Vary']}, Accept-Language"},
        list=price_view(catalog, wanted if is_currency(wanted) else None, visit),
        tax=_tax(call, catalog),
        pitch=pitch(catalog),
        seller=catalog.seller,
    )
    return Reply(content=shown.content, headers={**shown.headers, "ETag": etag(shown.content)})


def _tax(call: Call[None], catalog: Catalog) -> str:
    """What prices say of tax to a visitor from the country that is named, or that the browser's language suggests."""
    country = (call.query.country or guessed_country(call.headers.get("accept-language", ""))).upper()
    if catalog.tax.provider is TaxProvider.NONE or not country:
        return "before any tax"
    return price_note(terms_at(country, "", catalog), country) or "without tax"


def _entered(call: Call[None]) -> Context:
    """The environment of the publishable key, live without one."""
    actor = Actor(ActorKind.CUSTOMER)
    if not call.query.key:
        return call.entering(LIVE, actor)
    credential = check_token(call.services.keys, call.query.key, machine_now=call.machine_now)
    if not is_publishable(credential):
        raise UnauthenticatedError("a secret key must not be part of an address")
    return call.entering(credential.env, actor)


def _language(tag: str | None) -> str:
    try:
        return language_tag(tag or DEFAULT_LANGUAGE, field="language")
    except ValidationError:
        return DEFAULT_LANGUAGE
