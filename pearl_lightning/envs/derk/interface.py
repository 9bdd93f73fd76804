"""Names and layouts of Derk's Gym: observations, actions, items, bounties, team statistics."""

from __future__ import annotations

from pearl_lightning.action_space import ActionSpace

SIDES = 2
"""Home (0) and away (1)."""
AGENTS = 3
"""Derklings of a team."""
SLOTS = 3
"""Item slots of a Derkling."""
EPISODE_STEPS = 150
"""Gym steps of an episode."""
TICKS_PER_STEP = 8
"""Ticks of 1/60 s in a gym step."""
EPISODE_TICKS = EPISODE_STEPS * TICKS_PER_STEP
"""Ticks of an episode."""
FOCUS_RANGE = 30.0
"""Metres up to which a target can be focused; observed distances are in this unit."""

ITEMS_BY_SLOT: dict[str, tuple[str, ...]] = {
    "arms": ("Talons", "BloodClaws", "Cleavers", "Cripplers", "Pistol", "Magnum", "Blaster"),
    "tail": ("HealingGland", "VampireGland", "ParalyzingDart"),
    "misc": ("FrogLegs", "IronBubblegum", "HeliumBubblegum", "Shell", "Trombone"),
}
"""Natural slot, in slot order, and its items. The game accepts any item in any slot."""

GUNS: tuple[str, ...] = ("Pistol", "Magnum", "Blaster")
"""Arms that hit from afar; the others are claws."""

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
"""Every item, in the order of the observation's flags."""

TARGETS: tuple[str, ...] = ("FriendStatue", "Friend1", "Friend2", "EnemyStatue", "Enemy1", "Enemy2", "Enemy3")
"""What can be focused, in the order of ChangeFocus 1 to 7; each has an observed ``Distance`` and ``Angle``."""

CHANGE_FOCUS: tuple[str, ...] = ("keep", *TARGETS)
"""Meaning of each value of ChangeFocus. Asking for a target that is behind, dead or 30 m away drops the focus."""

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
"""Name of each number of an observation. Distances are shares of 30 m (2 for the dead), angles shares of pi."""

OBSERVATION_FEATURES = 64
"""Numbers in one agent's observation."""

ACTION_KEYS: tuple[str, ...] = ("MoveX", "Rotate", "ChaseFocus", "CastingSlot", "ChangeFocus")
"""Name of each number of an action."""

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
"""Every reward weight. ``teamSpirit`` and ``timeScaling`` reshape the others instead of paying; ``manualBonus`` is
known to the game but never paid."""

PAID_PER_HITPOINT: tuple[str, ...] = (*BOUNTY_KEYS[:3], *BOUNTY_KEYS[5:11])
"""Those that pay for every hitpoint of damage or healing, of which a unit has 100; the others pay per event."""

DEFAULT_BOUNTIES: dict[str, float] = {"killEnemyStatue": 4.0, "killEnemyUnit": 1.0, "timeScaling": 1.0}
"""The game's own bounties; every other weight defaults to 0, and given weights are merged over these."""

SHAPED_BOUNTIES: dict[str, float] = {
    **DEFAULT_BOUNTIES,
    "damageEnemyUnit": 0.01,  # per hitpoint: a unit's 100 hitpoints pay as much as its kill
    "damageEnemyStatue": 0.02,
    "friendlyFire": -0.01,
    "statueDamageTaken": -0.01,
    "fallDamageTaken": -1.0,  # once per lethal fall
}
"""Bounties dense enough to learn from: damage and kills pay; friendly fire, a hurt statue and falls cost."""

TEAM_STATS_KEYS: tuple[str, ...] = ("Reward", "OpponentReward", "Hitpoints", "AliveTime", "CumulativeHitpoints")
"""Name of each number of a finished match's statistics, per team."""

_OBSERVATION_INDEX = {name: index for index, name in enumerate(OBSERVATION_KEYS)}


def observation_index(name: str) -> int:
    """Column of the observation called ``name``.

    Raises:
        ValueError: No observation has that name.
    """
    if name not in _OBSERVATION_INDEX:
        raise ValueError(f"unknown observation {name!r}; known ones: {', '.join(OBSERVATION_KEYS)}")
    return _OBSERVATION_INDEX[name]
