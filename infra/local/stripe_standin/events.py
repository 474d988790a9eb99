"""Reading the events that every change of state leaves: get, list by type and time."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from .context import Call
from .errors import invalid
from .listing import page
from .store import Record


def retrieve(call: Call) -> Record:
    return call.find("event", call.ids[0])


def list_all(call: Call) -> dict[str, Any]:
    """Newest first; `type` and `types` may end in a wildcard as in `charge.*`."""
    wanted = call.params.get("types") or []
    if one := call.params.get("type"):
        if wanted:
            raise invalid("You may only specify one of these parameters: type, types.", param="types")
        wanted = [one]

    def keep(data: dict[str, Any]) -> bool:
        return not wanted or any(fnmatchcase(data["type"], pattern) for pattern in wanted)

    return page(call, "/v1/events", call.store.newest_first("event"), keep)
