# Everything happens in .venv, which the first target to need it creates.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# A process for each core, of one thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto
INSTALL := $(PIP) install --quiet --constraint constraints.txt --editable

.PHONY: help train test test-slow test-versions lint format docs bench dist clean
.DEFAULT_GOAL := help

help:
	@echo "make train   train SGD and FG-SGD on real digits, write runs/digits/report.html"
	@echo "make test    run the tests"
	@echo "make test-slow  run the tests that take long"
	@echo "make test-versions  run the tests with the oldest and newest versions (downloads them)"
	@echo "make lint    ruff and mypy"
	@echo "make docs    build the documentation into docs/_build/html"
	@echo "make bench   measure speed"
	@echo "make dist    build wheel and sdist into dist/, and try the wheel by itself"
	@echo "make clean   remove the virtual environment and everything generated"

.venv/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "Python 3.10 or newer is needed; name one: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/core: .venv/created pyproject.toml constraints.txt
	$(INSTALL) '.'
	@touch $@

.venv/dev: .venv/created pyproject.toml constraints.txt
	$(INSTALL) '.[test,lint,docs,benchmarks,release]'
	@touch $@ .venv/core

train: .venv/core
	$(BIN)/python -m fgmanifolds compare --data digits --model cnn --seeds 3 --out runs/digits --overwrite

test: .venv/dev
	$(PYTEST) --dist loadfile -m 'not slow'

test-slow: .venv/dev
	$(PYTEST) --dist worksteal -m slow

test-versions: .venv/dev
	$(PIP) install --quiet --constraint constraints.txt nox
	$(BIN)/python -m nox

lint: .venv/dev
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy

format: .venv/dev
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

docs: .venv/dev
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html
	$(BIN)/python docs/check_site.py docs/_build/html
	@echo "docs/_build/html/index.html"

bench: .venv/dev
	$(BIN)/python -m pytest benchmarks --benchmark-only --benchmark-group-by=group
	$(BIN)/python benchmarks/steps.py
	$(BIN)/python benchmarks/networks.py
	$(BIN)/python benchmarks/overheads.py
	$(BIN)/python benchmarks/costs.py
	$(BIN)/python benchmarks/solvers.py
	$(BIN)/python -m fgmanifolds verify --mutate

dist: .venv/dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	$(PYTHON) -m venv dist/venv
	dist/venv/bin/python -m pip install --quiet --constraint constraints.txt dist/*.whl
	cd dist && venv/bin/python ../.ci/smoke.py
	rm -rf dist/venv

clean:
	rm -rf .venv runs dist docs/_build docs/_generated docs/api docs/gallery .pytest_cache .mypy_cache .ruff_cache .hypothesis .nox
