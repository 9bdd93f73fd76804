"""Messages of gym-derk between the game and an agent server.

The game connects as a client and sends the number of teams that the server plays. At a reset it sends an observation.
Then, in every step, the server sends an action; the game sends an observation, the rewards and whether the episode is
over; and after the last step it sends statistics. The number of teams and the end of the episode are JSON, all other
messages are float32 numbers.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from pearl_lightning.derk.backends.game.wire import Array

AGENTS, FEATURES, ACTIONS, STATISTICS = 3, 64, 5, 5
"""Numbers of agents per team, of features per observation, of components per action, and of statistics per team."""
_COMPONENTS = 4  # the page stores an observation in textures with four components per texel


class WrongMessage(ValueError):
    """Raised if a message violates the protocol."""


def encode_teams(teams: int) -> str:
    """Encode the number of teams as the first message of a session."""
    return json.dumps({"nTeams": teams})


def decode_teams(message: bytes | str) -> int:
    """Decode the number of teams that the server plays.

    Raises:
        WrongMessage: The message contains no such number.
    """
    teams = _content(message, "nTeams")["nTeams"]
    if not isinstance(teams, int) or isinstance(teams, bool):
        raise WrongMessage(f"nTeams must be a whole number, got {teams!r}")
    return teams


def encode_observation(observation: Array) -> bytes:
    """Encode observations ``[team, agent, 64]``."""
    layers = observation.reshape(-1, FEATURES // _COMPONENTS, _COMPONENTS).swapaxes(0, 1)
    return _bytes(layers)


def decode_observation(message: bytes | str, teams: int) -> Array:
    """Decode observations ``[team, agent, 64]``.

    Raises:
        WrongMessage: The message has a wrong length.
    """
    layers = _numbers("observation", message, (FEATURES // _COMPONENTS, teams * AGENTS, _COMPONENTS))
    return layers.swapaxes(0, 1).reshape(teams, AGENTS, FEATURES)


def encode_action(action: Array) -> bytes:
    """Encode actions ``[team, agent, 5]``."""
    return _bytes(action)


def decode_action(message: bytes | str, teams: int) -> Array:
    """Decode actions ``[team, agent, 5]``.

    Raises:
        WrongMessage: The message has a wrong length.
    """
    return _numbers("action", message, (teams, AGENTS, ACTIONS))


def encode_reward(reward: Array) -> bytes:
    """Encode rewards ``[team, agent]``."""
    return _bytes(reward)


def decode_reward(message: bytes | str, teams: int) -> Array:
    """Decode rewards ``[team, agent]``.

    Raises:
        WrongMessage: The message has a wrong length.
    """
    return _numbers("reward", message, (teams, AGENTS))


def encode_result(done: bool) -> str:
    """Encode whether the episode is over."""
    return json.dumps({"done": [done], "info": {}})


def decode_result(message: bytes | str) -> tuple[bool, dict[str, Any]]:
    """Decode whether the episode is over, and the game's further information about the step.

    Raises:
        WrongMessage: The message does not contain whether the episode is over.
    """
    result = _content(message, "done")
    done, info = result["done"], result.get("info")
    if not isinstance(done, list) or not done:
        raise WrongMessage(f"done must be a list of at least one truth value, got {done!r}")
    return all(done), info if isinstance(info, dict) else {}


def encode_statistics(statistics: Array) -> bytes:
    """Encode statistics ``[team, 5]`` of a finished match."""
    return _bytes(statistics.T)


def decode_statistics(message: bytes | str, teams: int) -> Array:
    """Decode statistics ``[team, 5]`` of a finished match.

    Raises:
        WrongMessage: The message has a wrong length.
    """
    return _numbers("statistics", message, (STATISTICS, teams)).T


def _bytes(numbers: Array) -> bytes:
    return np.ascontiguousarray(numbers, dtype=np.float32).tobytes()


def _numbers(name: str, message: bytes | str, shape: tuple[int, ...]) -> Array:
    """Decode the numbers of a message into a writable array."""
    count = int(np.prod(shape))
    if not isinstance(message, bytes) or len(message) != 4 * count:
        got = f"{len(message)} bytes" if isinstance(message, bytes) else f"the text {message[:40]!r}"
        raise WrongMessage(f"{name} must be {count} float32 numbers ({4 * count} bytes), got {got}")
    return np.frombuffer(message, np.float32).reshape(shape).copy()


def _content(message: bytes | str, key: str) -> dict[str, Any]:
    """Decode a JSON object that must contain ``key``."""
    try:
        content = json.loads(message)
    except ValueError:
        content = None
    if not isinstance(content, dict) or key not in content:
        got = f"{message[:40]!r}" if isinstance(message, str) else f"{len(message)} bytes"
        raise WrongMessage(f"the message must be a JSON object with {key}, got {got}")
    return content
