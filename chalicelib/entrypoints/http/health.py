"""Is it up?"""

from __future__ import annotations

from typing import Literal

from chalice.app import Blueprint

from chalicelib.entrypoints.http.kit import Call, View, endpoint

bp = Blueprint(__name__)


class HealthView(View):
    status: Literal["ok"] = "ok"


@endpoint(bp, "GET", "/v1/health", answer=HealthView, public=True, tag="Meta", summary="Is the API up?")
def health(call: Call[None]) -> HealthView:
    return HealthView()
