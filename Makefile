# make analyze [CAPTURE=path]   what is being done to the traffic in a capture
# make test                     everything that must hold before a change goes in
# make bench                    time and memory next to tshark, on a million packets
#
# Both make their own virtual environment; a second run installs nothing.
# PYTHON=/path/to/python3.11 chooses the interpreter.

CAPTURE ?= pcaps/demo-whatsapp-2017/capture.pcap
WORKERS ?= 2
RUNS ?= 3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
export PYTHON

.PHONY: analyze test lint types check bench format clean

analyze: $(VENV)/installed
	@$(BIN)/forensics analyze -- "$(CAPTURE)"

test:
	@scripts/setup system
	@$(MAKE) --no-print-directory lint types check

lint: $(VENV)/installed-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/installed-test
	$(BIN)/mypy

check: $(VENV)/installed-test
	$(BIN)/pytest -n $(WORKERS)

bench:
	@scripts/setup system
	@$(MAKE) --no-print-directory $(VENV)/installed
	@$(BIN)/python benchmarks/million.py build/bench/million.pcap
	@$(BIN)/python benchmarks/compare.py build/bench/million.pcap --runs $(RUNS)

format: $(VENV)/installed-test
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

clean:
	rm -rf $(VENV) build dist

# The package is installed editable: only a change of what it needs calls for another install.
$(VENV)/installed: pyproject.toml
	@scripts/setup venv $(VENV)
	@echo "setup: installing forensics and what it needs into $(VENV)" >&2
	@$(PIP) install --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/installed
	@echo "setup: installing what the tests need into $(VENV)" >&2
	@$(PIP) install --editable '.[test]'
	@touch $@
