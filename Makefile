# `make help` lists what there is. Everything happens in .venv; nothing is installed elsewhere.
PYTHON ?= python3
PORT ?= 8000
BIN := .venv/bin

# Python keeps what it compiled, also where the user told it not to: the tests start Python often.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help demo check test test-clients test-r test-spark lint types translations audit bench bench-peers coverage docs gallery pictures lock sbom audit-dependencies image clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Only one make installs at a time: a `make test` that begins while `make demo` installs waits for it.
LOCKED := $(PYTHON) -c 'import fcntl, subprocess, sys; \
	lock = open(".venv/lock", "w"); fcntl.flock(lock, fcntl.LOCK_EX); sys.exit(subprocess.call(sys.argv[1:]))'
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --editable

.venv/installed: pyproject.toml
	@mkdir -p .venv
	@$(LOCKED) sh -ec 'test ! $@ -nt pyproject.toml || exit 0; \
		$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv .venv; \
		echo "Installing Rowless into .venv (a minute, once) ..."; $(INSTALL) .; touch $@'

.venv/installed-test: .venv/installed
	@$(LOCKED) sh -ec 'test ! $@ -nt .venv/installed || exit 0; $(INSTALL) ".[test]"; touch $@'

# OPTIONS are further options of pytest. Files are handed out in their order, because by their number of tests the longest
# files, journeys of few tests, would come last.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder
OPTIONS ?=

demo: .venv/installed ## set up real data, serve them on PORT (8000), ask one query, and go on serving until Ctrl-C
	@ROWLESS_PORT=$(PORT) $(BIN)/rowless demo

check: lint types ## what to run before each commit: format, linters, types and the quick tests, in under a minute
	$(PYTEST) --quick $(OPTIONS)

test: lint types ## what continuous integration runs: format, linters, types and all tests, on up to 4 cores
	$(PYTEST) $(OPTIONS)

test-clients: .venv/installed-test ## the tests of the Python client, the R package and generated clients, each on real servers
	$(PYTEST) --clients tests/clients $(OPTIONS)

test-r: .venv/installed-test ## the tests of the R package alone: testthat on a real server, R CMD check, its vignette, lost replies
	$(BIN)/python -m pytest --clients --require-r tests/clients/test_r.py

# pyspark has 400 MB, so that only who wants a cluster installs it.
.venv/installed-spark: .venv/installed-test
	@$(LOCKED) sh -ec 'test ! $@ -nt .venv/installed-test || exit 0; $(INSTALL) ".[spark,test]"; touch $@'

test-spark: .venv/installed-spark ## the tests on a real Spark cluster: a master and two executors (needs Java 17)
	$(BIN)/python -m pytest --spark tests/spark $(OPTIONS)

lint: .venv/installed-test ## ruff's format and linter, and import-linter for the directions between rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: .venv/installed-test ## mypy --strict, and the client as its oldest Python sees it
	$(BIN)/mypy
	$(BIN)/mypy --python-version 3.10 --cache-dir .mypy_cache/client clients/python/rowless_client

# No guesses (--no-fuzzy-matching): a text that was changed is empty until somebody translates it. Files without line numbers,
# and the messages in the order of the alphabet, keep the differences small.
CATALOG := server/languages/translations/fr/LC_MESSAGES/messages
EXTRACT := extract --mapping=server/languages/babel.cfg --keywords=say --keywords=translated --keywords=count:1,2 --add-location=file --sort-output
translations: .venv/installed ## the texts of the pages anew into the French catalog, to be translated, and the catalog compiled
	$(BIN)/pybabel --quiet $(EXTRACT) --output-file=.venv/messages.pot server
	$(BIN)/pybabel --quiet update --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width=120 --locale=fr \
		--input-file=.venv/messages.pot --output-file=$(CATALOG).po
	$(BIN)/pybabel compile --statistics --locale=fr --input-file=$(CATALOG).po --output-file=$(CATALOG).mo

# Every module of tests that has more to do under --audit: heavier statistics, or laws, of which each tries more examples.
# tests/test_house.py checks that none is missing.
AUDITED := tests/privacy tests/queries tests/budgets tests/server/api tests/server/charts tests/server/pages tests/server/reporting \
	tests/server/views tests/browser tests/spark tests/server/journey/test_slot.py \
	tests/journeys/test_faults.py tests/journeys/test_hostile.py tests/journeys/test_schemathesis.py

audit: .venv/installed-spark ## the heavier statistics: noise, coverage, neighbours through the engine; laws with more examples
	$(BIN)/python -m pytest --audit --clients --spark $(AUDITED)

bench: .venv/installed-test ## speed and memory beside plain DuckDB on 10 million events; long ledgers and audit logs; bounds; slow and many clients; pages
	$(BIN)/python -m benchmarks.queries
	$(BIN)/python -m benchmarks.kernel
	$(BIN)/python -m benchmarks.phases
	$(BIN)/python -m benchmarks.parts
	$(BIN)/python -m benchmarks.ledger
	$(BIN)/python -m benchmarks.audit --entries 1000000
	$(BIN)/python -m benchmarks.profile
	$(BIN)/python -m benchmarks.server
	$(BIN)/python -m benchmarks.slots
	$(BIN)/python -m benchmarks.clients
	$(BIN)/python -m benchmarks.report
	$(BIN)/python -m benchmarks.pages
	@$(MAKE) bench-peers

bench-peers: .venv/installed-test ## docs/performance.md anew: beside plain DuckDB and other private tools, each in an environment of its own; TPC-H
	$(BIN)/python -m benchmarks.peers
	$(BIN)/python -m benchmarks.tpch

coverage: .venv/installed-test ## the lines that no test reaches
	$(BIN)/coverage run --source=server,budgets,queries -m pytest -q
	$(BIN)/coverage report --skip-covered --show-missing

# A page that leads nowhere, or any other warning, fails it. The site needs no network and no server: open site/index.html.
docs: .venv/installed-test ## the site of the manual in site/, from docs/: to be read from a folder or served as it is
	$(BIN)/python -m tests.manual.site site

gallery: .venv/installed-test ## docs/gallery.md and its charts anew, from answers of a demonstration; look at them afterwards
	PYTHONPATH=clients/python $(BIN)/python -m tests.manual.gallery

pictures: .venv/installed-test ## the pictures in docs/pictures anew, of a demonstration in Chromium; look at them afterwards
	$(BIN)/python -m tests.browser.pictures docs/pictures

TOOLS := .venv/tools/bin
.venv/tools/installed: deploy/tools.txt
	@$(PYTHON) -m venv .venv/tools
	@$(TOOLS)/python -m pip install --quiet --disable-pip-version-check --requirement deploy/tools.txt
	@touch $@

# Neither file names an index, so each machine uses its own.
COMPILE := $(TOOLS)/uv pip compile --quiet --no-config --universal --python-version=3.11 --generate-hashes \
	--only-binary=:all: --no-annotate --no-emit-index-url --no-emit-find-links \
	--custom-compile-command='make lock'

lock: .venv/tools/installed ## requirements.lock and requirements-build.lock anew: versions and hashes of all that the image installs
	$(COMPILE) $(UPGRADE) --output-file=requirements.lock pyproject.toml
	$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
		| $(COMPILE) $(UPGRADE) --output-file=requirements-build.lock -

sbom: .venv/tools/installed ## dist/rowless.cdx.json, the software bill of materials of requirements.lock, in CycloneDX
	@mkdir -p dist
	$(TOOLS)/cyclonedx-py requirements requirements.lock --pyproject=pyproject.toml --output-reproducible \
		--output-format=JSON --output-file=dist/rowless.cdx.json

# --strict, because without it a package that the service does not know, or does not answer for, counts as good.
audit-dependencies: .venv/tools/installed ## known vulnerabilities of what requirements.lock names (asks a service on the network)
	@$(TOOLS)/pip-audit --strict --disable-pip --require-hashes --progress-spinner=off --requirement=requirements.lock \
		|| { echo "make audit-dependencies: a vulnerability is listed above, or the service of vulnerabilities could not be" \
		"asked about every package. Nothing is known to be good." >&2; exit 1; }

BASE ?= python:3.11-slim
image: ## the container image rowless:local, on BASE by its present digest
	docker pull --quiet $(BASE)
	docker build --build-arg PYTHON_IMAGE="$(BASE)@$$(docker inspect --format='{{index .RepoDigests 0}}' $(BASE) | cut -d@ -f2)" \
		--tag rowless:local .

clean: ## delete the demonstration's home, caches and benchmark data (the rest of .venv stays)
	rm -rf rowless-home benchmarks/data .venv/peers .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage dist site
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
