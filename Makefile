# Two commands: `make train` and `make test`. Both set everything up in .venv first; the second time that is quick.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install game-deps train test coverage test-fast gpu-check lint docs results pages agent clean

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# About four minutes of meta-training in the simulator of Derk's Gym, then a table of adaptation, a curve and a match page.
train: install
	$(BIN)/pearl fit --config quickstart

# Browser and GL libraries of the real game, where apt-get and root (or sudo without a password) are there. Elsewhere it
# prints why not, and the tests that need them are skipped; with REQUIRE_GAME=1 both are errors.
game-deps: install
	@$(BIN)/python -P pearl_lightning/derk/backends/game/install.py

# Four workers on two cores, because some tests wait for browsers and processes. Each has one thread of torch: threads of
# several processes that share a core wait for each other. A file stays with one worker, which shares its trainings and
# its game among the tests.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder
test: game-deps
	$(PYTEST)

# The tests again, with the lines that they reach: half as long again. Whole runs are not counted (no_cover), to save time.
coverage: game-deps
	$(PYTEST) --cov --cov-report=term:skip-covered --cov-fail-under=90

# A minute on two cores: no browser, no packaging, no whole trainings or matches, no coverage.
test-fast: install
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile -m 'not game and not page and not slow'

# What needs a CUDA GPU: the tests that are skipped without one, and figures, which go to docs/results/data/gpu.json.
gpu-check: install
	$(BIN)/python -m benchmarks.gpu_check

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/pages/prose.py

# The documentation, in site/; fails on any warning.
docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# The data, tables and figures of docs/results: three seeds, an estimated ten hours on two cores with AMX, without the
# MuJoCo and Gymnasium families. SIZE=small takes one seed. Runs stay in runs/results, and a second call resumes them.
SIZE ?= full
SEEDS := $(if $(filter small,$(SIZE)),0,0 1 2)
results: install
	$(BIN)/python -m benchmarks.point_robot --seeds $(SEEDS)
	$(BIN)/python -m benchmarks.families --seeds $(SEEDS) --precision bf16-mixed
	$(BIN)/python -m benchmarks.ablations --precision bf16-mixed
	$(BIN)/python -m benchmarks.locomotion --seeds $(SEEDS) --parallel 2
	$(BIN)/python -m benchmarks.within_episode --seeds $(SEEDS) --parallel 2
	$(BIN)/python -m benchmarks.within_derk --seeds $(SEEDS) --parallel 2
	$(BIN)/python -m benchmarks.update_ratio --seeds $(SEEDS) --parallel 2
	$(BIN)/python -m benchmarks.environments --json docs/results/data/environments.json
	$(BIN)/python -m benchmarks.gymnasium_results --seeds $(SEEDS) --parallel 2
	$(BIN)/python -m benchmarks.pages

# The tables and figures of all pages, from docs/results/data; takes seconds and trains nothing.
pages: install
	$(BIN)/python -m benchmarks.pages

# The agent that comes with the package: 21 minutes on one of two cores with AMX.
agent: install
	$(BIN)/pearl fit --config derk --config opponents --name agent \
		--threads 1 --trainer.precision bf16-mixed
	$(BIN)/python -m benchmarks.ship runs/agent

clean:
	rm -rf .venv runs build dist site
