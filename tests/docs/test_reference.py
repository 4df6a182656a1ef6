"""The reference has every public name, and the guide the tables of the code."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from convoi.estimators.recipes import RECIPES

DOCS = Path(__file__).parents[2] / "docs"
PAGES = (DOCS / "reference").glob("*.md")
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
DESCRIBED = {*re.findall(r"^::: .*?(\w+)$", TEXT, re.MULTILINE), *re.findall(r"`(\w+)`", TEXT)}
"""What a page takes from a docstring, or names itself."""

MODULES = ["", ".data", ".estimators", ".inspection", ".nn", ".nn.networks", ".signal", ".training"]


@pytest.mark.parametrize("module", [import_module(f"convoi{name}") for name in MODULES])
def test_every_public_name_stands_in_the_reference(module):
    names = {name for name in module.__all__ if not name.startswith("__")}
    described = {n for n in names if isinstance(getattr(module, n), ModuleType)} | DESCRIBED
    assert names - described == set()


@pytest.mark.parametrize("recipe", [recipe for recipe in RECIPES if recipe.axes == 2])
def test_the_recipes_for_images_stand_in_the_guide(recipe):
    cells = (
        recipe.epochs,
        recipe.batch_size,
        recipe.learning_rate,
        recipe.augment,
        recipe.label_smoothing,
        recipe.weight_decay,
    )
    row = f" | {' | '.join(map(str, cells))} |\n"
    samples = f"up to {recipe.samples:,}" if recipe.samples else "more"
    guide = (DOCS / "estimators.md").read_text(encoding="utf-8")
    assert re.search(rf"^\| {samples}( images)?{re.escape(row)}", guide, re.MULTILINE)
