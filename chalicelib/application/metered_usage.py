"""What a subscription has used on the meters that it is billed for, as its invoices need it."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.application.context import Context
from chalicelib.application.records import child_key
from chalicelib.domain.metered import meters_of
from chalicelib.domain.subscription import Item, Subscription
from chalicelib.domain.usage import Usage, usage_id


def usage_of(ctx: Context, subscription: Subscription, also: Sequence[Item] = ()) -> tuple[Usage, ...]:
    """What it has used on the meters that it is billed for (and that `also` will be); nothing is read where there
    are none.
    """
    meters = meters_of((*subscription.items, *also))
    keys = [child_key(Usage, ctx.env, usage_id(subscription.id, meter)) for meter in meters]
    return tuple(usage for usage in (ctx.store.get_many(keys) if keys else ()) if usage is not None)
