# Every target builds the virtual environment that it needs, from nothing but python3 and make.
#   make test PYTHON=python3.12       another interpreter
#   make test ARGS="-k convolve -x"   options for the command of the target

PYTHON ?= python3
ARGS ?=
VENV := .venv
BENCH_VENV := .venv-bench

# The peers are fixed to releases, so that figures can be compared between runs.
BENCH_PEERS := torch==2.13.0 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 jax==0.10.2 \
  ncnn==1.0.20261020 opencv-python-headless==5.0.0.93 scikit-image==0.26.0

PIP_INSTALL := -m pip install --quiet --disable-pip-version-check

.DEFAULT_GOAL := help
# Two installations into one environment at a time would damage it.
.NOTPARALLEL:
.PHONY: help demo test lint bench docs clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.installed-plot ## Train a network on a data set that is at hand and show what it does
	$(VENV)/bin/python -m convoi.demo $(ARGS)

test: $(VENV)/.installed-test ## Run the tests and the examples of the docstrings
	$(VENV)/bin/python -m pytest -n 2 $(ARGS)

lint: $(VENV)/.installed-lint ## Check style, format, types and the direction of imports
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

bench: $(BENCH_VENV)/.installed ## Measure against PyTorch and others on this machine
	$(BENCH_VENV)/bin/python -m bench $(ARGS)

docs: $(VENV)/.installed-docs ## Build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --strict $(ARGS)

clean: ## Remove what the other targets made, virtual environments included
	rm -rf $(VENV) $(BENCH_VENV) build dist site .hypothesis .import_linter_cache \
	  .mypy_cache .pytest_cache .ruff_cache
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# An existing environment is kept if it works; a broken one is built again.
define ensure_venv
	@$(1)/bin/python -c 'import pip, sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	    echo "Convoi needs Python 3.10 or newer; choose one with: make PYTHON=python3.12" >&2; exit 1; }; \
	  $(PYTHON) -m venv --clear $(1); }
endef

$(VENV)/.installed: pyproject.toml
	$(call ensure_venv,$(VENV))
	$(VENV)/bin/python $(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.installed-%: pyproject.toml
	$(call ensure_venv,$(VENV))
	$(VENV)/bin/python $(PIP_INSTALL) --editable '.[$*]'
	@touch $@ $(VENV)/.installed

$(BENCH_VENV)/.installed: pyproject.toml
	$(call ensure_venv,$(BENCH_VENV))
	$(BENCH_VENV)/bin/python $(PIP_INSTALL) --editable . $(BENCH_PEERS)
	@touch $@
