"""gym-derk's messages between the game and an agent server, in the order of an episode.

The game connects as a client and says how many teams the server plays. At a reset it sends an observation; then, step
by step, the server sends an action and the game an observation, the rewards and whether the episode is over, and after
the last step statistics. Everything but the first and the third of these is float32 numbers.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pearl_lightning.envs.derk.game.wire import Array

AGENTS, FEATURES, ACTIONS, STATISTICS = 3, 64, 5, 5
"""Agents of a team, numbers of an observation and an action, and those told of a team at the end."""
_COMPONENTS = 4  # the page stores an observation as textures of four components per texel


class WrongMessage(ValueError):
    """A message is not what the protocol has in its place."""


def encode_teams(teams: int) -> str:
    """The first message of a session."""
    return json.dumps({"nTeams": teams})


def decode_teams(message: bytes | str) -> int:
    """Number of teams that the server is to play.

    Raises:
        WrongMessage: There is no such number.
    """
    teams = _content(message, "nTeams")["nTeams"]
    if not isinstance(teams, int) or isinstance(teams, bool):
        raise WrongMessage(f"nTeams must be a whole number, got {teams!r}")
    return teams


def encode_observation(observation: Array) -> bytes:
    """Observations ``[team, agent, 64]`` as a message."""
    layers = observation.reshape(-1, FEATURES // _COMPONENTS, _COMPONENTS).swapaxes(0, 1)
    return _bytes(layers)


def decode_observation(message: bytes | str, teams: int) -> Array:
    """Observations ``[team, agent, 64]``.

    Raises:
        WrongMessage: It has another length.
    """
    layers = _numbers("observation", message, (FEATURES // _COMPONENTS, teams * AGENTS, _COMPONENTS))
    return layers.swapaxes(0, 1).reshape(teams, AGENTS, FEATURES)


def encode_action(action: Array) -> bytes:
    """Actions ``[team, agent, 5]`` as a message."""
    return _bytes(action)


def decode_action(message: bytes | str, teams: int) -> Array:
    """Actions ``[team, agent, 5]``.

    Raises:
        WrongMessage: It has another length.
    """
    return _numbers("action", message, (teams, AGENTS, ACTIONS))


def encode_reward(reward: Array) -> bytes:
    """Rewards ``[team, agent]`` as a message."""
    return _bytes(reward)


def decode_reward(message: bytes | str, teams: int) -> Array:
    """Rewards ``[team, agent]``.

    Raises:
        WrongMessage: It has another length.
    """
    return _numbers("reward", message, (teams, AGENTS))


def encode_result(done: bool) -> str:
    """Whether the episode is over, as a message."""
    return json.dumps({"done": [done], "info": {}})


def decode_result(message: bytes | str) -> tuple[bool, dict[str, Any]]:
    """Whether the episode is over, and what else the game tells of the step.

    Raises:
        WrongMessage: It does not say so.
    """
    result = _content(message, "done")
    done, info = result["done"], result.get("info")
    if not isinstance(done, list) or not done:
        raise WrongMessage(f"done must be a list of at least one truth value, got {done!r}")
    return all(done), info if isinstance(info, dict) else {}


def encode_statistics(statistics: Array) -> bytes:
    """Statistics ``[team, 5]`` of a finished match as a message."""
    return _bytes(statistics.T)


def decode_statistics(message: bytes | str, teams: int) -> Array:
    """Statistics ``[team, 5]`` of a finished match.

    Raises:
        WrongMessage: It has another length.
    """
    return _numbers("statistics", message, (STATISTICS, teams)).T


def _bytes(numbers: Array) -> bytes:
    return np.ascontiguousarray(numbers, dtype=np.float32).tobytes()


def _numbers(name: str, message: bytes | str, shape: tuple[int, ...]) -> Array:
    """A writable copy of a message's numbers."""
    count = int(np.prod(shape))
    if not isinstance(message, bytes) or len(message) != 4 * count:
        got = f"{len(message)} bytes" if isinstance(message, bytes) else f"the text {message[:40]!r}"
        raise WrongMessage(f"{name} must be {count} float32 numbers ({4 * count} bytes), got {got}")
    return np.frombuffer(message, np.float32).reshape(shape).copy()


def _content(message: bytes | str, key: str) -> dict[str, Any]:
    """A JSON object that has a key."""
    try:
        content = json.loads(message)
    except ValueError:
        content = None
    if not isinstance(content, dict) or key not in content:
        got = f"{message[:40]!r}" if isinstance(message, str) else f"{len(message)} bytes"
        raise WrongMessage(f"a JSON object with {key} must come here, got {got}")
    return content
