# make demo | test | check: each does all of its own set-up. Needed: python3 (3.11 or later) with venv, and make.
# As root the tests also install the Debian packages they use; as an ordinary user the suites that need them skip by name.

PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
# Each worker starts its own PostgreSQL servers, so more than a few do not pay.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); if [ $$n -gt 4 ]; then echo 4; else echo $$n; fi)
PYTEST := $(PY) -m pytest -n $(WORKERS) --dist loadscope
KEEP   ?=

.DEFAULT_GOAL := help
check_parts := check-format check-lint check-types check-rooms check-tidy
.PHONY: help install packages demo check $(check_parts) format test test-all lock clean

help:
	@echo 'make demo             a shop, a gate and a walk through it; KEEP=1 leaves it running'
	@echo 'make test             all tests but the slow ones'
	@echo 'make test-all         all tests'
	@echo 'make check            format, lint, types, rooms, tidiness'
	@echo 'make format           put the code into its format'
	@echo 'make lock             pin new versions of the dependencies (needs uv)'
	@echo 'make corpus           masking attacks and benign statements through the gate, with twins and canaries'
	@echo 'make generate         random statements over random schemas, for MINUTES minutes, on GENERATE_PG=15, with twins and canaries'
	@echo 'make drivers          every driver of the matrix through the gate and directly (installs them)'
	@echo 'make bench-append     what the log costs over a plain file with the same syncs'
	@echo 'make crash RUNS=1000  crash runs of the log from seeds, each checked by the verifier'
	@echo 'make asan             the compiled core under the address sanitizer'
	@echo 'make fuzz             coverage-guided fuzzing of codecs, texts and dialogue, FUZZ_SECONDS each'
	@echo 'make driver-suites    the test suites that psycopg2 and asyncpg ship, through the gate and directly (fetches them)'
	@echo 'make regress          the regression suite of PostgreSQL 15 (REGRESS_PG=17, 18) through the gate and directly (fetches it)'
	@echo 'make zipapp           the verifier as one file, lockgate_verify.pyz'
	@echo 'make bench            ratios against a direct connection and PgBouncer'
	@echo 'make bench-index      ingest and searches over five million entries; ENTRIES=500000 for less'
	@echo 'make clean            remove the environment and caches'

install: $(STAMP)

# Everything pinned and checked by hash; the project itself is installed without looking anything up.
$(STAMP): requirements-dev.lock pyproject.toml src/lockgate/_speed.pyx src/lockgate/_lane.pyx $(wildcard src/lockgate/*.pxi src/lockgate/*.h)
	@$(PYTHON) tools/check_python.py
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@$(PY) tools/build_speed.py
	@touch $@

packages:
	@sh tools/debian_packages.sh

demo: $(STAMP)
	@sh tools/debian_packages.sh demo
	$(PY) -m lockgate.cli.main demo $(if $(filter-out 0,$(KEEP)),--keep)

# `make -k check` goes on after the first kind of problem.
check: $(check_parts)

check-format: $(STAMP)
	$(PY) -m ruff format --check --quiet . || { $(PY) -m ruff format --check --output-format concise .; false; }

check-lint: $(STAMP)
	$(PY) -m ruff check --quiet .

check-types: $(STAMP)
	$(PY) -m mypy

check-rooms: $(STAMP)
	$(VENV)/bin/lint-imports

check-tidy: $(STAMP)
	$(PY) -m pytest -q tests/tidy tests/docs

format: $(STAMP)
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix-only .

test: $(STAMP) packages
	$(PYTEST) -m 'not slow'

test-all: $(STAMP) packages
	-$(PY) tools/postgres_majors.py
	$(PYTEST)

DRIVERS_STAMP := $(VENV)/.drivers
# The compiled core; `make install` builds it too, where a C compiler is.
.PHONY: speed
speed: $(STAMP)
	@$(PY) tools/build_speed.py

$(DRIVERS_STAMP): $(STAMP) requirements-drivers.lock
	$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-drivers.lock
	@touch $@

.PHONY: drivers
drivers: $(DRIVERS_STAMP)
	@sh tools/debian_packages.sh drivers
	-$(PY) tools/pgx.py
	$(PY) -m pytest -q tests/conformance/test_driver_matrix.py

.PHONY: drivers-table
drivers-table: $(DRIVERS_STAMP)
	@sh tools/debian_packages.sh drivers
	-$(PY) tools/pgx.py
	PYTHONPATH=tests $(PY) -m conformance.drivers.table

# With SUITES=psycopg2 one of them; the table in docs/compatibility.md is written with --write.
.PHONY: driver-suites
driver-suites: $(DRIVERS_STAMP) packages
	PYTHONPATH=tests $(PY) tests/suites/run.py $(SUITES)

REGRESS_PG ?= 15
.PHONY: regress
regress: $(STAMP) packages
	@sh tools/debian_packages.sh regress
	PYTHONPATH=tests $(PY) tests/regress/run.py --major $(REGRESS_PG) --differences build/regress-$(REGRESS_PG)

ifneq ($(wildcard tests/corpus/run.py),)
CORPUS ?= ../shared/corpus
.PHONY: corpus
CORPUS_MAJORS ?= 15 18
CORPUS_OPTIONS ?= --matrix
corpus: $(STAMP) packages
	for major in $(CORPUS_MAJORS); do $(PY) tests/corpus/run.py $(CORPUS) --pg $$major $(CORPUS_OPTIONS) || exit 1; done
	if [ -d $(CORPUS)/../data ]; then $(PY) tests/corpus/samples.py $(CORPUS)/../data; fi
endif

.PHONY: generate
MINUTES ?= 30
GENERATE_PG ?= 15
generate: $(STAMP) packages
	$(PY) tests/generator/run.py --minutes $(MINUTES) --pg $(GENERATE_PG)

.PHONY: bench-append
bench-append: $(STAMP)
	$(PY) bench/append.py

RUNS  ?= 1000
FIRST ?= 0
.PHONY: crash
crash: $(STAMP)
	$(PY) tests/crash/run.py $(RUNS) $(FIRST)

ifneq ($(wildcard bench/run.py),)
.PHONY: bench
bench: $(STAMP)
	@sh tools/debian_packages.sh bench
	$(PY) bench/run.py
	$(PY) bench/masking.py
	$(PY) bench/sights.py
endif

ifneq ($(wildcard bench/index.py),)
ENTRIES ?= 5000000
.PHONY: bench-index
bench-index: $(STAMP)
	$(PY) bench/index.py --entries $(ENTRIES)
endif

FUZZ_TARGETS := client_stream backend_stream passed_rows first_packet row text dialogue captured replication
FUZZ_SECONDS ?= 60
.PHONY: fuzz
fuzz: $(DRIVERS_STAMP)
	@log=$$(mktemp); for target in $(FUZZ_TARGETS); do echo "$$target for $(FUZZ_SECONDS) s"; \
	  PYTHONPATH=tests $(PY) tests/fuzz/run.py $$target $(FUZZ_SECONDS) >$$log 2>&1 || { tail -n 60 $$log; exit 1; }; \
	  tail -n 5 $$log; done; rm -f $$log

# The compiled core under the address sanitizer: both cores play the same dialogues, well-formed and damaged.
COMPILED := src/lockgate/_speed*.so src/lockgate/_lane*.so
.PHONY: asan
asan: $(STAMP)
	rm -f $(COMPILED); $(PY) tools/build_speed.py -fsanitize=address -fno-omit-frame-pointer -g -O1
	LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libstdc++.so.6)" ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc \
	  $(PY) -m pytest -q -p no:cacheprovider tests/transport/test_compiled_lane.py tests/transport/test_lane_over_tls.py tests/speed; \
	  code=$$?; rm -f $(COMPILED); $(PY) tools/build_speed.py; exit $$code

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-config --no-header \
        --no-annotate --no-emit-index-url --no-emit-find-links --upgrade pyproject.toml
# One file for auditors; it needs python3 with the package cryptography and nothing else.
.PHONY: zipapp
zipapp:
	rm -rf build/zipapp && mkdir -p build/zipapp && cp verifier/lockgate_verify.py build/zipapp/
	$(PYTHON) -m zipapp build/zipapp --main lockgate_verify:main --python '/usr/bin/env python3' --output lockgate_verify.pyz

lock:
	$(LOCK) --output-file requirements.lock
	$(LOCK) --extra demo --extra test --extra dev --output-file requirements-dev.lock
	$(LOCK) --extra demo --extra test --extra dev --extra drivers --output-file requirements-drivers.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
