# `make test` and `make demo` need nothing but python3 (3.11 to 3.13) and the network, once.

PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin
READY := $(VENV)/.ready
DEMO ?= runs/demo
DEMO_OPTIONS ?= --epochs 12 --set vocab_size=2000 --set tokens_per_batch=1024 \
  --set learning_rate=4e-3 --set warmup_steps=300 --set score_every=7

export TF_CPP_MIN_LOG_LEVEL ?= 2

.DEFAULT_GOAL := test
.PHONY: test coverage test-slow test-parity test-beam lint demo build lock clean

# A process for each core; a file's tests stay together, for they share fixtures, and the files in
# the order of tests/conftest.py.
PYTEST := $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --quiet

QUICK := not slow and not parity and not beam and not network

test: lint
	$(PYTEST) -m "$(QUICK)"

# The quick tests again; counting lines takes two fifths of their time more.
coverage: $(READY)
	$(PYTEST) -m "$(QUICK)" --cov --cov-report=term

test-slow: $(READY)
	$(PYTEST) -m "slow and not parity and not beam and not network"

# The packages we compare with are large and not locked. On Linux with pip, the CPU build of torch
# needs PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu.
test-parity: $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  "torch==2.13.0" "transformers>=5" "lm-eval>=0.4.13"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	  tf-models-official "tensorflow-serving-api>=2.21"
	$(PYTEST) -m parity

# Apache Beam wants an older protobuf than the lock file has.
test-beam:
	$(PYTHON) -m venv $(VENV)-beam
	$(VENV)-beam/bin/python -m pip install --quiet --disable-pip-version-check \
	  "apache-beam[tfrecord]==2.77.0" "tensorflow==2.21.0" "pytest>=9" "hypothesis>=6" --editable ".[beam]"
	$(VENV)-beam/bin/python -m pytest --quiet -m beam tests/export/test_beam.py

# pyright does not follow an editable install's mapped folders, so it reads the installed wheel.
lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@rm -rf build  # setuptools would pack what an older build left there
	@set -e; installed=$$(mktemp -d); trap 'rm -rf "$$installed"' EXIT; \
	$(BIN)/python -m pip install --quiet --no-index --no-deps --no-build-isolation \
	  --target "$$installed" .; \
	cp pyproject.toml "$$installed"; cd "$$installed"; \
	echo "pyright (on the installed package)"; \
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright --pythonpath $(BIN)/python

demo: $(READY)
	$(BIN)/python -m tflm.tasks.demo_corpus $(DEMO)/data
	$(BIN)/tflm train translation --data $(DEMO)/data --languages en-de --out $(DEMO)/run $(DEMO_OPTIONS)
	$(BIN)/tflm export $(DEMO)/run saved_models/demo
	$(BIN)/tflm evaluate saved_models/demo --data $(DEMO)/data/test.tsv --languages en-de
	$(BIN)/tflm predict saved_models/demo \
	  "The farmer who sold the horse is not waiting for my neighbor."

build: $(READY)
	rm -rf build
	$(BIN)/python -m build --no-isolation

# Needs uv (https://docs.astral.sh/uv): the newest versions pyproject.toml allows, with their hashes.
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
	  --generate-hashes --no-strip-extras --upgrade --quiet --custom-compile-command "make lock" \
	  --output-file requirements.lock

clean:
	rm -rf $(VENV) $(VENV)-beam build dist *.egg-info .coverage .hypothesis .pytest_cache .ruff_cache

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	  sys.exit(0 if (3, 11) <= v <= (3, 13) else "tflm needs Python 3.11, 3.12 or 3.13; " \
	  "$(PYTHON) is %d.%d. Say: make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $(VENV)
	@echo "Installing the locked packages into $(VENV): a few minutes, the first time only."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes \
	  --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
	  --no-build-isolation --editable .
	@touch $@
