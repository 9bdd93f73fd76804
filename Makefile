# Two commands: `make train` and `make test`. Both set everything up in .venv first; the second time that is quick.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install train test lint docs results agent clean

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# A short meta-training in the simulator of Derk's Gym that ends with a printed summary and a saved curve.
train: install
	$(BIN)/pearl fit --config configs/derk.yaml

# Browsers and processes that start are waited for: three at a time on two cores, in the files' order, for the long ones
# come first. Whole runs are not counted in the coverage (no_cover): that would double their time.
test: install
	$(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --cov --cov-report=term:skip-covered --cov-fail-under=90

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The documentation, in site/; fails on any warning.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The tables and figures of docs/results: three seeds, an estimated ten hours on two cores with AMX. SIZE=small takes
# one seed. What is trained stays in runs/results: a second call goes on.
SIZE ?= full
SEEDS := $(if $(filter small,$(SIZE)),0,0 1 2)
results: install
	$(BIN)/python -m benchmarks.point_robot --output docs/results --seeds $(SEEDS)
	$(BIN)/python -m benchmarks.families --output docs/results --seeds $(SEEDS) --precision bf16-mixed
	$(BIN)/python -m benchmarks.ablations --output docs/results --precision bf16-mixed

# The agent that comes with the package: 21 minutes on one of two cores with AMX.
agent: install
	$(BIN)/pearl fit --config configs/derk.yaml --config configs/families/opponents.yaml --name agent \
		--threads 1 --trainer.precision bf16-mixed
	$(BIN)/python -m benchmarks.ship runs/agent

clean:
	rm -rf .venv runs build dist site
