"""The people of a customer: who they are, what they may do, and who holds a seat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from chalicelib.application.context import Context, create_once, deciding
from chalicelib.application.customers import get_customer
from chalicelib.application.ports import VersionConflict
from chalicelib.application.records import Key, child_key, claim_key
from chalicelib.domain import ids
from chalicelib.domain.contact import email_address
from chalicelib.domain.customer import Claim, Member, Role
from chalicelib.domain.erasure import refuse_erased
from chalicelib.domain.errors import AlreadyExistsError, NotFoundError
from chalicelib.domain.journal import Fact, JournalEntry, entry
from chalicelib.domain.profile import plain_text

MEMBER_EMAIL: Final = "member_email"


@dataclass(frozen=True, kw_only=True, slots=True)
class MemberList:
    """A page of a customer's members; `seats_used` counts all of them."""

    members: tuple[Member, ...]
    seats_used: int
    cursor: str | None


def add_member(
    ctx: Context, customer_id: str, *, email: str, name: str = "", role: Role = Role.MEMBER, seat: bool = True
) -> Member:
    """A new member, once per e-mail address and customer. Safe to run twice: the id follows from the request.

    NotFoundError, ValidationError, AlreadyExistsError.
    """
    customer = get_customer(ctx, customer_id)
    refuse_erased(customer)
    member = Member(
        id=ids.child_id("mem", customer.id, ctx.request_key),
        customer_id=customer.id,
        email=email_address(email, field="email"),
        created_at=ctx.now,
        name=plain_text(name, field="name"),
        role=role,
        seat=seat,
        request=ctx.request_print,
    )
    claim = _claim(ctx, member)
    added = _journal(ctx, member, f"member.added:{member.id}", {"role": str(role), "seat": seat})

    def decide() -> Member:
        try:
            return create_once(ctx, member, claim, added)
        except VersionConflict:
            _require_unclaimed(ctx, claim)
            raise

    return deciding(decide)


def get_member(ctx: Context, customer_id: str, member_id: str) -> Member:
    """NotFoundError for a missing or foreign id, and for another customer's member."""
    ids.require("mem", member_id)
    member = None
    if ids.customer_of(member_id) == customer_id:
        member = ctx.store.get(child_key(Member, ctx.env, member_id))
    if member is None:
        raise NotFoundError("there is no such member", id=member_id)
    return member


def list_members(
    ctx: Context, customer_id: str, *, limit: int = 100, cursor: str | None = None
) -> MemberList:
    """Oldest first, those after `cursor`. NotFoundError without such a customer."""
    members = all_members(ctx, get_customer(ctx, customer_id).id)
    rest = tuple(member for member in members if cursor is None or _place(member) > cursor)
    page = rest[:limit]
    following = _place(page[-1]) if len(rest) > limit else None
    return MemberList(members=page, seats_used=seats_used(members), cursor=following)


def all_members(ctx: Context, customer_id: str) -> tuple[Member, ...]:
    """Oldest first: one Query of the customer's own partition."""
    members = ctx.store.children(Member, ctx.env, customer_id)
    return tuple(sorted(members, key=_place))


def seats_used(members: Iterable[Member]) -> int:
    """How many of them hold a seat: below this a subscription's seats cannot fall."""
    return sum(member.seat for member in members)


def update_member(ctx: Context, customer_id: str, member_id: str, changes: Mapping[str, Any]) -> Member:
    """Change `name`, `role` or `seat`. Safe to run twice: a second run finds nothing to change."""

    def decide() -> Member:
        old = get_member(ctx, customer_id, member_id)
        values = dict(changes)
        if "name" in values:
            values["name"] = plain_text(values["name"], field="name")
        new = replace(old, **values)
        changed = [name for name in values if getattr(old, name) != getattr(new, name)]
        if not changed:
            return old
        data = {"changed": changed, "role": str(new.role), "seat": new.seat}
        updated = _journal(ctx, old, f"member.updated:{old.id}:{old.version}", data)
        ctx.store.commit(ctx.env, new, updated)
        return replace(new, version=old.version + 1)

    return deciding(decide)


def remove_member(ctx: Context, customer_id: str, member_id: str) -> None:
    """The member is gone and the seat with them; the journal keeps that they were there. A second run answers
    NotFoundError.
    """

    def decide() -> None:
        member = get_member(ctx, customer_id, member_id)
        claim = _claim(ctx, member)
        removed = _journal(ctx, member, f"member.removed:{member.id}", {"seat": member.seat})
        gone: list[Key[Any]] = [
            child_key(Member, ctx.env, member.id),
            claim_key(ctx.env, claim.kind, claim.value),
        ]
        ctx.store.commit(ctx.env, removed, delete=gone)

    deciding(decide)


def _place(member: Member) -> str:
    """Where a member stands among the customer's, also after others were removed."""
    return f"{member.created_at.isoformat(timespec='microseconds')}~{member.id}"


def _claim(ctx: Context, member: Member) -> Claim:
    value = f"{member.customer_id} {member.email.lower()}"
    return Claim(kind=MEMBER_EMAIL, value=value, owner=member.id, at=ctx.now)


def _require_unclaimed(ctx: Context, claim: Claim) -> None:
    held = ctx.store.get(claim_key(ctx.env, claim.kind, claim.value))
    if held is not None and held.owner != claim.owner:
        raise AlreadyExistsError(
            "this customer has a member with this e-mail address",
            field="email",
            fix="update that member instead",
            member=held.owner,
        )


def _journal(ctx: Context, member: Member, cause: str, data: dict[str, Any]) -> JournalEntry:
    fact = Fact(cause.partition(":")[0], member.id, {"customer": member.customer_id, **data})
    return entry(
        member.customer_id, at=ctx.now, actor=ctx.actor, cause=cause, facts=(fact,), channel=ctx.channel
    )
