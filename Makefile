# make stream | test | test-all | parity | dashboard | perf-check | test-gpu : each sets up .venv when needed and works offline from then on.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
PYTEST := $(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder

.PHONY: stream test test-all lint parity dashboard perf-check test-gpu clean

stream: $(READY)          ## the main job: STREAM from one source on every backend, beside native code
	$(BIN)/portapar stream --native

test: $(READY)            ## the tests, on one executor for each backend that this machine has: some minutes
	$(PYTEST) -m "not extra"

test-all: test            ## and then what `make test` leaves out: more executors, more ranks, long tests
	$(PYTEST) -m extra

lint: $(READY)            ## style, types and the layers
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

parity: $(READY)          ## portapar and native code alternately, ratios of medians, saved to bench/results
	$(BIN)/python -m bench.parity

# QUICK=1: small sizes, some minutes. SERVE=0: only the pages, in .asv/html.
dashboard: $(READY)       ## asv's benchmarks of HEAD, their pages with one of our own in front, served until Ctrl-C
	@$(BIN)/python -m bench.dashboard $(if $(filter-out 0,$(QUICK)),--quick) $(if $(filter 0,$(SERVE)),--no-serve)

perf-check: $(READY)      ## BASE=<commit>: that commit and this tree in turns; fails if something got slower
	@$(BIN)/python -m bench.perf_check $(BASE)

# For a machine with a GPU: nothing is installed; PYTHON is the interpreter that has CuPy, Numba and pytest.
test-gpu:                 ## the whole suite and the CUDA parity, with what is installed
	PORTAPAR_CACHE_DIR=$${PORTAPAR_CACHE_DIR:-$(CURDIR)/.cache} PYTHONPATH=$(CURDIR) $(PYTHON) -m pytest -q -rfE \
	    $$($(PYTHON) -c 'import xdist' 2>/dev/null && echo -n auto)
	PORTAPAR_CACHE_DIR=$${PORTAPAR_CACHE_DIR:-$(CURDIR)/.cache} PYTHONPATH=$(CURDIR) $(PYTHON) -m bench.parity --only cuda \
	    --json bench/results/parity-cuda.json

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("portapar needs Python 3.11 or later, this is " + sys.version.split()[0] + ": set PYTHON=...") if sys.version_info < (3, 11) else None'
	@echo "installing into $(VENV), once"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[all]' >$(VENV)/pip.log 2>&1 \
	    || { cat $(VENV)/pip.log >&2; exit 1; }
	@touch $(READY)

clean:
	rm -rf $(VENV) .cache build bench/native/build *.egg-info
