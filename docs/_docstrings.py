"""Extension of griffe: shows the reStructuredText of docstrings in pages, which are Markdown.

What docstrings use of it is turned into Markdown: roles (``:class:`~convoi.nn.Conv```) into links,
formulas into MathML, simple tables into tables, and the ``::`` before a block of code into ``:``.
"""

from __future__ import annotations

import re
from typing import Any

import griffe
from latex2mathml.converter import convert

_MATH = re.compile(r":math:`([^`]+)`")
_MATH_BLOCK = re.compile(r"^( *)\.\. math:: (.*(?:\n\1 +\S.*)*)$", re.MULTILINE)
_ROLE = re.compile(r":(?:py:)?[a-z]+:`(~?)([^`]+)`")
_TABLE = re.compile(r"^( *)(=+(?: +=+)+)\n(.*)\n\1\2\n((?:.*\n)*?)\1\2$", re.MULTILINE)
_CODE_FOLLOWS = re.compile(r"(?<=\w)::$", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Rewrites each docstring once all names are known."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:  # noqa: ANN401 - griffe's
        """Rewrite the docstring of one object."""
        if obj.docstring:
            obj.docstring.value = _markdown(obj.docstring.value, obj)


def _markdown(text: str, obj: griffe.Object) -> str:
    text = _MATH_BLOCK.sub(_formula, text)
    text = _MATH.sub(lambda match: convert(match[1]), text)
    text = _TABLE.sub(_table, text)
    text = _ROLE.sub(lambda match: _link(match, obj), text)
    return _CODE_FOLLOWS.sub(":", text)


def _formula(match: re.Match[str]) -> str:
    indent, latex = match.groups()
    return indent + convert(" ".join(latex.split()), display="block")


def _table(match: re.Match[str]) -> str:
    """Return the table with its columns cut where the rules end."""
    indent, rule, head, body = match.groups()
    columns = [slice(*column.span()) for column in re.finditer("=+", rule)]
    # The text of the last column may be longer than its rule.
    columns[-1] = slice(columns[-1].start, None)
    rows = [
        [line[len(indent) :][column].strip() for column in columns]
        for line in (head, *body.splitlines())
    ]
    rows.insert(1, ["---"] * len(columns))
    return "\n".join(f"{indent}| {' | '.join(row)} |" for row in rows)


def _link(match: re.Match[str], obj: griffe.Object) -> str:
    """Return a name as code that links to its description, where a page has one."""
    shortened, target = match.groups()
    shown = target.rpartition(".")[2] if shortened else target
    try:
        path = obj.resolve(target)
    except griffe.NameResolutionError:
        path = target
    return f'<autoref optional identifier="{path}"><code>{shown}</code></autoref>'
