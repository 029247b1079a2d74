# Every target sets up what it needs: `make quickstart` on a fresh machine is enough.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup quickstart results test test-slow check docs bench clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/pip install --quiet --constraint constraints.txt --editable . --group test --group check --group docs
	touch $@

quickstart: setup
	$(BIN)/bytegap quickstart studies/quickstart.toml

results: setup
	rm -f results/*/fit.json
	ls results | xargs -P $$(getconf _NPROCESSORS_ONLN) -I STUDY sh -c \
	  '$(BIN)/bytegap fit studies/STUDY.toml --out results && $(BIN)/bytegap report studies/STUDY.toml --out results'

test: setup
	$(BIN)/pytest -n 2 --durations 10

test-slow: setup
	$(BIN)/pytest -n 2 -m slow

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright

docs: setup
	$(BIN)/sphinx-build --quiet --fail-on-warning docs out/docs

bench: setup
	$(BIN)/python bench/train.py $(if $(NANOGPT),--nanogpt $(NANOGPT))
	$(BIN)/python bench/evaluation.py
	$(BIN)/python bench/fit.py
	$(BIN)/python corpora/english.py out/corpora/english.jsonl
	$(BIN)/python bench/tokens.py out/corpora/english.jsonl
	$(BIN)/python bench/report.py
	$(BIN)/python bench/road.py

clean:
	rm -rf .venv out
