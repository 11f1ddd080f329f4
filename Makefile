# `make demo` and `make test` set up all they need; a second run starts at once.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help setup demo test acceptance bench screenshots lint types imports check clean

help: ## Show these targets
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  %-12s %s\n", $$1, $$2}'

demo: $(VENV)/.run ## A real training run on this machine, on a live dashboard
	@$(BIN)/ugro-tui demo $(ARGS)

setup: $(VENV)/.dev ## Create .venv with everything for development

test: $(VENV)/.dev ## The test suite (under 10 minutes on 2 cores)
	@command -v tmux >/dev/null || echo "note: tmux is missing, so the real-terminal tests are skipped (Debian: apt-get install tmux)"
	@command -v cc >/dev/null || echo "note: no C compiler, so the NVML stand-in tests are skipped (Debian: apt-get install gcc libc6-dev)"
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin"; for part in sshd ssh rsync; do command -v $$part >/dev/null || \
	  echo "note: $$part is missing, so tests of nodes over SSH are skipped (Debian: apt-get install openssh-server openssh-client rsync)"; done
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin"; for part in slurmctld munged; do command -v $$part >/dev/null || \
	  echo "note: $$part is missing, so tests of Slurm are skipped (Debian: apt-get install slurm-wlm munge)"; done
	$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

acceptance: $(VENV)/.dev ## The long repetitions, of which `make test` runs one each
	$(BIN)/python -m pytest -m acceptance $(ARGS)

bench: $(VENV)/.dev ## Benchmarks: ratios are asserted, absolute figures printed
	$(BIN)/python -m pytest tests/benchmarks -m bench -s $(ARGS)

screenshots: $(VENV)/.dev ## Draw screenshots/ from the fixtures of the snapshot tests
	$(BIN)/python -m tests.ui.gallery screenshots

lint: $(VENV)/.dev ## ruff, and the emitter's Python >= 3.9 syntax
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/vermin --quiet --no-tips --eval-annotations --violations -t=3.9- emitter/ugro_emitter
	$(BIN)/vermin --quiet --no-tips --violations -t=3.6- ugro_tui/nodes/helper*.py ugro_tui/act/entry.py

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

imports: $(VENV)/.dev ## The import arrows between the rooms
	$(BIN)/lint-imports

check: lint types imports ## All three

clean: ## Remove .venv and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist snapshot_report.html
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "ugro-tui needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Name another: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@echo "Creating $(VENV) …"
	@$(PYTHON) -m venv $(VENV) || { echo "no venv: on Debian, apt-get install python3-venv"; rm -rf $(VENV); exit 1; }

# What a demo needs: the application, the emitter and torch (about 200 MB to download the first time).
$(VENV)/.run: pyproject.toml constraints.txt emitter/pyproject.toml | $(BIN)/python
	@echo "Installing ugro-tui, the emitter, torch and tensorboard …"
	$(PIP) install -c constraints.txt -e ./emitter -e '.[train]'
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt emitter/pyproject.toml | $(BIN)/python
	@echo "Installing ugro-tui, the emitter, torch and the development tools …"
	$(PIP) install -c constraints.txt -e ./emitter -e '.[train,hf,dev]'
	@touch $@ $(VENV)/.run
