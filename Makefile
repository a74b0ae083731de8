# make app   opens the product with the sample project
# make test  runs every test, in WORKERS processes        make check  style and types
# make bench measures speed beside peers and writes docs/benchmarks.md
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8501
CORES := $(shell getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
WORKERS ?= $(shell echo $$(( $(CORES) < 2 ? 2 : $(CORES) > 8 ? 8 : $(CORES) )))
READY = $(VENV)/.ready
# Compiled once, on all cores: where PYTHONDONTWRITEBYTECODE is set no process keeps what it compiles. What is not needed
# here, a third of all, is left out: tests of packages, models of other kinds.
COMPILE = $(VENV)/bin/python -m compileall -q -j 0 -x '/tests/|/transformers/models/(?!auto|bert/)' $(VENV)/lib fgdesign \
	>/dev/null 2>&1 || true
INSTALL = $(VENV)/bin/pip install --quiet --no-compile --constraint constraints.txt --editable

.PHONY: app test check bench clean

app: $(READY)
	$(VENV)/bin/fgdesign app --port $(PORT)

test: check
	$(VENV)/bin/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy --num-workers $(WORKERS)

bench: $(READY)
	$(INSTALL) '.[bench]'
	$(COMPILE)
	$(VENV)/bin/python -W ignore -m benchmarks $(QUESTIONS)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[dev]'
	$(COMPILE)
	touch $(READY)

clean:
	rm -rf $(VENV) build dist *.egg-info
