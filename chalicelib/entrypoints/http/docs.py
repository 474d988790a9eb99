"""The API's description, a page to read it (no line of it from elsewhere), and what each problem means."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path

from chalice.app import Blueprint

from chalicelib.domain.errors import DomainError, NotFoundError
from chalicelib.entrypoints.http.endpoints import ENDPOINTS
from chalicelib.entrypoints.http.kit import Call, Reply, View, endpoint
from chalicelib.entrypoints.http.openapi import describe
from chalicelib.entrypoints.http.problems import KINDS

bp = Blueprint(__name__)

_STATIC = Path(__file__).parent / "static"
_VIEWER = _STATIC / "rapidoc" / "rapidoc-min.js"
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class ProblemTypeView(View):
    code: str
    status: int
    title: str
    meaning: str


@endpoint(bp, "GET", "/openapi.json", public=True, tag="Meta", summary="This description", hidden=True)
def openapi(call: Call[None]) -> Reply:
    text, tag = _description(call.services.public_url)
    headers = {"Content-Type": "application/json", "Cache-Control": "public, max-age=300", "ETag": tag}
    return Reply(content=text, headers=headers)


@endpoint(bp, "GET", "/docs", public=True, tag="Meta", summary="A page to read this", hidden=True)
def docs(call: Call[None]) -> Reply:
    page = (_STATIC / "docs.html").read_text(encoding="utf-8")
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": _CSP}
    return Reply(content=page, headers=headers)


@endpoint(bp, "GET", "/docs/rapidoc.js", public=True, tag="Meta", summary="The page's viewer", hidden=True)
def viewer(call: Call[None]) -> Reply:
    text, tag = _viewer()
    headers = {
        "Content-Type": "text/javascript; charset=utf-8",
        "Cache-Control": "public, max-age=86400",
        "ETag": tag,
    }
    return Reply(content=text, headers=headers)


@endpoint(
    bp,
    "GET",
    "/problems/{code}",
    answer=ProblemTypeView,
    public=True,
    tag="Meta",
    summary="What a problem's type means",
    errors=(NotFoundError,),
)
def problem_type(call: Call[None]) -> ProblemTypeView:
    code = call.path["code"]
    if code not in KINDS:
        raise NotFoundError("there is no such problem", id=code)
    kind = KINDS[code]
    return ProblemTypeView(
        code=code, status=kind.status, title=kind.title, meaning=_meanings().get(code, kind.title)
    )


@cache
def _description(base: str) -> tuple[str, str]:
    text = json.dumps(describe(ENDPOINTS.values(), base=base), ensure_ascii=False, separators=(",", ":"))
    return text, _tag(text)


@cache
def _viewer() -> tuple[str, str]:
    text = _VIEWER.read_text(encoding="utf-8")
    return text, _tag(text)


def _tag(text: str) -> str:
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'


def _meanings() -> dict[str, str]:
    """By code, what the error's own docstring says."""
    found: dict[str, str] = {}
    waiting = list(DomainError.__subclasses__())
    while waiting:
        error = waiting.pop()
        waiting.extend(error.__subclasses__())
        found.setdefault(error.code, " ".join((error.__doc__ or "").split()))
    return found
