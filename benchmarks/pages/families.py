"""Tables of Derk's task families, from ``families.json``, which ``benchmarks.families`` writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.pages.tables import table
from pearl_lightning.evaluation import AdaptationTable, Interval, format_interval

LABELS = {
    "pearl": "PEARL",
    "pearl, wrong context": "PEARL, given another task's episodes",
    "oracle": "oracle",
    "context_free": "context-free",
    "ppo": "PPO",
    "evolution_strategy": "evolution strategy",
    "random": "random actions",
}
"""Names of the agents in tables and figures, in the order of the rows."""
UNOBSERVED = ("new_styles",)
"""Splits in which the oracle does not observe what matters, so its lead is not the headroom."""
OVERVIEW = {
    ("blind_loadouts", "test"): ("Blind loadouts", "its own items", "which slots it uses"),
    ("sentinels", "known_styles"): (
        "Sentinels",
        "which of two opponents that look alike",
        "whether it attacks the units or the statue",
    ),
    ("bounties", "mixtures"): ("Bounties", "the reward function", "which goals it pursues, and which it avoids"),
    ("opponents", "known_styles"): ("Opponents", "the style of the opponent", "how it fights"),
    ("loadouts", "test"): ("Loadouts", "the opponent's items", "little: its own items matter most"),
}
"""Name of each family, what it hides, and what the agent adapts, by family and split."""


def measured(data: Path, family: str, split: str) -> dict[str, Any]:
    """Return the results of a split, with an ``AdaptationTable`` per agent in ``tables``.

    Args:
        data: Folder of ``families.json``.
        family: Name of the family.
        split: Name of the split.

    Raises:
        KeyError: There is no such split.
    """
    entries = json.loads((data / "families.json").read_text(encoding="utf-8"))
    found = {(entry["family"], entry["split"]): entry for entry in entries}[family, split]
    tables = {agent: AdaptationTable.from_json(found["tables"][agent]) for agent in LABELS if agent in found["tables"]}
    return {**found, "tables": tables}


def overview(data: Path, links: str = "") -> list[str]:
    """Table of all families, with one row each.

    Args:
        data: Folder of ``families.json``.
        links: Start of the links to the families' pages.
    """
    rows = []
    for (family, split), (name, hidden, adapted) in OVERVIEW.items():
        tables = measured(data, family, split)["tables"]
        first, *_, last = tables["pearl"].episodes
        row = [f"[{name}]({links}{family}.md): {hidden}", adapted, f"{first.return_mean:.2f} → {last.return_mean:.2f}"]
        row.append(format_interval(tables["pearl"].gain))
        others = ("oracle", "context_free", "ppo", "evolution_strategy")
        rows.append(row + [f"{tables[agent].episodes[-1].return_mean:.2f}" for agent in others])
    head = ["task family", "the agent adapts", "return, episode 0 → 2", "gain [95 %]", "oracle", "context-free", "PPO"]
    return table([*head, "evolution strategy"], rows)


def agents(data: Path, family: str, split: str) -> list[str]:
    """Table of a split with one row per agent: returns by episode, gain, and win rates if matches have winners."""
    tables = measured(data, family, split)["tables"]
    has_wins = tables["pearl"].win_gain is not None
    episodes = len(tables["pearl"].episodes)
    head = ["agent", *(f"return after {episode}" for episode in range(episodes)), "gain"]
    head += ["won after 0", f"won after {episodes - 1}", "gain of wins, points"] if has_wins else []
    rows = []
    for agent, each in tables.items():
        row = [LABELS[agent], *(f"{episode.return_mean:.2f}" for episode in each.episodes), format_interval(each.gain)]
        if has_wins:
            row += [f"{100 * each.episodes[index].win_rate:.1f} %" for index in (0, -1)]
            row.append(points(each.win_gain))
        rows.append(row)
    return table(head, rows)


def points(interval: Interval, form: str = ".1f") -> str:
    """Format a difference of rates in points."""
    return format_interval(Interval(*(100 * each for each in (interval.mean, interval.low, interval.high))), form)


def spent(data: Path, family: str, split: str) -> list[str]:
    """Table of each trained agent's last return by seed, and of the steps and seconds of its training."""
    entry = measured(data, family, split)
    rows = []
    for agent in entry["tables"]:
        row = [LABELS[agent], ", ".join(f"{last:.2f}" for last in entry["by_seed"][agent])]
        cost = entry["spent"].get(agent)  # None if the agent was not trained
        rows.append(row + ([f"{cost['env_steps'] / 1e6:.1f}", f"{cost['seconds']:,.0f}"] if cost else ["–", "–"]))
    return table(["agent", "last return of each seed", "million environment steps", "seconds"], rows)


def leads(data: Path, family: str, split: str) -> list[str]:
    """Table of the differences in the last episode: the oracle's lead, and those of PEARL."""
    entry = measured(data, family, split)
    headroom = entry["headroom"]
    name = "oracle minus context-free" + (" (the oracle does not observe the style)" if split in UNOBSERVED else "")
    differences = {name: headroom["lead"]}
    differences |= {f"PEARL minus {LABELS[agent]}": lead for agent, lead in headroom["pearl_over"].items()}
    has_wins = "win_rate" in headroom["lead"]
    rows = []
    for label, lead in differences.items():
        row = [label, format_interval(Interval.from_json(lead["return"]), "+.2f")]
        rows.append(row + ([points(Interval.from_json(lead["win_rate"]), "+.1f")] if has_wins else []))
    if headroom["share"] is not None:
        share = f"{headroom['share']:.0%}".replace("%", " %")
        rows.append(["PEARL's share of the first row", share, *(["–"] if has_wins else [])])
    return table(["last episode", "return", *(["wins, points"] if has_wins else [])], rows)


def equal_seconds(data: Path, family: str, split: str) -> list[str]:
    """Table of the validation returns of PEARL and of another agent, at the end of the faster of their runs."""
    pairs = measured(data, family, split)["equal_seconds"]
    rows = [[LABELS[agent], f"{own:.2f}", f"{other:.2f}"] for agent, (own, other) in pairs.items()]
    return table(["compared with", "PEARL", "the other agent"], rows)


def kinds(data: Path, family: str, split: str) -> list[str]:
    """Table of the scores by kind of task."""
    return by_kind(measured(data, family, split)["tables"])


def pearl_by_kind(data: Path, family: str, split: str) -> list[str]:
    """Table of PEARL's scores in every episode, one row per kind of task."""
    of_kinds = measured(data, family, split)["tables"]["pearl"].kinds
    rows = [
        [kind, *(f"{each.return_mean:.1f}" for each in scores), *(f"{100 * each.win_rate:.0f} %" for each in scores)]
        for kind, scores in of_kinds.items()
    ]
    numbers = range(len(next(iter(of_kinds.values()))))
    head = [f"{name} after {number}" for name in ("return", "won") for number in numbers]
    return table(["kind", *head], rows)


def by_kind(tables: Mapping[str, AdaptationTable]) -> list[str]:
    """Scores of the last episode by kind of task, after PEARL's first one; no lines if all tasks are of one kind."""
    names = list(tables["pearl"].kinds)

    def cells(agent: str, episode: int) -> Iterator[str]:
        for kind in names:
            row = tables[agent].kinds[kind][episode]
            yield f"{row.return_mean:.2f}" + ("" if row.win_rate is None else f", {100 * row.win_rate:.0f} %")

    rows = [["PEARL, first episode", *cells("pearl", 0)]]
    rows += [[LABELS[agent], *cells(agent, -1)] for agent in tables] if names else []
    return table(["last episode", *names], rows) if names else []
