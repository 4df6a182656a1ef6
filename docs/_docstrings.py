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
_ROLE = re.compile(r":(?:py:)?[a-z]+:`(?:([^`<]+?)\s+<([^`>]+)>|(~?)([^`]+))`")
_TABLE = re.compile(r"^( *)(=+(?: +=+)+)\n(.*)\n\1\2\n((?:.*\n)*?)\1\2$", re.MULTILINE)
_TYPE = re.compile(r"^( *[\w*, ]+ : )(.+)$", re.MULTILINE)
_SEE_ALSO = re.compile(r"(?<=See Also\n)( *)-+\n(?:\1.*\S.*\n?)+")
_RELATED = re.compile(r"^( *)([\w.]+) : ", re.MULTILINE)
_CODE_FOLLOWS = re.compile(r"(?<=\w)::$", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Rewrites each docstring once all names are known."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:  # noqa: ANN401 - griffe's
        """Rewrite the docstring of one object; that of ``__init__`` has nothing for readers."""
        if obj.name == "__init__":
            obj.docstring = None
        elif obj.docstring:
            obj.docstring.value = _markdown(obj.docstring.value, obj)


def _markdown(text: str, obj: griffe.Object) -> str:
    # griffe takes the hyphen of "array-like" for a minus, unless it is another character.
    text = _TYPE.sub(
        lambda match: match[1] + match[2].replace("-like", "\N{NON-BREAKING HYPHEN}like"), text
    )
    text = _MATH_BLOCK.sub(_formula, text)
    text = _MATH.sub(lambda match: convert(match[1]), text)
    text = _TABLE.sub(_table, text)
    text = _SEE_ALSO.sub(lambda match: _RELATED.sub(r"\1- :py:obj:`\2`: ", match[0]), text)
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
    shown, target, shortened, alone = match.groups()
    if shown is None:
        target, shown = alone, alone.rpartition(".")[2] if shortened else alone
    try:
        path = obj.resolve(target)
    except griffe.NameResolutionError:
        path = target
    return f'<autoref optional identifier="{path}"><code>{shown}</code></autoref>'
