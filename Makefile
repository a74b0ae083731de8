# make app   opens the product with the sample project
# make test  runs every test        make check  style and types
PYTHON ?= python3
VENV ?= .venv
PORT ?= 8501
READY = $(VENV)/.ready

.PHONY: app test check clean

app: $(READY)
	$(VENV)/bin/fgdesign app --port $(PORT)

test: check
	$(VENV)/bin/python -m pytest

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) build dist *.egg-info
