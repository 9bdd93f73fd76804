"""The game's own state, which it tells as JSON of its entities' components when it is asked to."""

from __future__ import annotations

from typing import Any

import numpy as np

from pearl_lightning.envs.derk.game.wire import Array

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
"""Names of what is read of a member, those of ``pearl_lightning.envs.derk.recordings``."""


def parse_state(archetypes: list[dict[str, Any]], arenas: int) -> Array:
    """State ``[arena, member, field]`` as ``STATE_FIELDS`` names it.

    NaN is what a statue has not, and what the game keeps to itself: of positions, velocities, forces and contact with
    the ground it tells the first entity's alone, which is home's first Derkling of the first arena.

    Args:
        archetypes: ``gameState`` of a step's info. Entities of one kind share an entry; a component of theirs lists
            the first number of all of them, then the second of all, and so on.
        arenas: Matches side by side.
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
