"""Hook of MkDocs: formulas between ``$$`` become MathML, which needs no scripts from elsewhere."""

from __future__ import annotations

import re
from typing import Any

from latex2mathml.converter import convert

_BLOCK = re.compile(r"^\$\$\n(.*?)\n\$\$$", re.MULTILINE | re.DOTALL)


def on_page_markdown(markdown: str, **_: Any) -> str:  # noqa: ANN401 - what MkDocs passes on
    """Return the page with its formulas as MathML."""
    return _BLOCK.sub(lambda found: convert(" ".join(found[1].split()), display="block"), markdown)
