"""Collecting invoices: ask the processor once about an attempt that is written down, then settle it once."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.application import card_limits, decisions, waiting_changes
from chalicelib.application.context import Context, deciding
from chalicelib.application.late_money import return_late
from chalicelib.application.ports import ChargeRequest
from chalicelib.application.records import account_key, child_key, customer_key
from chalicelib.domain import card_limit, change_steps, collection, holding, late_money, prepaid
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.collection import NO_METHOD
from chalicelib.domain.customer import Account
from chalicelib.domain.decision import Decision
from chalicelib.domain.dunning import Rules
from chalicelib.domain.dunning_policy import DunningPolicy, EndState
from chalicelib.domain.errors import NotFoundError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.payment import Attempt, AttemptStatus, ChargeResult, Instants, Outcome
from chalicelib.domain.subscription import Item, ItemKind, Subscription


def collect(ctx: Context, invoice: Invoice, subscription: Subscription) -> Invoice:
    """Charge the invoice's open attempt and settle its outcome; answers the invoice as it stands after.

    Safe to run twice: the attempt was committed with its key and parameters before this is called. While the key
    is young the same call is repeated, which the processor answers with the same charge; after that the charge is
    only looked up. Settling is conditional on the attempt being open. An attempt whose outcome was unknown is
    left alone until its time, and so is one that waits for its customer, unless the end of its run has left it.
    """
    attempt = invoice.attempt
    if invoice.status is not InvoiceStatus.OPEN or attempt is None or not attempt.is_open:
        return invoice
    if attempt.awaits_customer:
        return invoice if invoice.collect_at is None else stop_waiting(ctx, invoice, subscription)
    if attempt.not_before is not None and ctx.machine_now < attempt.not_before:
        return invoice
    result = _ask(ctx, invoice, attempt)
    if result is None:
        return _collect_anew(ctx, invoice, subscription)
    if result.outcome is Outcome.UNKNOWN and ctx.unknown is not None:
        ctx.unknown.append(ctx.machine_now - attempt.written_at)
    return settle(ctx, invoice, subscription, result)


def stop_waiting(ctx: Context, invoice: Invoice, subscription: Subscription) -> Invoice:
    """Give up an attempt that waits for its customer, so that something else may take the money; any other stays.

    Safe to run twice: the payment is cancelled at the processor first, whose answer decides. One that was
    confirmed at the last moment is paid, or under way.
    """
    attempt = invoice.attempt
    if invoice.status is not InvoiceStatus.OPEN or attempt is None or not attempt.awaits_customer:
        return invoice
    result = ctx.gateway.cancel_charge(charge_request(ctx, invoice, attempt))
    assert result is not None, "the processor knows what it asked a confirmation for"
    return settle(ctx, invoice, subscription, result)


def settle(ctx: Context, invoice: Invoice, subscription: Subscription, result: ChargeResult) -> Invoice:
    """Write the outcome of the invoice's latest attempt, exactly once however many report it.

    The loser of a race reads what the winner wrote: an attempt that is settled stays as it is.
    """
    number = invoice.attempts[-1].number
    fresh: tuple[Invoice, Subscription] | None = (invoice, subscription)

    def decide() -> Invoice:
        nonlocal fresh
        current, owner = fresh or load(ctx, invoice.id)
        fresh = None
        attempt = current.attempt
        if attempt is None or attempt.number != number:
            return current
        if late_money.is_late(current, result):
            return _give_back(ctx, current, result)
        waiting = _waiting(ctx, owner, current) if result.outcome in collection.SETBACKS else ()
        decision = collection.settle(
            current,
            owner,
            result,
            at=instants(ctx),
            waiting=waiting,
            rules=_rules(ctx, owner, result),
            is_replaced=_is_replaced(ctx, current, attempt, result),
        )
        if decision is None:
            return current
        after = decision.subscription
        if after is not None and after.pending is None and not change_steps.is_paid_by(owner, current):
            decision = waiting_changes.dropped(ctx, owner, decision)
        stored = decisions.commit(ctx, current.customer_id, _with_bought(ctx, decision))
        assert stored.invoice is not None
        return stored.invoice

    return deciding(decide)


def collect_due(ctx: Context, invoice_id: str) -> None:
    """The due row of an invoice: finish what a crash or a lost answer left open in the air, or begin what had to wait
    for the customer's dispute.
    """
    invoice, subscription = load(ctx, invoice_id)
    waits_until = holding.waits_until(invoice)
    if waits_until is not None and waits_until <= ctx.now:
        begin_and_collect(ctx, invoice_id, automatic=True)
    else:
        collect(ctx, invoice, subscription)


def begin_and_collect(ctx: Context, invoice_id: str, *, automatic: bool = False) -> Invoice:
    """Write down the next attempt of an open invoice (or find the open one) and collect it.

    May run twice: a second run finds the attempt of the first. One that waits for its customer is cancelled
    before; answers the invoice as it is where that shows that it is paid, or may be. `automatic`: nobody asked for
    it, so it waits while the customer disputes a payment.
    """
    begin = holding.begin_automatic if automatic else collection.begin_attempt
    found = load(ctx, invoice_id)
    fresh: tuple[Invoice, Subscription] | None = found
    if found[0].attempt is not None and found[0].attempt.awaits_customer:
        fresh, stopped = None, stop_waiting(ctx, *found)
        if stopped.status is not InvoiceStatus.OPEN or (stopped.attempt and stopped.attempt.awaits_customer):
            return stopped

    def decide() -> tuple[Invoice, Subscription]:
        nonlocal fresh
        invoice, subscription = fresh or load(ctx, invoice_id)
        fresh = None
        account = ctx.store.get(account_key(ctx.env, invoice.customer_id))
        assert account is not None
        begun = begin(invoice, account, instants(ctx))
        if begun is invoice:
            return invoice, subscription
        return _written_down(ctx, begun, account, subscription), subscription

    return collect(ctx, *deciding(decide))


def load(ctx: Context, invoice_id: str) -> tuple[Invoice, Subscription]:
    """The invoice and its subscription; NotFoundError."""
    invoice = ctx.store.get(child_key(Invoice, ctx.env, invoice_id))
    if invoice is None:
        raise NotFoundError("no such invoice", id=invoice_id)
    subscription = ctx.store.get(child_key(Subscription, ctx.env, invoice.subscription_id))
    assert subscription is not None
    return invoice, subscription


def instants(ctx: Context) -> Instants:
    return Instants(ctx.now, ctx.machine_now)


def charge_request(ctx: Context, invoice: Invoice, attempt: Attempt) -> ChargeRequest:
    """The same for every repetition: all of it is frozen in invoice and attempt."""
    return ChargeRequest(
        env=ctx.env,
        customer_id=invoice.customer_id,
        subscription_id=invoice.subscription_id,
        invoice_id=invoice.id,
        currency=invoice.currency,
        description=f"Invoice {invoice.number}",
        attempt=attempt,
    )


def _ask(ctx: Context, invoice: Invoice, attempt: Attempt) -> ChargeResult | None:
    """The attempt's outcome; None when its key is too old to repeat and the processor has no trace of it."""
    if not attempt.method:
        return ChargeResult(outcome=Outcome.DECLINED, decline=NO_METHOD)
    if attempt.over_limit:
        return ChargeResult(outcome=Outcome.DECLINED, decline=card_limit.LIMIT_REACHED)
    request = charge_request(ctx, invoice, attempt)
    if attempt.status is AttemptStatus.PROCESSING or attempt.key_expired(ctx.machine_now):
        return ctx.gateway.find_charge(request)
    result = ctx.gateway.charge(request)
    if result.outcome is Outcome.UNKNOWN:
        result = ctx.gateway.find_charge(request) or result
    return result


def _collect_anew(ctx: Context, invoice: Invoice, subscription: Subscription) -> Invoice:
    """A new attempt in place of one that never reached the processor; its key is young, so it is charged. While the
    customer disputes a payment it waits.

    Who loses the race for it goes on with what the winner began.
    """
    lost = invoice.attempts[-1]

    def decide() -> tuple[Invoice, Subscription]:
        current, owner = load(ctx, invoice.id)
        if current.status is not InvoiceStatus.OPEN or current.attempt != lost:
            return current, owner
        account = account_of(ctx, current.customer_id)
        begun = holding.begin_anew(current, account, instants(ctx))
        return _written_down(ctx, begun, account, owner), owner

    return collect(ctx, *deciding(decide))


def _written_down(ctx: Context, begun: Invoice, account: Account, subscription: Subscription) -> Invoice:
    """Commit the attempt just begun, and with it its card's try reserved on the account: who meets another's
    decides anew.
    """
    limit = _policy(ctx, subscription)[1].attempts_per_card
    begun, reserved = card_limit.admitted(begun, card_limits.with_room(ctx, account, limit), limit, ctx.now)
    changed = (begun,) if reserved == account else (begun, reserved)
    ctx.store.commit(ctx.env, *changed)
    return replace(begun, version=begun.version + 1)


def _give_back(ctx: Context, invoice: Invoice, result: ChargeResult) -> Invoice:
    """Refund money that came for a void invoice. May run twice: it is one payment, and the attempt is closed once."""
    return_late(ctx, invoice, result, late_money.attempt_closed(invoice, result, instants(ctx)))
    return load(ctx, invoice.id)[0]


def _waiting(ctx: Context, subscription: Subscription, invoice: Invoice) -> tuple[Invoice, ...]:
    """The other invoices of the dunning run, which end with it."""
    run = subscription.dunning
    others = [other for other in run.invoices if other != invoice.id] if run else []
    if not others:
        return ()
    found = ctx.store.get_many([child_key(Invoice, ctx.env, other) for other in others])
    return tuple(other for other in found if other is not None)


def _with_bought(ctx: Context, decision: Decision) -> Decision:
    """The decision with the prepaid credits that its invoice sold there once it is paid."""
    invoice = decision.invoice
    if invoice is None or invoice.status is not InvoiceStatus.PAID or not prepaid.is_purchase(invoice):
        return decision
    account = decision.account or account_of(ctx, invoice.customer_id)
    there = prepaid.settled(account, invoice, ctx.now)
    return replace(decision, account=there.account, facts=decision.facts + there.facts)


def _is_replaced(ctx: Context, invoice: Invoice, attempt: Attempt, result: ChargeResult) -> bool:
    """Whether the customer has another payment method than the one declined; read after the subscription, so who
    attaches one later meets the run as this decline leaves it.
    """
    if result.outcome is not Outcome.DECLINED or not attempt.method:
        return False
    method = account_of(ctx, invoice.customer_id).payment_method
    return method is not None and method.id != attempt.method


def _rules(ctx: Context, subscription: Subscription, result: ChargeResult) -> Rules:
    """The dunning rules of the catalog version that was bought; only what was not paid asks for them."""
    if result.outcome not in collection.SETBACKS:
        return Rules()
    catalog = ctx.catalogs.version(ctx.env, subscription.catalog_version)
    name, policy = _policy(ctx, subscription)
    free = None
    if policy.end is EndState.FREE_PLAN and policy.free_plan is not None:
        plan = catalog.plan(policy.free_plan)
        free = Item(id="plan", kind=ItemKind.PLAN, product=plan.id, name=plan.name, starts_at=ctx.now)
    return Rules(policy=policy, policy_name=name, free=free)


def _policy(ctx: Context, subscription: Subscription) -> tuple[str, DunningPolicy]:
    """That of the run under way, or of the one that would begin."""
    if subscription.dunning is not None:
        return subscription.dunning.policy_name, subscription.dunning.policy
    catalog = ctx.catalogs.version(ctx.env, subscription.catalog_version)
    return policy_of(ctx, subscription, catalog)


def policy_of(ctx: Context, subscription: Subscription, catalog: Catalog) -> tuple[str, DunningPolicy]:
    """The name of the dunning policy, and the policy. The customer's segment is looked up only where the catalog has
    policies for segments.
    """
    segment = ""
    if catalog.dunning_by_segment:
        customer = ctx.store.get(customer_key(ctx.env, subscription.customer_id))
        segment = customer.segment if customer else ""
    return catalog.dunning_of(subscription.plan.product, segment)


def account_of(ctx: Context, customer_id: str) -> Account:
    account = ctx.store.get(account_key(ctx.env, customer_id))
    if account is None:
        raise NotFoundError("no such customer", id=customer_id)
    return account
