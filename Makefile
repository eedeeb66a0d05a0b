# make analyze [CAPTURE=path]   what is being done to the traffic in a capture
# make test                     everything that must hold before a change goes in
# make bench                    time and memory next to tshark, ndpiReader and others, on a million packets
# make bench-memory             peak memory on 1 GB and on 10 GB (SIZES="1 10", in units of 10⁹ bytes)
# make compare [CAPTURES=dir]   every packet of real captures next to tshark, one line a file
# make lab [LAB="sni-* benign-*"]  real clients and servers with a middlebox between them, scored frame by frame (root)
# make demo                     a censored user's half minute, staged, judged live and reported (root)
# make crosscheck [CAPTURES=dir] names, look-ups, requests, resets and retransmissions next to tshark, one line a file
# make fuzz [FUZZ_SECONDS=60]   hostile captures, guided by what they reach, so long for each target
#
# All make their own virtual environment; a second run installs nothing.
# PYTHON=/path/to/python3.11 chooses the interpreter.

CAPTURE ?= pcaps/demo-whatsapp-2017/capture.pcap
WORKERS ?= 2
RUNS ?= 3
SIZES ?= 1 10
CAPTURES ?= ../shared/captures pcaps
FUZZ_SECONDS ?= 60
LAB ?=
LAB_WORKERS ?= 4
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
BENCH := build/bench
NFSTREAM := nfstream==6.6.0
export PYTHON

.PHONY: analyze test lint types check bench bench-memory compare lab demo fuzz format clean

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

bench: $(BENCH)/million.pcap
	@scripts/setup bench
	@scripts/setup nfstream $(BENCH)/nfstream "$(NFSTREAM)"
	@$(BIN)/python benchmarks/compare.py $(BENCH)/million.pcap --runs $(RUNS)

bench-memory: $(BENCH)/million.pcap
	@$(BIN)/python benchmarks/memory.py $(BENCH)/million.pcap --gigabytes $(SIZES)

$(BENCH)/million.pcap: benchmarks/million.py | $(VENV)/installed
	@$(BIN)/python benchmarks/million.py $@

compare: $(VENV)/installed-test
	@scripts/setup system
	@$(BIN)/python -m tests.shared.compare $(CAPTURES)

# Whoever cannot run it learns so before anything is installed.
lab:
	@scripts/setup lab
	@$(MAKE) --no-print-directory $(VENV)/installed-lab
	@set -f; $(BIN)/python -m tests.lab.run --workers $(LAB_WORKERS) -- $(LAB)

demo:
	@scripts/setup lab demo
	@$(MAKE) --no-print-directory $(VENV)/installed-lab
	@$(BIN)/python -m tests.lab.demo

crosscheck: $(VENV)/installed-test
	@scripts/setup system
	@$(BIN)/python -m tests.shared.crosscheck $(CAPTURES)

fuzz: $(VENV)/installed-fuzz
	@$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS) $(TARGETS)

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

$(VENV)/installed-lab: $(VENV)/installed-test
	@echo "setup: installing what speaks QUIC in the laboratory into $(VENV)" >&2
	@$(PIP) install --editable '.[lab]'
	@touch $@

# Guided fuzzing needs atheris, which has no build for every Python: without it, the targets run unguided.
$(VENV)/installed-fuzz: $(VENV)/installed-test
	@echo "setup: installing what guides the fuzzing into $(VENV)" >&2
	@$(PIP) install --editable '.[fuzz]' || echo "setup: atheris cannot be installed here; fuzzing goes on unguided" >&2
	@touch $@
