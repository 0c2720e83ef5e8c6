# make run    the demo on http://127.0.0.1:8000, from a clean clone
# make test   every test but the long ones
# The rest is for contributors: docs/contributing.md.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
WORKERS ?= 2

.PHONY: run test soak check format types lock clean

run: $(VENV)/.serving
	$(BIN)/cds run

test: $(VENV)/.testing
	$(BIN)/pytest -n $(WORKERS) --dist loadfile -m "not soak"

soak: $(VENV)/.testing
	$(BIN)/pytest -m soak

check: $(VENV)/.testing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.testing
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.testing
	$(BIN)/mypy

$(VENV)/bin/python:
	sh .ci/make-venv $(PYTHON) $(VENV)

# Byte code of the libraries' own tests would be a tenth of a gigabyte.
$(VENV)/.serving: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install --no-compile --constraint constraints.txt --editable .
	-$(BIN)/python -m compileall -q -x '/tests/' $(VENV)/lib
	touch $@

$(VENV)/.testing: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install --constraint constraints.txt --editable '.[test,train]'
	touch $@ $(VENV)/.serving

# Brings every pin to the newest version that pyproject.toml allows.
lock:
	sh .ci/make-venv $(PYTHON) build/lock
	build/lock/bin/python -m pip install --quiet '.[test,train]'
	build/lock/bin/python -m pip freeze --exclude roentgen-cds --exclude-editable | sed 's/+cpu$$//' > constraints.txt
	rm -r build/lock

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
