# Everything is made in .venv; nothing outside this folder and the user's cache is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
CHECK ?=
SHORT := results/runs/short

# the oldest transformers that is supported, in a second environment that takes all else from the first
OLDEST := .venv-oldest

.PHONY: help leaderboard smol test quick test-oldest lint types docs check baseline clean

help:
	@echo "make leaderboard   set up and run the embedded benchmark (5 min 30 s on two cores); ARGS='--limit 8' for the short form"
	@echo "make smol          fetch the second embedded model (89 MiB), for \`coreheads run smol\` and its tests"
	@echo "make test          set up and run all tests"
	@echo "make quick         the tests without the slow ones, in under two minutes"
	@echo "make test-oldest   the tests of adapters and RAM on the oldest supported transformers"
	@echo "make lint types    ruff; mypy in strict mode"
	@echo "make docs          the pages of docs/ and the API reference, into build/docs"
	@echo "make check         short embedded run against results/baseline.json (exit 1: a regression); CHECK='--junit FILE'"
	@echo "make baseline      write that baseline anew from a short embedded run"
	@echo "make clean         remove the virtual environment and build folders"

# torch first and pinned, so that no other package's range picks another build of it
$(VENV)/.ready: pyproject.toml constraints.txt tools/mend_torchvision.py
	@$(PYTHON) -c "import sys; sys.exit(0 if sys.version_info >= (3, 11) else 'coreheads needs Python 3.11 or newer, this is ' + sys.version.split()[0] + '; try make PYTHON=python3.11')"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	$(BIN)/python tools/mend_torchvision.py
	@touch $@

leaderboard: $(VENV)/.ready
	$(BIN)/coreheads run $(ARGS)

smol: $(VENV)/.ready
	$(BIN)/coreheads models fetch smol

test: $(VENV)/.ready
	$(BIN)/python -m pytest -n 2 $(ARGS)

quick: $(VENV)/.ready
	$(BIN)/python -m pytest -n 2 -m "not slow" $(ARGS)

$(OLDEST)/.ready: $(VENV)/.ready constraints-oldest.txt
	$(PYTHON) -m venv --clear $(OLDEST)
	$(BIN)/python -c "import sysconfig; print('import site; site.addsitedir(%r)' % sysconfig.get_path('purelib'))" > $$(echo $(OLDEST)/lib/python3*/site-packages)/base.pth
	$(OLDEST)/bin/python -m pip install --quiet --no-deps --requirement constraints-oldest.txt
	@touch $@

test-oldest: $(OLDEST)/.ready
	$(OLDEST)/bin/python -m pytest -n 2 -m "not slow" tests/adapters tests/harness/retrieval/test_ram.py \
		tests/harness/retrieval/test_ram_families.py --ignore tests/adapters/lmms_eval --ignore tests/adapters/tiny $(ARGS)

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# the three folders are one namespace only once installed: laid out as installed for tools that only read
PACKAGE := build/package
.PHONY: package
package:
	@rm -rf $(PACKAGE) && mkdir -p $(PACKAGE)
	@cp -r harness $(PACKAGE)/coreheads && cp -r adapters tasks $(PACKAGE)/coreheads/

types: $(VENV)/.ready package
	$(BIN)/mypy $(PACKAGE)/coreheads

docs: $(VENV)/.ready package
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

check: $(VENV)/.ready
	$(BIN)/coreheads run --limit 8 --out $(SHORT) $(ARGS)
	$(BIN)/coreheads check $(SHORT) --baseline results/baseline.json $(CHECK)

baseline: $(VENV)/.ready
	$(BIN)/coreheads run --limit 8 --out $(SHORT) $(ARGS)
	$(BIN)/coreheads check $(SHORT) --baseline results/baseline.json --update

clean:
	rm -rf $(VENV) $(OLDEST) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
