# PYTHON is what the virtual environment is made with: make PYTHON=python3.12 demo
PYTHON ?= python3
# TEST_WORKERS is how many processes the tests run in, each of one thread: torch, faiss and OpenMP
# would take all cores in each of them, and wait for each other.
TEST_WORKERS ?= 2
BIN := .venv/bin
INSTALLED := .venv/.installed
INSTALLING := .venv/.installing

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint format lock train-default train-image-encoder \
  train-text-relation train-query train-relevance reproduce clean

help:
	@echo "make demo                             build the demo index and check four claims"
	@echo "make test                             run the tests"
	@echo "make test-slow                        run the tests that take minutes"
	@echo "make lint                             ruff and mypy"
	@echo "make format                           lay out the code"
	@echo "make lock                             write requirements.lock anew"
	@echo "make train-text-relation DATA=FOLDER  train the shipped text relation encoder"
	@echo "make train-query DATA=FOLDER          train what a search asks with"
	@echo "make train-relevance DATA=FOLDER      train what puts the hits of a search in order"
	@echo "make train-default DATA=FOLDER        compose a data set and train the shipped checkpoint"
	@echo "make train-image-encoder DATA=FOLDER  train the shipped image encoder"
	@echo "make reproduce DATA=FOLDER            make the README's results table anew"
	@echo "make clean                            remove build results and caches, not .venv"

setup: $(INSTALLED)

# Nothing is installed that is not in the lock file, the build backend included. The stamp appears
# when all is done; what an interrupted set-up left is thrown away, for half-installed packages look
# installed.
$(INSTALLED): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "factcheck needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 3; }
	@if [ -e $(INSTALLING) ]; then rm -rf .venv; fi
	$(PYTHON) -m venv .venv
	@touch $(INSTALLING)
	$(BIN)/python -m pip install --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	@mv $(INSTALLING) $(INSTALLED)
	@touch $(INSTALLED)

demo: $(INSTALLED)
	@mkdir -p build
	$(BIN)/factcheck index build data/demo/corpus.jsonl --out build/demo.index --overwrite
	$(BIN)/factcheck check data/demo/four-claims.jsonl --index build/demo.index

test: export HF_HUB_OFFLINE = 1
test: export OMP_NUM_THREADS = 1
test: $(INSTALLED)
	$(BIN)/python -m pytest --numprocesses $(TEST_WORKERS) --dist loadfile

test-slow: export HF_HUB_OFFLINE = 1
test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The pins that are there are kept; make lock UPGRADE=--upgrade takes the newest releases.
COMPILE := uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
  --generate-hashes --no-emit-index-url --output-file requirements.lock
lock: $(INSTALLED)
	$(BIN)/$(COMPILE) --quiet --custom-compile-command "$(COMPILE)" $(UPGRADE)

train-text-relation: $(INSTALLED) | build/all-mpnet-base-v2
	$(call require_data)
	$(BIN)/factcheck train configs/text-relation-teacher.yaml --data $(DATA) \
	  --out build/text-relation-teacher
	$(BIN)/factcheck train configs/text-relation.yaml --data $(DATA) --out build/text-relation

# What the teacher starts from, 438 MB; needed for training alone.
build/all-mpnet-base-v2: | $(INSTALLED)
	$(BIN)/python scripts/fetch_teacher.py --out $@

train-query: $(INSTALLED)
	$(call require_data)
	$(BIN)/factcheck train configs/query.yaml --data $(DATA) --out build/query

train-relevance: $(INSTALLED)
	$(call require_data)
	$(BIN)/factcheck train configs/relevance.yaml --data $(DATA) --out build/relevance

# What it is made with must be there, and is no reason to make it anew.
build/composed: | $(INSTALLED)
	$(call require_data)
	$(BIN)/factcheck data compose configs/compose-default.yaml --data $(DATA) --out build/composed

# A system is a file in configs/reproduce; the table goes into the README.
reproduce: $(INSTALLED) build/composed
	$(BIN)/python scripts/reproduce_results.py configs/reproduce --data build/composed \
	  --precision auto --cache build/reproduce.sqlite --readme README.md

# Three heads, and the one that ships, which learns from them.
train-default: $(INSTALLED) build/composed
	$(BIN)/python scripts/train_seeds.py configs/fusion-teacher.yaml --data build/composed \
	  --work build/fusion-teachers --out build/fusion-teachers/seeds.json
	$(BIN)/factcheck train configs/fusion-default.yaml --data build/composed --out build/fusion-default \
	  --cache build/fusion-teachers/encodings.sqlite

train-image-encoder: $(INSTALLED)
	$(call require_data)
	$(BIN)/factcheck train configs/image-encoder.yaml --data $(DATA) --out build/image-encoder
	$(BIN)/factcheck train configs/image-encoder-160.yaml --data $(DATA) --out build/image-encoder-160
	$(BIN)/factcheck train configs/image-encoder-160-again.yaml --data $(DATA) \
	  --out build/image-encoder-160-again
	$(BIN)/factcheck train configs/copy-readout.yaml --data $(DATA) --out build/copy-readout

define require_data
	@test -d "$(DATA)" || { echo "name the data folder: make $@ DATA=FOLDER" >&2; exit 2; }
endef

clean:
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache
	find factcheck scripts tests -name __pycache__ -type d -exec rm -rf {} +
