"""Who plays the other team: batched torch policies, one file each, and the registry that names them."""

from __future__ import annotations

import pkgutil

from pearl_lightning.envs.derk.opponents.attacker import AttackerOpponent
from pearl_lightning.envs.derk.opponents.avenger import AvengerOpponent
from pearl_lightning.envs.derk.opponents.besieger import BesiegerOpponent
from pearl_lightning.envs.derk.opponents.disruptor import DisruptorOpponent
from pearl_lightning.envs.derk.opponents.gang import GangOpponent
from pearl_lightning.envs.derk.opponents.guardian import GuardianOpponent
from pearl_lightning.envs.derk.opponents.healer import HealerOpponent
from pearl_lightning.envs.derk.opponents.idle import IdleOpponent
from pearl_lightning.envs.derk.opponents.one_of import OneOfOpponent
from pearl_lightning.envs.derk.opponents.opponent import Opponent
from pearl_lightning.envs.derk.opponents.pusher import PusherOpponent
from pearl_lightning.envs.derk.opponents.runner import RunnerOpponent
from pearl_lightning.envs.derk.opponents.sniper import SniperOpponent
from pearl_lightning.envs.derk.opponents.uniform import RandomOpponent
from pearl_lightning.envs.derk.opponents.warden import WardenOpponent

OPPONENTS: dict[str, type[Opponent]] = {
    "random": RandomOpponent,
    "idle": IdleOpponent,
    "attacker": AttackerOpponent,
    "pusher": PusherOpponent,
    "sniper": SniperOpponent,
    "guardian": GuardianOpponent,
    "healer": HealerOpponent,
    "gang": GangOpponent,
    "disruptor": DisruptorOpponent,
    "runner": RunnerOpponent,
    "besieger": BesiegerOpponent,
    "avenger": AvengerOpponent,
    "warden": WardenOpponent,
}
"""Opponents by the name a task calls them; any other goes by its class path, ``module.Class``."""

SOURCES: dict[str, str] = {
    "checkpoint": "pearl_lightning.frozen:CheckpointOpponent",
    "selves": "pearl_lightning.envs.derk.opponents.past_selves:PastSelves",
    "server": "pearl_lightning.envs.derk.opponents.server:ServerOpponent",
}
"""Classes of which ``name:what`` makes an opponent from ``what``; by name only, for worlds know nothing of learning."""

__all__ = ["OPPONENTS", "SOURCES", "OneOfOpponent", "Opponent", "make_opponent", "opponent_class"]


def make_opponent(name: str) -> Opponent:
    """The opponent a task calls ``name``: one of ``OPPONENTS``, of another class path, or made by one of ``SOURCES``.

    Raises:
        ValueError: No opponent has that name.
    """
    kind, what = opponent_class(name), name.partition(":")[2]
    return kind(what) if what else kind()  # type: ignore[call-arg]


def opponent_class(name: str) -> type[Opponent]:
    """The class of the opponent a task calls ``name``.

    Raises:
        ValueError: No opponent has that name, or a class path leads to none.
    """
    source, _, what = name.partition(":")
    if what and source in SOURCES:
        found: type[Opponent] = pkgutil.resolve_name(SOURCES[source])
        return found
    if name in OPPONENTS:
        return OPPONENTS[name]
    if "." in name and ":" not in name:
        return _at_class_path(name)
    known = [*OPPONENTS, *(f"{source}:..." for source in SOURCES), "module.Class"]
    raise ValueError(f"unknown opponent {name!r}; known ones: {', '.join(known)}")


def _at_class_path(path: str) -> type[Opponent]:
    try:
        found = pkgutil.resolve_name(path)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"opponent {path!r} cannot be imported: {error}") from error
    if not (isinstance(found, type) and issubclass(found, Opponent)):
        raise ValueError(f"opponent {path!r} must be a subclass of {Opponent.__module__}.Opponent, got {found!r}")
    return found
