"""A customer's members over HTTP."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.application import members as use_cases
from chalicelib.domain.customer import Member
from chalicelib.domain.errors import AlreadyExistsError, NotFoundError, ValidationError
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.schemas.customers import (
    MemberPage,
    MemberPatch,
    MemberQuery,
    MemberRequest,
    MemberView,
)

bp = Blueprint(__name__)


@endpoint(
    bp,
    "POST",
    "/v1/customers/{id}/members",
    body=MemberRequest,
    answer=MemberView,
    status=201,
    scope=Scope.WRITE,
    tag="Members",
    summary="Add a member",
    errors=(NotFoundError, ValidationError, AlreadyExistsError),
)
def add_member(call: Call[MemberRequest]) -> MemberView:
    body = call.body
    member = use_cases.add_member(
        call.ctx, call.path["id"], email=body.email, name=body.name, role=body.role, seat=body.seat
    )
    return _view(member)


@endpoint(
    bp,
    "GET",
    "/v1/customers/{id}/members",
    query=MemberQuery,
    answer=MemberPage,
    scope=Scope.READ,
    tag="Members",
    summary="List members, oldest first, and count the seats that they hold",
    errors=(NotFoundError, ValidationError),
)
def list_members(call: Call[None]) -> MemberPage:
    page = use_cases.list_members(call.ctx, call.path["id"], limit=call.query.limit, cursor=call.query.cursor)
    return MemberPage(
        data=[_view(member) for member in page.members], next_cursor=page.cursor, seats_used=page.seats_used
    )


@endpoint(
    bp,
    "GET",
    "/v1/customers/{id}/members/{member}",
    answer=MemberView,
    scope=Scope.READ,
    tag="Members",
    summary="Get a member",
    errors=(NotFoundError,),
)
def get_member(call: Call[None]) -> MemberView:
    return _view(use_cases.get_member(call.ctx, call.path["id"], call.path["member"]))


@endpoint(
    bp,
    "PATCH",
    "/v1/customers/{id}/members/{member}",
    body=MemberPatch,
    answer=MemberView,
    scope=Scope.WRITE,
    tag="Members",
    summary="Change a member's name, role or seat",
    errors=(NotFoundError, ValidationError),
)
def update_member(call: Call[MemberPatch]) -> MemberView:
    changes = call.body.model_dump(exclude_unset=True)
    return _view(use_cases.update_member(call.ctx, call.path["id"], call.path["member"], changes))


@endpoint(
    bp,
    "DELETE",
    "/v1/customers/{id}/members/{member}",
    status=204,
    scope=Scope.WRITE,
    tag="Members",
    summary="Remove a member and free their seat",
    errors=(NotFoundError,),
)
def remove_member(call: Call[None]) -> None:
    use_cases.remove_member(call.ctx, call.path["id"], call.path["member"])


def _view(member: Member) -> MemberView:
    return MemberView(
        id=member.id,
        customer=member.customer_id,
        email=member.email,
        name=member.name,
        role=member.role,
        seat=member.seat,
        created_at=member.created_at,
    )
