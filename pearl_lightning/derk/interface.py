"""Names and layouts of Derk's Gym: observations, actions, items, bounties, team statistics."""

from __future__ import annotations

from pearl_lightning.action_space import ActionSpace

SIDES = 2
"""Home (0) and away (1)."""
AGENTS = 3
"""Derklings per team."""
SLOTS = 3
"""Item slots per Derkling."""
EPISODE_STEPS = 150
"""Gym steps per episode."""
TICKS_PER_STEP = 8
"""Ticks of 1/60 s per gym step."""
EPISODE_TICKS = EPISODE_STEPS * TICKS_PER_STEP
"""Ticks per episode."""
FOCUS_RANGE = 30.0
"""Largest distance in metres at which a target can be focused. Observed distances are in this unit."""

ITEMS_BY_SLOT: dict[str, tuple[str, ...]] = {
    "arms": ("Talons", "BloodClaws", "Cleavers", "Cripplers", "Pistol", "Magnum", "Blaster"),
    "tail": ("HealingGland", "VampireGland", "ParalyzingDart"),
    "misc": ("FrogLegs", "IronBubblegum", "HeliumBubblegum", "Shell", "Trombone"),
}
"""Items of each natural slot, in slot order. The game accepts any item in any slot."""

GUNS: tuple[str, ...] = ("Pistol", "Magnum", "Blaster")
"""Ranged items of the arms slot. The other items of that slot are claws."""

ITEMS: tuple[str, ...] = (
    "Talons",
    "BloodClaws",
    "Cleavers",
    "Cripplers",
    "HealingGland",
    "VampireGland",
    "FrogLegs",
    "Pistol",
    "Magnum",
    "Blaster",
    "ParalyzingDart",
    "IronBubblegum",
    "HeliumBubblegum",
    "Shell",
    "Trombone",
)
"""All items, in the order of the item flags in an observation."""

TARGETS: tuple[str, ...] = ("FriendStatue", "Friend1", "Friend2", "EnemyStatue", "Enemy1", "Enemy2", "Enemy3")
"""Targets that can be focused, in the order of ChangeFocus 1 to 7. Each has an observed ``Distance`` and ``Angle``."""

CHANGE_FOCUS: tuple[str, ...] = ("keep", *TARGETS)
"""Meaning of each value of ChangeFocus. Choosing a target that is behind, dead or 30 m away drops the focus."""

CASTING_SLOT: tuple[str, ...] = ("none", *ITEMS_BY_SLOT)
"""Meaning of each value of CastingSlot."""

OBSERVATION_KEYS: tuple[str, ...] = (
    "Hitpoints",
    "Ability0Ready",
    *(f"{target}{sense}" for target in TARGETS for sense in ("Distance", "Angle")),
    "HasFocus",
    "FocusRelativeRotation",
    "FocusFacingUs",
    "FocusFocusingBack",
    "FocusHitpoints",
    "Ability1Ready",
    "Ability2Ready",
    "FocusDazed",
    "FocusCrippled",
    "HeightFront1",
    "HeightFront5",
    "HeightBack2",
    "PositionLeftRight",
    "PositionUpDown",
    "Stuck",
    "UnusedSense31",
    *(f"Has{item}" for item in ITEMS),
    *(f"FocusHas{item}" for item in ITEMS),
    "UnusedExtraSense30",
    "UnusedExtraSense31",
)
"""Name of each feature of an observation. Distances are in units of 30 m (2 for a dead target), angles in units of
pi."""

OBSERVATION_FEATURES = 64
"""Number of features in one agent's observation."""

ACTION_KEYS: tuple[str, ...] = ("MoveX", "Rotate", "ChaseFocus", "CastingSlot", "ChangeFocus")
"""Name of each component of an action."""

ACTION_SPACE = ActionSpace(low=(-1.0, -1.0, 0.0), high=(1.0, 1.0, 1.0), choices=(len(CASTING_SLOT), len(CHANGE_FOCUS)))
"""MoveX and Rotate in [-1, 1], ChaseFocus in [0, 1], CastingSlot in 0..3, ChangeFocus in 0..7."""

BOUNTY_KEYS: tuple[str, ...] = (
    "damageEnemyUnit",
    "damageEnemyStatue",
    "friendlyFire",
    "killEnemyUnit",
    "killEnemyStatue",
    "healFriendlyStatue",
    "healTeammate1",
    "healTeammate2",
    "healEnemy",
    "damageTaken",
    "statueDamageTaken",
    "fallDamageTaken",
    "timeSpentHomeBase",
    "timeSpentHomeTerritory",
    "timeSpentAwayTerritory",
    "timeSpentAwayBase",
    "victory",
    "loss",
    "tie",
    "teamSpirit",
    "timeScaling",
    "manualBonus",
)
"""Names of all reward weights. ``teamSpirit`` and ``timeScaling`` rescale the other rewards and give none themselves.
The game accepts ``manualBonus`` but never rewards it."""

PAID_PER_HITPOINT: tuple[str, ...] = (*BOUNTY_KEYS[:3], *BOUNTY_KEYS[5:11])
"""Bounties that are rewarded per hitpoint of damage or healing; a unit has 100 hitpoints. The others are rewarded per
event."""

DEFAULT_BOUNTIES: dict[str, float] = {"killEnemyStatue": 4.0, "killEnemyUnit": 1.0, "timeScaling": 1.0}
"""Default bounties of the game. All other weights default to 0; custom weights are merged over these."""

SHAPED_BOUNTIES: dict[str, float] = {
    **DEFAULT_BOUNTIES,
    "damageEnemyUnit": 0.01,  # per hitpoint: the 100 hitpoints of a unit are worth as much as its kill
    "damageEnemyStatue": 0.02,
    "friendlyFire": -0.01,
    "statueDamageTaken": -0.01,
    "fallDamageTaken": -1.0,  # once per lethal fall
}
"""Dense bounties: damage and kills are rewarded; friendly fire, damage to the home statue and falls are penalized."""

TEAM_STATS_KEYS: tuple[str, ...] = ("Reward", "OpponentReward", "Hitpoints", "AliveTime", "CumulativeHitpoints")
"""Name of each statistic of a team after a match."""

_OBSERVATION_INDEX = {name: index for index, name in enumerate(OBSERVATION_KEYS)}


def observation_index(name: str) -> int:
    """Return the column of the observation feature called ``name``.

    Raises:
        ValueError: No feature has that name.
    """
    if name not in _OBSERVATION_INDEX:
        raise ValueError(f"unknown observation {name!r}; known ones: {', '.join(OBSERVATION_KEYS)}")
    return _OBSERVATION_INDEX[name]
