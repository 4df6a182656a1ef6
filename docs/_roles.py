"""Extension of griffe: shows Sphinx roles in docstrings as the code that they name.

The pages are Markdown, which knows no ``:class:`~convoi.nn.Conv```.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:py:)?[a-z]+:`(~?)([^`]+)`")


class Roles(griffe.Extension):
    """Replaces each role by its target; a leading ``~`` leaves only the last name of it."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:  # noqa: ANN401
        """Replace the roles in the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = _ROLE.sub(_code, obj.docstring.value)


def _code(role: re.Match[str]) -> str:
    shortened, target = role.groups()
    return f"`{target.rpartition('.')[2] if shortened else target}`"
