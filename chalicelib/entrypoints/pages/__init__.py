"""Pages for people: rendered here, without scripts, styled by sheets whose digests the page's policy names."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from chalicelib.entrypoints.http.kit import Reply

if TYPE_CHECKING:
    from jinja2 import Environment

_HERE: Final = Path(__file__).parent


def page(
    template: str,
    *,
    sheets: tuple[str, ...] = ("base.css",),
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    sources: tuple[str, ...] = (),
    **data: Any,
) -> Reply:
    """`templates/<template>` with `data`, everything in it escaped, and `static/<sheets>` inlined.

    Nothing else may load or run: no script, no frame, no picture but those drawn in the page. `sources` are the
    origins of a widget (a captcha's) that the page cannot do without.
    """
    from markupsafe import Markup

    style = _style(sheets)
    content = _templates().get_template(template).render(style=Markup(style), **data)
    return Reply(
        content=content,
        status=status,
        headers={
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": _policy(style, sources),
            **(headers or {}),
        },
    )


def etag(content: object) -> str:
    """An entity tag by content: the same page is the same tag, wherever it was rendered."""
    return f'"{hashlib.sha256(str(content).encode()).hexdigest()[:24]}"'


@cache
def _policy(style: str, sources: tuple[str, ...]) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    widget = " ".join(sources)
    more = f"; script-src {widget}; frame-src {widget}; connect-src {widget}" if widget else ""
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'{widget and ' ' + widget}; img-src data:; "
        f"form-action 'self'; base-uri 'none'; frame-ancestors 'none'{more}"
    )


@cache
def _style(sheets: tuple[str, ...]) -> str:
    return "\n".join((_HERE / "static" / sheet).read_text(encoding="utf-8") for sheet in sheets)


@cache
def _templates() -> Environment:
    # Loading Jinja costs a cold start; what shows no page does not pay for it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
