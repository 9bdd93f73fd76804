"""What the comparisons of docs/results change between two runs, and how they put runs together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from benchmarks.ablations import ABLATIONS, PLACES
from benchmarks.families import pool_seeds
from pearl_lightning.cli import main
from pearl_lightning.evaluation import AdaptationResult

ROOT = Path(__file__).parent.parent


def flat(settings: Any, name: str = "") -> dict[str, Any]:
    """Settings by their dotted names; entries of a list by their numbers."""
    if isinstance(settings, list):
        settings = dict(enumerate(settings))
    if not isinstance(settings, dict):
        return {name: settings}
    return {inner: value for key, part in settings.items() for inner, value in flat(part, f"{name}.{key}").items()}


def settings(family: str, options: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    configs = [f"--config={ROOT}/configs/{name}.yaml" for name in ("derk", PLACES[family][0]) if name is not None]
    with pytest.raises(SystemExit, match="0"):
        main(["fit", *configs, *options, "--print_config"])
    return flat(yaml.safe_load(capsys.readouterr().out))


@pytest.mark.parametrize("family", ABLATIONS)
def test_an_ablation_changes_what_it_names_and_nothing_else(family: str, capsys: pytest.CaptureFixture[str]) -> None:
    as_it_is = settings(family, [], capsys)
    for variant, options in ABLATIONS[family].items():
        changed = settings(family, options, capsys)
        differing = {
            name for name in as_it_is.keys() | changed.keys() if as_it_is.get(name, "-") != changed.get(name, "-")
        }
        named = [option.split("=")[0].replace("--", ".", 1) for option in options]
        assert differing, variant
        for each in differing:
            assert any(each.startswith(name) or name.startswith(each) for name in named), (variant, each)
        if any("callbacks" in name for name in named):
            assert all(".init_args.demonstrat" in each for each in differing)


def test_the_matches_of_several_seeds_count_alike() -> None:
    generator = np.random.default_rng(0)

    def result(shift: float) -> AdaptationResult:
        returns = generator.normal(size=(3, 4, 2)) + shift
        return AdaptationResult((5, 6, 7), returns, np.sign(returns), np.zeros((3, 4, 2, 1)), np.ones((3, 4, 2, 1)), 24)

    seeds = [result(shift) for shift in (0.0, 1.0, 5.0)]
    pooled = pool_seeds(seeds)
    assert (pooled.tasks, pooled.returns.shape, pooled.env_steps) == ((5, 6, 7), (3, 12, 2), 72)
    table, tables = pooled.table(), [each.table() for each in seeds]
    for name in ("return_mean", "win_rate"):
        assert table["episodes"][1][name] == pytest.approx(np.mean([each["episodes"][1][name] for each in tables]))
    assert table["gain"]["mean"] == pytest.approx(np.mean([each["gain"]["mean"] for each in tables]))
