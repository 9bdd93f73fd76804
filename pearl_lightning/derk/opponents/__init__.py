"""Opponents for the other team: batched torch policies, one file each, and their registry."""

from __future__ import annotations

import pkgutil

from pearl_lightning.derk.opponents.attacker import AttackerOpponent
from pearl_lightning.derk.opponents.avenger import AvengerOpponent
from pearl_lightning.derk.opponents.besieger import BesiegerOpponent
from pearl_lightning.derk.opponents.disruptor import DisruptorOpponent
from pearl_lightning.derk.opponents.gang import GangOpponent
from pearl_lightning.derk.opponents.guardian import GuardianOpponent
from pearl_lightning.derk.opponents.healer import HealerOpponent
from pearl_lightning.derk.opponents.idle import IdleOpponent
from pearl_lightning.derk.opponents.one_of import OneOfOpponent
from pearl_lightning.derk.opponents.opponent import Opponent
from pearl_lightning.derk.opponents.pusher import PusherOpponent
from pearl_lightning.derk.opponents.runner import RunnerOpponent
from pearl_lightning.derk.opponents.sniper import SniperOpponent
from pearl_lightning.derk.opponents.uniform import RandomOpponent
from pearl_lightning.derk.opponents.warden import WardenOpponent

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
"""Opponents by their name in a task. Custom opponents are named by class path, ``module.Class``."""

SOURCES: dict[str, str] = {
    "checkpoint": "pearl_lightning.derk.opponents.checkpoint:CheckpointOpponent",
    "selves": "pearl_lightning.derk.opponents.past_selves:PastSelves",
    "server": "pearl_lightning.derk.opponents.server:ServerOpponent",
}
"""Classes behind opponent names of the form ``source:argument``. They are import strings, because environments may not
import learning code."""

__all__ = ["OPPONENTS", "SOURCES", "OneOfOpponent", "Opponent", "make_opponent", "opponent_class"]


def make_opponent(name: str) -> Opponent:
    """Create an opponent by name: a key of ``OPPONENTS``, a class path, or ``source:argument`` (see ``SOURCES``).

    Raises:
        ValueError: No opponent has that name.
    """
    kind, what = opponent_class(name), name.partition(":")[2]
    return kind(what) if what else kind()  # type: ignore[call-arg]


def opponent_class(name: str) -> type[Opponent]:
    """Return the class of the opponent called ``name``.

    Raises:
        ValueError: No opponent has that name, or a class path does not lead to an opponent.
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
