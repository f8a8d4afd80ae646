# `make demo` reads the bundled study; `make test` runs all fast tests. Both make what they need and are quick again.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: demo test test-slow test-pacs lint bench-simulator bench-pacs bench-networks bench-training bench-batch crosscheck desk system clean

demo: $(VENV)/.runtime
	$(BIN)/lumbar demo --out out

test: $(VENV)/.dev lint
	$(BIN)/python -m pytest -q -n 2

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -q -m slow

# 200 films through the node, into a real Orthanc, while both are stopped and killed: about a quarter of an hour.
test-pacs: $(VENV)/.dev
	$(BIN)/python -m pytest -q -s -m slow tests/test_pacs_endurance.py

lint: $(VENV)/.dev
	$(BIN)/ruff check src tests experiments benchmarks
	$(BIN)/ruff format --check src tests experiments benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

# Films a second on one core, and what a graphics card should make of it.
bench-simulator: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/simulator.py speed

# What the way round a PACS costs beside the reading.
bench-pacs: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/pacs.py

# All networks and the whole reading in one run: time, share of the convolution peak, memory.
bench-networks: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/networks.py

# Training steps of all methods, and where their time goes.
bench-training: $(VENV)/.dev
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/training.py

# What `lumbar batch` makes of two cores; films are simulated first.
bench-batch: $(VENV)/.dev
	$(BIN)/lumbar synthesise --films 32 --seed 7 --workers 2 --out out/bench-films
	$(BIN)/python benchmarks/batch.py speed out/bench-films

# The desk's page, built from desk/ into the package. Its build is committed, so that only who changes the page needs node.
desk: desk/node_modules
	cd desk && npm run --silent build

desk/node_modules: desk/package-lock.json
	cd desk && npm ci --silent --ignore-scripts
	@touch $@

# What pip cannot install: Pango, which draws the PDF reports; for the tests an archive and DICOM validators, a browser and a PostgreSQL
# server (Debian starts the servers as services, too, which the tests do not use). Where they cannot be had, the tests that need them skip.
SYSTEM_PACKAGES := libpango-1.0-0 libpangoft2-1.0-0 orthanc orthanc-dicomweb dcmtk dicom3tools chromium fonts-dejavu-core postgresql
system:
	@dpkg -s $(SYSTEM_PACKAGES) >/dev/null 2>&1 || { command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ] \
		&& apt-get update -qq && apt-get install -y -qq --no-install-recommends $(SYSTEM_PACKAGES) >/dev/null; } \
		|| echo "not installed: $(SYSTEM_PACKAGES); tests that need them will skip"

# The simulator's projector against RTK's. RTK takes 2 GB, so it has an environment of its own.
crosscheck: .venv-crosscheck/.ready
	PYTHONPATH=src .venv-crosscheck/bin/python experiments/projector_check.py

clean:
	rm -rf $(VENV) .venv-crosscheck desk/node_modules out .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.runtime

.venv-crosscheck/.ready:
	$(PYTHON) -m venv .venv-crosscheck
	.venv-crosscheck/bin/pip --disable-pip-version-check --quiet install 'itk-rtk>=2.7' opencv-python-headless numpy
	@touch $@
