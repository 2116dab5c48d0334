# Set-up is part of every target: a fresh clone needs Python 3.11 or newer (with venv), make, and access to PyPI.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python
STAMP := $(VENV)/.installed
DEV := $(VENV)/.installed-dev

.PHONY: demo test check format coverage bench reliability reliability-long clean

demo: $(STAMP)  ## run the main job with a local Slack and a local Ottu
	@$(RUN) -m bot demo

test: $(DEV)  ## run the tests
	$(RUN) -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder tests/proofs tests

check: $(DEV)  ## lint, formatting, types, and who imports whom
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m pytest -q tests/test_star.py

format: $(DEV)  ## format and mend what the linter can
	$(RUN) -m ruff format .
	$(RUN) -m ruff check --fix .

coverage: $(DEV)  ## the tests, with the branches that none of them takes
	$(RUN) -m pytest -q -n 4 --dist loadfile --no-loadscope-reorder --cov --cov-report=term-missing:skip-covered tests/proofs tests

bench: $(DEV)  ## how fast the audit is, against a floor measured in the same run
	$(RUN) benchmarks/verify.py

reliability: $(DEV)  ## the long proofs that money moves once: half an hour; figures go into docs/reliability.md
	$(RUN) -m tests.proofs

reliability-long: $(DEV)  ## three to sixteen times as much, in the background: hours; see reliability-long.log
	nohup $(RUN) -m tests.proofs --long > reliability-long.log 2>&1 &

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache build *.egg-info

# Everything by its hash, so that an installation next year gives the same: first what runs, then what tests it, then
# this project itself, without its build fetching anything.
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check

$(STAMP): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; try: make PYTHON=python3.12"; exit 1; }
	@echo "Setting up $(VENV) (once) …"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes -r requirements.lock
	@touch $(STAMP)

$(DEV): $(STAMP) requirements-dev.lock pyproject.toml
	@echo "Setting up what the tests need (once) …"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(DEV)
