# Two commands: `make train` and `make test`. Both set everything up in .venv first; the second time that is quick.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install train test lint results clean

install: .venv/.installed

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

# A short meta-training that ends with a printed summary and a saved curve: in the real game where it can be played,
# on the point robot where it cannot.
train: install
	@if $(BIN)/pearl doctor; then \
	  $(BIN)/pearl fit --config configs/derk_game.yaml; \
	else \
	  echo "The real game cannot be played here (see above): training on the point robot instead."; \
	  $(BIN)/pearl fit --config configs/point_robot.yaml --trainer.max_steps 4000 --trainer.val_check_interval 1000; \
	fi

test: install
	$(BIN)/pytest --cov --cov-report=term:skip-covered --cov-fail-under=90

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# The point robot's table and curves of docs/results: three seeds of each variant.
results: install
	$(BIN)/python -m benchmarks.point_robot --output docs/results

clean:
	rm -rf .venv runs build dist
