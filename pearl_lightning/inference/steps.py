"""Steps of whole episodes."""

from __future__ import annotations

from tensordict import TensorDict, TensorDictBase


def steps_of(episodes: TensorDictBase) -> TensorDict:
    """Convert whole episodes ``[..., row]`` to steps ``[..., horizon]`` as ``Belief.observe`` reads them.

    Args:
        episodes: Rows with ``observation``, ``action`` and ``reward`` ``[..., row, agent, ...]``; the last row contains
            only the final observation (see ``play_episode``).
    """
    steps = episodes[..., :-1].select("observation", "action", "reward")
    steps["next_observation"] = episodes["observation"][..., 1:, :, :]
    steps["played"] = episodes["played"][..., :-1]
    steps["done"] = ~episodes["played"][..., 1:]
    return steps
