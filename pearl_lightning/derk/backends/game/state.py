"""Parser of the game's state, which the game can send as JSON: a list of entities with their components."""

from __future__ import annotations

from typing import Any

import numpy as np

from pearl_lightning.derk.backends.game.wire import Array

_MEMBERS = 8
_COMPONENTS: dict[str, tuple[str, ...]] = {
    "RotationZ": ("rot",),
    "Hitpoints": ("hp",),
    "WalkingSpeed": ("walk",),
    "Gold": ("gold",),
    "Stuck": ("stuck",),
    "Dazeable": ("dazed",),
    "IronBubbable": ("iron",),
    "HeliumBubbable": ("helium",),
    "Crippleable": ("crippled",),
    "CastingAbility": ("cast_ability",),
    "CastingState": ("cast_state",),
    "CastingStateStartStep": ("cast_start_step",),
    "CastingCooldown0": ("cd0", "cd1", "cd2"),
    "DiedStep": ("died_step",),
}
_REFERENCES = {"Focuser": "focus", "CastingTarget": "cast_target", "LastPushedBy": "last_pushed_by"}
_VECTORS: dict[str, tuple[str, ...]] = {
    "PositionGpu": ("x", "y", "z"),
    "Velocity": ("vx", "vy", "vz"),
    "Force": ("fx", "fy", "fz"),
    "IsOnGround": ("on_ground",),
}

STATE_FIELDS: tuple[str, ...] = (
    *(field for fields in (*_COMPONENTS.values(), *_VECTORS.values()) for field in fields),
    *_REFERENCES.values(),
)
"""Names of the fields that are read for each member, as in ``pearl_lightning.derk.recordings``."""


def parse_state(archetypes: list[dict[str, Any]], arenas: int) -> Array:
    """Convert the game's state to an array ``[arena, member, field]``, in the order of ``STATE_FIELDS``.

    Fields that a statue does not have are NaN, and so are fields that the game does not send. It sends positions,
    velocities, forces and ground contact only for the first entity: home's first Derkling in the first arena.

    Args:
        archetypes: ``gameState`` in the info of a step. Entities of one kind share an entry. Each of its components
            lists the first number of all entities, then the second number of all entities, and so on.
        arenas: Number of matches in parallel.
    """
    state = np.full((arenas, _MEMBERS, len(STATE_FIELDS)), np.nan, np.float32)
    units = {}
    for archetype in archetypes:
        components = {component["name"]: component.get("data", []) for component in archetype["components"]}
        if "ArenaMemberIndexGpu" in components:
            units[archetype["archetypeIndex"]] = components
    members = {index: components["ArenaMemberIndexGpu"] for index, components in units.items()}
    for components in units.values():
        rows = components["ArenaInstanceGpu"], components["ArenaMemberIndexGpu"]
        for name, fields in _COMPONENTS.items():
            for field, values in zip(fields, np.reshape(components.get(name, []), (len(fields), -1)), strict=True):
                if values.size:
                    state[(*rows, STATE_FIELDS.index(field))] = values
        for name, field in _REFERENCES.items():
            if name in components:
                entities = np.reshape(components[name], (2, -1)).astype(int).T.tolist()
                state[(*rows, STATE_FIELDS.index(field))] = [
                    members[kind][entity] if kind in members and entity >= 0 else -1 for entity, kind in entities
                ]
        for name, fields in _VECTORS.items():
            for field, value in zip(fields, components[name][0].values() if name in components else (), strict=False):
                state[rows[0][0], rows[1][0], STATE_FIELDS.index(field)] = value
    return state
