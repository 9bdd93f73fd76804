"""The page of Derk's observations, actions, items and bounties, made from the library's own names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pearl_lightning.envs.derk import interface

HEAD = """# Derk's interface

Made from `pearl_lightning/envs/derk/interface.py` when the site is built. What the numbers mean in full is in the
[rules](../derk_rules.md).
"""


MEANINGS = {
    "Hitpoints": "share of 100",
    **{f"Ability{slot}Ready": f"whether nothing cools down in slot {slot}" for slot in range(interface.SLOTS)},
    "HasFocus": "whether the agent has a focus; without one the focus' numbers are 0",
    "FocusRelativeRotation": "from the agent's heading to the focus', share of pi",
    "FocusFacingUs": "1 where it looks at the agent, -1 where it looks away",
    "FocusFocusingBack": "whether its focus is the agent",
    "FocusHitpoints": "share of 100",
    "FocusDazed": "whether it is",
    "FocusCrippled": "whether it is",
    **{
        f"Height{side}{metres}": f"of the ground {metres} m {where} above the agent, by tanh"
        for side, metres, where in (("Front", 1, "ahead"), ("Front", 5, "ahead"), ("Back", 2, "behind"))
    },
    "PositionLeftRight": "where the agent stands along one diagonal of the arena, from its team's view",
    "PositionUpDown": "along the other",
    "Stuck": "whether the agent walks but does not get on",
}
"""Of observed numbers whose names follow no pattern; formulas are in section 9 of the rules."""


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(map(_cell, line))} |\n" for line in lines)


def _cell(content: object) -> str:
    """Text whose bars do not end the cell; in code they do not anyway."""
    prose_and_code = str(content).split("`")
    return "`".join(part if i % 2 else part.replace("|", "\\|") for i, part in enumerate(prose_and_code))


def observation_meaning(name: str) -> str:
    """The unit of an observed number, as far as its name tells."""
    if name.startswith("Unused"):
        return "always 0"
    if name.endswith("Distance"):
        return f"share of {interface.FOCUS_RANGE:g} m; 2 for the dead"
    if name.endswith("Angle"):
        return "share of pi; left is positive"
    if name.startswith("FocusHas"):
        return f"whether the focus holds {name.removeprefix('FocusHas')}"
    if name.startswith("Has") and name.removeprefix("Has") in interface.ITEMS:
        return f"whether the agent holds {name.removeprefix('Has')}, in whatever slot"
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
    """What each value of a choice means."""
    return table(("value", "meaning"), enumerate(meanings))


def items() -> str:
    """Every item with its natural slot, in the order of the flags."""
    slots = {item: slot for slot, natural in interface.ITEMS_BY_SLOT.items() for item in natural}
    return table(("flag", "item", "natural slot"), [(i, f"`{x}`", slots[x]) for i, x in enumerate(interface.ITEMS)])


def bounties() -> str:
    """Every bounty: what it pays for, and its weight in the ready-made ones."""

    def paid(name: str) -> str:
        if name in ("teamSpirit", "timeScaling"):
            return "reshapes the others"
        if name == "manualBonus":
            return "never paid"
        return "hitpoint" if name in interface.PAID_PER_HITPOINT else "event"

    rows = [
        (
            f"`{name}`",
            paid(name),
            f"{interface.DEFAULT_BOUNTIES.get(name, 0):g}",
            f"{interface.SHAPED_BOUNTIES.get(name, 0):g}",
        )
        for name in interface.BOUNTY_KEYS
    ]
    return table(("bounty", "paid per", "`default`", "`shaped`"), rows)


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
            "### ChangeFocus\n\nAsking for a target that is behind, dead or 30 m away drops the focus.\n",
            choices(interface.CHANGE_FOCUS),
            "## Items\n\nThe game accepts any item in any slot.\n",
            items(),
            "## Bounties\n\nReward weights of a task; those not given are the game's own (`default`).\n",
            bounties(),
        ]
    )
