"""The page of Derk's observations, actions, items and bounties, generated from the names in the library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pearl_lightning.derk import interface

HEAD = """# Derk's interface

This page is generated from `pearl_lightning/derk/interface.py`. The [rules](../environments/derk_rules.md) define the
numbers.
"""


MEANINGS = {
    "Hitpoints": "share of 100",
    **{f"Ability{slot}Ready": f"1 if the item in slot {slot} is ready" for slot in range(interface.SLOTS)},
    "HasFocus": "1 if the agent has a focus; otherwise all numbers of the focus are 0",
    "FocusRelativeRotation": "angle from the agent's heading to that of the focus, share of pi",
    "FocusFacingUs": "1 if the focus looks at the agent, -1 if it looks away",
    "FocusFocusingBack": "1 if the agent is the focus of its focus",
    "FocusHitpoints": "share of 100",
    "FocusDazed": "1 if the focus is dazed",
    "FocusCrippled": "1 if the focus is crippled",
    **{
        f"Height{side}{metres}": f"height of the ground {metres} m {where}, above the agent, through tanh"
        for side, metres, where in (("Front", 1, "ahead"), ("Front", 5, "ahead"), ("Back", 2, "behind"))
    },
    "PositionLeftRight": "position along one diagonal of the arena, as seen by the team",
    "PositionUpDown": "position along the other diagonal",
    "Stuck": "1 if the agent walks but does not move",
}
"""Meanings of observed numbers whose names follow no pattern; section 9 of the rules has the formulas."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(content: object) -> str:
    """Text with escaped bars, which would end the cell; bars in code do not."""
    prose_and_code = str(content).split("`")
    return "`".join(part if i % 2 else part.replace("|", "\\|") for i, part in enumerate(prose_and_code))


def observation_meaning(name: str) -> str:
    """The unit or meaning of an observed number."""
    if name.startswith("Unused"):
        return "always 0"
    if name.endswith("Distance"):
        return f"share of {interface.FOCUS_RANGE:g} m; 2 for the dead"
    if name.endswith("Angle"):
        return "share of pi; left is positive"
    if name.startswith("FocusHas"):
        return f"1 if the focus holds {name.removeprefix('FocusHas')}"
    if name.startswith("Has") and name.removeprefix("Has") in interface.ITEMS:
        return f"1 if the agent holds {name.removeprefix('Has')}, in any slot"
    return MEANINGS.get(name, "")


def observations() -> str:
    """Every number of an observation, by column."""
    rows = [(i, f"`{name}`", observation_meaning(name)) for i, name in enumerate(interface.OBSERVATION_KEYS)]
    return table(("column", "name", "unit"), rows)


def actions() -> str:
    """Every number of an action, by column."""
    space = interface.ACTION_SPACE
    ranges = [f"[{low:g}, {high:g}]" for low, high in zip(space.low, space.high, strict=True)]
    ranges += [f"0 to {options - 1}" for options in space.choices]
    rows = zip(range(space.width), (f"`{name}`" for name in interface.ACTION_KEYS), ranges, strict=True)
    return table(("column", "name", "range"), rows)


def choices(meanings: Sequence[str]) -> str:
    """The meaning of each value of a choice."""
    return table(("value", "meaning"), enumerate(meanings))


def items() -> str:
    """Every item with its natural slot, in the order of the flags."""
    slots = {item: slot for slot, natural in interface.ITEMS_BY_SLOT.items() for item in natural}
    return table(("flag", "item", "natural slot"), [(i, f"`{x}`", slots[x]) for i, x in enumerate(interface.ITEMS)])


def bounties() -> str:
    """Every bounty: what it rewards, and its weight in the ready-made ones."""

    def rewarded(name: str) -> str:
        if name in ("teamSpirit", "timeScaling"):
            return "changes the others"
        if name == "manualBonus":
            return "never"
        return "hitpoint" if name in interface.PAID_PER_HITPOINT else "event"

    rows = [
        (
            f"`{name}`",
            rewarded(name),
            f"{interface.DEFAULT_BOUNTIES.get(name, 0):g}",
            f"{interface.SHAPED_BOUNTIES.get(name, 0):g}",
        )
        for name in interface.BOUNTY_KEYS
    ]
    return table(("bounty", "rewarded per", "`default`", "`shaped`"), rows)


def page() -> str:
    """The page's Markdown."""
    return "\n".join(
        [
            HEAD,
            f"## Observation\n\n{interface.OBSERVATION_FEATURES} numbers per agent and step.\n",
            observations(),
            "## Action\n",
            actions(),
            "### CastingSlot\n",
            choices(interface.CASTING_SLOT),
            "### ChangeFocus\n\nChoosing a target that is behind, dead or 30 m away drops the focus.\n",
            choices(interface.CHANGE_FOCUS),
            "## Items\n\nThe game accepts any item in any slot.\n",
            items(),
            "## Bounties\n\nReward weights of a task. Weights that are not given have the game's values (`default`).\n",
            bounties(),
        ]
    )
