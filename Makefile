# Every target first installs what it needs, and no more: `make quickstart` on a fresh machine is enough.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --constraint constraints.txt

.PHONY: setup quickstart results test test-slow check wheel-test docs bench clean

setup: .venv/.test .venv/.check .venv/.docs

.venv/.pip:
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade 'pip>=25.1'
	touch $@

# torch by itself and pinned: so pip takes a CPU build where it finds one, not gigabytes of CUDA libraries
.venv/.torch: .venv/.pip constraints.txt
	$(BIN)/pip install --quiet $$(grep '^torch==' constraints.txt)
	touch $@

.venv/.quickstart: .venv/.torch pyproject.toml constraints.txt
	$(INSTALL) --editable '.[train,report,quickstart]'
	touch $@

.venv/.test: .venv/.torch pyproject.toml constraints.txt
	$(INSTALL) --editable '.[all]' --group test
	touch $@

# pyright reads the types of every package that src imports
.venv/.check: .venv/.torch pyproject.toml constraints.txt
	$(INSTALL) --editable '.[all]' --group check
	touch $@

.venv/.docs: .venv/.torch pyproject.toml constraints.txt
	$(INSTALL) --editable '.[all]' --group docs
	touch $@

quickstart: .venv/.quickstart
	$(BIN)/bytegap quickstart

results: .venv/.quickstart
	rm -f results/*/fit.json
	ls results | xargs -P $$(getconf _NPROCESSORS_ONLN) -I STUDY sh -c \
	  '$(BIN)/bytegap fit studies/STUDY.toml --out results && $(BIN)/bytegap report studies/STUDY.toml --out results'

# loadfile: tests of a file share a process, and with it the studies and the Slurm that they are made on
test: .venv/.test
	$(BIN)/pytest -n 2 --dist loadfile --durations 10

test-slow: .venv/.test .venv/.docs
	$(BIN)/pytest -n 2 --dist loadfile -m slow --durations 25

check: .venv/.check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/pyright --threads 2
	$(BIN)/pyright --project bench

wheel-test: .venv/.test
	$(BIN)/python tests/packaging/wheel.py

docs: .venv/.docs
	$(BIN)/sphinx-build --quiet --fail-on-warning docs out/docs

bench: .venv/.test
	$(BIN)/python bench/train.py $(if $(NANOGPT),--nanogpt $(NANOGPT))
	$(BIN)/python bench/evaluation.py
	$(BIN)/python bench/fit.py
	$(BIN)/python corpora/english.py out/corpora/english.jsonl
	$(BIN)/python bench/tokens.py out/corpora/english.jsonl
	$(BIN)/python bench/report.py
	$(BIN)/python bench/end_to_end.py

clean:
	rm -rf .venv out
