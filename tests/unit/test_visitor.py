"""Which environment a link leads to."""

from __future__ import annotations

import pytest

from chalicelib.domain.errors import NotFoundError
from chalicelib.entrypoints.pages.visitor import enter_by_link


class NobodyLooks:
    def entering(self, env, actor):
        raise AssertionError(f"looked for {env!r}")


@pytest.mark.parametrize(
    "env", ["", " ", "x", "sbx_", "sbx_" + "a" * 3000, "live\n", "LIVE", "sbx_" + "ä" * 26]
)
def test_what_cannot_be_an_environment_is_not_looked_for(env):
    with pytest.raises(NotFoundError):
        enter_by_link(NobodyLooks(), env)
