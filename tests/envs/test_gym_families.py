"""The ready-made families of Gymnasium: every hidden parameter has an effect."""

from __future__ import annotations

import pytest
import torch

from pearl_lightning.commands.config_files import FOLDER
from pearl_lightning.commands.environments import make_env
from pearl_lightning.envs.gymnasium import GymnasiumEnv
from pearl_lightning.envs.parameters import Parameter, ParameterTasks

FAMILIES = sorted(path.stem for path in (FOLDER / "gym").glob("*.yaml"))


def family(name: str) -> GymnasiumEnv:
    env = make_env([FOLDER / "gymnasium.yaml", FOLDER / "gym" / f"{name}.yaml"], arenas=1)
    assert isinstance(env, GymnasiumEnv)
    return env


def bounds(parameter: Parameter) -> tuple[float, float]:
    values = parameter.values or (parameter.low, parameter.high)
    return values[0], values[-1]


def observations(env: GymnasiumEnv, task: dict[str, float]) -> torch.Tensor:
    """The observations of ten steps with the same seed and actions for every task."""
    env.set_seed(0)
    seen = [env.begin([task])]
    generator = torch.Generator().manual_seed(0)
    for _ in range(10):
        result = env.advance(env.action_space.sample((1, 1), generator=generator))
        seen.append(torch.as_tensor(result["observation"]))
    return torch.cat(seen)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_hidden_parameter_changes_what_follows_an_action(name: str) -> None:
    env = family(name)
    assert isinstance(env.tasks, ParameterTasks)
    for parameter in env.tasks.parameters.values():
        low, high = (observations(env, env.tasks[0] | {parameter.name: value}) for value in bounds(parameter))
        torch.testing.assert_close(low[0], high[0])  # where an episode starts, nothing is known
        assert (low[-1] - high[-1]).abs().max() > 1e-3, parameter.name
    env.close()
