"""Realistic records of every stored type, for tests of the engines."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.domain import ids, journal
from chalicelib.domain.calendar import Interval, IntervalUnit, Period
from chalicelib.domain.catalog import Catalog, Party, Plan, Price, TrialEnd, TrialTerms
from chalicelib.domain.checkout import CheckoutMode, CheckoutSession, SignupSession
from chalicelib.domain.coupon import CouponCount, CouponUse, OfferedCoupon, coupon_id, use_id
from chalicelib.domain.credit_note import CreditNote, NoteLine
from chalicelib.domain.customer import (
    Account,
    Address,
    Claim,
    Credit,
    Customer,
    Lead,
    Member,
    PaymentMethod,
    Role,
    Terms,
)
from chalicelib.domain.discount import Coupon, Duration, Redemption
from chalicelib.domain.environment import LIVE, Environment
from chalicelib.domain.invoice import (
    Invoice,
    InvoiceStatus,
    Line,
    attempt_key,
    cycle_cause,
    invoice_id,
    payment_id,
)
from chalicelib.domain.journal import (
    CLOCK,
    Fact,
    JournalEntry,
    LedgerAccount,
    Movement,
    MovementKind,
    Posting,
)
from chalicelib.domain.meter import Reading, UsageEvent
from chalicelib.domain.payment import Allocation, Attempt, AttemptStatus, Decline, DeclineKind, Payment
from chalicelib.domain.pricing import PricingModel, Rate, RatedStep
from chalicelib.domain.refund import Refund, RefundStatus
from chalicelib.domain.subscription import Item, ItemKind, Status, Subscription, Term, Trial
from chalicelib.domain.usage import Lane, Usage, Window

START = datetime(2026, 3, 1, 9, 30, 12, 123456, tzinfo=UTC)
END = datetime(2026, 4, 1, 8, 30, 12, 123456, tzinfo=UTC)
CUSTOMER = ids.customer_id("sample")
SUBSCRIPTION = ids.child_id("sub", CUSTOMER, "sample")
MONTHLY = Interval(IntervalUnit.MONTH)
PROCESSOR_CUSTOMER = "cus_QaBcDeFgHiJkLm"
CARD = PaymentMethod(
    id="pm_1PqRsT2eZvKYlo2CAbCdEfGh",
    brand="visa",
    last4="4242",
    exp_month=12,
    exp_year=2030,
    fingerprint="Xt5EWLLDS7FJjR1c",
)
PRICE = Price(
    id="business_month_usd",
    plan="business",
    currency="USD",
    interval=MONTHLY,
    rate=Rate(PricingModel.PER_UNIT, unit_amount="4900"),
)
COUPON = Coupon(
    id="SPRING27",
    name="Spring offer",
    percent="20",
    duration=Duration.REPEATING,
    periods=3,
    valid_until=END,
    max_redemptions=100,
    plans=("business",),
    first_time=True,
)
PRODUCTS = ("business", "extra_storage", "priority_support", "sso", "audit_log")


def customer(name: str = "sample", **changes: Any) -> Customer:
    record = Customer(
        id=ids.customer_id(name),
        created_at=START,
        email="ada@exemple.fr",
        name="Ada",
        legal_name="Société Exemple SARL",
        external_id="crm-00017",
        address=Address(line1="12 rue de la Paix", city="Paris", postal_code="75002", country="FR"),
        tax_ids=("FR40303265045",),
        zone="Europe/Paris",
        terms=Terms(),
        metadata=(("segment", "smb"),),
        request="3k9",
    )
    return replace(record, **changes)


def account(customer_id: str = CUSTOMER, **changes: Any) -> Account:
    record = Account(
        customer_id=customer_id,
        invoices=13,
        processor_customer=PROCESSOR_CUSTOMER,
        payment_method=CARD,
        trial_used=True,
    )
    return replace(record, **changes)


def subscription(id_: str = SUBSCRIPTION, **changes: Any) -> Subscription:
    record = Subscription(
        id=id_,
        customer_id=ids.customer_of(id_),
        payer_id=ids.customer_of(id_),
        status=Status.ACTIVE,
        currency="USD",
        catalog_version=3,
        items=(
            Item(
                id="si_8k2m4n6p8q0r2s4t",
                kind=ItemKind.PLAN,
                product="business",
                name="Business",
                quantity=12,
                price=PRICE,
            ),
        ),
        zone="Europe/Paris",
        anchor=START,
        created_at=START,
        interval=MONTHLY,
        cycle=4,
        period=Period(START, END),
        started_at=START,
        mrr=58800,
        had_revenue=True,
        request=ids.token("request"),
    )
    return replace(record, **changes)


def line(position: int = 0) -> Line:
    product = PRODUCTS[position]
    return Line(
        id=f"li_{ids.token(str(position), length=16)}",
        kind="plan" if position == 0 else "add_on",
        description=f"{product.replace('_', ' ').capitalize()} × {12 + position} (1 Mar – 1 Apr 2026)",
        product=product,
        price_id=f"{product}_month_usd",
        model="per_unit",
        quantity=12 + position,
        steps=(RatedStep(12 + position, str(4900 - 317 * position)),),
        period=Period(START, END),
        amount=58800 - 1234 * position,
        discount=13 * position,
        tax_rate="20",
        tax=11760 - 200 * position,
    )


def attempt(invoice: str, number: int, status: AttemptStatus) -> Attempt:
    declined = status is AttemptStatus.DECLINED
    return Attempt(
        number=number,
        key=attempt_key(invoice, number),
        amount=70560,
        at=START,
        written_at=START,
        processor_customer=PROCESSOR_CUSTOMER,
        method=CARD.id,
        status=status,
        reference="pi_3PqRsT2eZvKYlo2C1AbCdEfG",
        charge=None if declined else "ch_3PqRsT2eZvKYlo2C1AbCdEfG",
        settled_at=START,
        decline=Decline(kind=DeclineKind.SOFT, code="insufficient_funds", message="Insufficient funds.")
        if declined
        else None,
    )


def invoice(lines: int = 1, *, declines: int = 0, **changes: Any) -> Invoice:
    """A paid renewal, after as many declines."""
    cause = cycle_cause(START)
    id_ = invoice_id(SUBSCRIPTION, cause)
    tried = [attempt(id_, number, AttemptStatus.DECLINED) for number in range(1, declines + 1)]
    paid_by = attempt(id_, declines + 1, AttemptStatus.SUCCEEDED)
    record = Invoice(
        id=id_,
        customer_id=CUSTOMER,
        subscription_id=SUBSCRIPTION,
        number="INV-54JYXW-000013",
        sequence=13,
        cause=cause,
        status=InvoiceStatus.PAID,
        currency="USD",
        zone="Europe/Paris",
        issued_at=START,
        due_at=START,
        terms=Terms(),
        seller=Party(
            name="Perennial Software Ltd",
            email="billing@perennial.example",
            address=("1 Garden Way", "London EC1A 1BB", "GB"),
            country="GB",
            tax_ids=("GB123456789",),
        ),
        buyer=Party(
            name="Société Exemple SARL",
            email="compta@exemple.fr",
            address=("12 rue de la Paix", "75002 Paris", "FR"),
            country="FR",
            tax_ids=("FR40303265045",),
        ),
        lines=tuple(line(position) for position in range(lines)),
        period=Period(START, END),
        total=70560,
        tax=11760,
        amount_paid=70560,
        attempts=(*tried, paid_by),
        payments=(
            Payment(
                id=payment_id(id_, paid_by.number),
                customer_id=CUSTOMER,
                amount=70560,
                currency="USD",
                at=START,
                kind="card",
                allocations=(Allocation(invoice_id=id_, amount=70560),),
                reference=paid_by.reference,
                charge=paid_by.charge,
                method=CARD,
            ),
        ),
        paid_at=START,
    )
    return replace(record, **changes)


def journal_entry(customer_id: str = CUSTOMER, *, number: int = 1, at: datetime = START) -> JournalEntry:
    paid = invoice()
    return journal.entry(
        customer_id,
        at=at,
        actor=CLOCK,
        cause=f"settle:{paid.id}:{number}",
        facts=(
            Fact("invoice.paid", paid.id, {"subscription": SUBSCRIPTION, "amount": 70560, "currency": "USD"}),
            Fact("payment.succeeded", payment_id(paid.id, 1), {"invoice": paid.id, "lines": [1, {"net": 2}]}),
        ),
        postings=(
            Posting(LedgerAccount.CASH, 70560, "USD"),
            Posting(LedgerAccount.RECEIVABLE, -70560, "USD"),
        ),
        movements=(Movement(MovementKind.NEW, SUBSCRIPTION, 58800, "USD", "started"),),
    )


def catalog(version: int = 3) -> Catalog:
    pro = Plan(
        id="business",
        name="Business",
        rank=3,
        per_seat=True,
        features=("sso", "audit_log"),
        quotas={"projects": 50, "storage_gb": None},
        prices=(PRICE,),
        trial=TrialTerms(days=14, on_end=TrialEnd.FALL_BACK, fall_back_plan="free"),
    )
    return Catalog(version=version, plans=(Plan(id="free", name="Free", rank=0), pro))


def usage(**changes: Any) -> Usage:
    usage = Usage(
        id=ids.child_id("use", CUSTOMER, SUBSCRIPTION, "api_calls"),
        customer_id=CUSTOMER,
        subscription_id=SUBSCRIPTION,
        meter="api_calls",
        windows=(
            Window(start=START, end=END, reading=Reading(quantity=801, events=3, at=START, by="evt-3")),
        ),
        lanes=(Lane(number=4, position="000000000000000000123"),),
        alerted=("quota_80",),
        alerted_since=START,
    )
    return replace(usage, **changes)


def usage_event(**changes: Any) -> UsageEvent:
    event = UsageEvent(
        id="evt-1",
        customer_id=CUSTOMER,
        name="api_calls",
        at=START,
        recorded_at=START,
        value=799,
        properties={"region": "eu"},
    )
    return replace(event, **changes)


def checkout(**changes: Any) -> CheckoutSession:
    record = CheckoutSession(
        id=ids.child_id("chk", CUSTOMER, "1"),
        customer_id=CUSTOMER,
        subscription_id=SUBSCRIPTION,
        mode=CheckoutMode.PAYMENT,
        success_url="https://example.com/thanks",
        cancel_url="https://example.com/pricing",
        created_at=START,
        expires_at=START + timedelta(hours=1),
        release_at=START + timedelta(hours=23),
    )
    return replace(record, **changes)


def every_record() -> list[Any]:
    """One realistic record of each stored type, new (version 0)."""
    trial = Trial(
        started_at=START,
        ends_at=END,
        on_end=TrialEnd.FALL_BACK,
        fall_back_plan="free",
        reminded=(3,),
    )
    return [
        Environment(id=LIVE, name="Live", created_at=START),
        catalog(),
        customer(),
        account(credits=(Credit(amount=-250, currency="USD", at=START, source="carried"),)),
        subscription(
            redemptions=(Redemption(coupon=COUPON, at=START, uses=1, spent_on=START),),
            trial=trial,
            term=Term(ends_at=END, auto_renew=False, months=12),
        ),
        invoice(2, declines=1),
        Payment(
            id=ids.child_id("pay", CUSTOMER, "1"),
            customer_id=CUSTOMER,
            amount=5000,
            currency="EUR",
            at=START,
            kind="transfer",
            allocations=(Allocation(invoice_id=invoice().id, amount=4900),),
            reference="RE 17",
            credited=100,
        ),
        Refund(
            id=ids.child_id("ref", CUSTOMER, "1"),
            customer_id=CUSTOMER,
            payment_id=invoice().payments[0].id,
            amount=1200,
            currency="USD",
            at=START,
            written_at=START,
            status=RefundStatus.PENDING,
            allocations=(Allocation(invoice_id=invoice().id, amount=1200),),
            key=f"refund:{invoice().payments[0].id}:1",
            payment_reference="pi_3",
            reference="re_3",
            look_at=END,
        ),
        CreditNote(
            id=ids.child_id("crn", CUSTOMER, "1"),
            customer_id=CUSTOMER,
            subscription_id=invoice().subscription_id,
            invoice_id=invoice().id,
            number="C-CN-0001",
            sequence=1,
            currency="USD",
            at=START,
            lines=(NoteLine(line_id="plan", description="Pro", total=1200, tax=200, tax_rate="20"),),
            total=1200,
            tax=200,
            credited=200,
            refunded=1000,
            refunds=(ids.child_id("ref", CUSTOMER, "1"),),
        ),
        journal_entry(),
        usage(),
        usage_event(),
        checkout(),
        Member(
            id=ids.child_id("mem", CUSTOMER, "1"),
            customer_id=CUSTOMER,
            email="bo@exemple.fr",
            created_at=START,
            role=Role.ADMIN,
        ),
        SignupSession(
            id=ids.child_id("sgn", CUSTOMER, "1"),
            customer_id=CUSTOMER,
            created_at=START,
            updated_at=START,
            abandon_at=END,
            interval=MONTHLY,
            trial=False,
            add_ons=(("sso", 1),),
        ),
        Lead(
            id=ids.child_id("led", CUSTOMER, "1"),
            customer_id=CUSTOMER,
            at=START,
            reason="quote_only",
            email="ada@exemple.fr",
        ),
        Claim(kind="external_id", value="crm-00017", owner=CUSTOMER, at=START),
        OfferedCoupon(id=coupon_id("SPRING27"), coupon=COUPON, created_at=START),
        CouponCount(coupon="SPRING27", shard=3, redeemed=1),
        CouponUse(
            id=use_id(CUSTOMER, "SPRING27"),
            customer_id=CUSTOMER,
            coupon="SPRING27",
            subscription_id=SUBSCRIPTION,
            shard=3,
            at=START,
            first_time=True,
        ),
    ]
