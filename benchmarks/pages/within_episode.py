"""Table and figure of agents that adapt within the episode, from the files of ``benchmarks.within_episode``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import mean

from matplotlib.figure import Figure

from benchmarks.curve_runs import read_curves
from benchmarks.curves import Curve
from benchmarks.pages.tables import UNKNOWN, cell, heading, number, read_rows, table

FAMILIES = {
    "cheetah_vel": ("Half-Cheetah-Vel", "mujoco_cheetah_vel"),
    "point_robot_dense": ("point robot, dense", "point_robot_dense"),
    "point_robot_sparse": ("point robot, sparse", "point_robot_sparse"),
}
"""Title of each family, and start of the names of its usual runs' files."""
DERK = {
    "opponents": ("Opponents, known styles", "known_styles"),
    "sentinels": ("Sentinels", "known_styles"),
    "blind_loadouts": ("Blind loadouts", "test"),
}
"""Title of each of Derk's families, and the split of its test tasks that is shown."""
OF_CONFIG = {"opponents": "within_mean", "sentinels": "between", "blind_loadouts": "between", "bounties": "between"}
"""Agent of each family's own config; ``benchmarks.families`` trains it."""
AGENTS = {
    "between": "PEARL, belief updated between episodes",
    "within": "PEARL, belief also updated within episodes",
    "within_mean": "PEARL, also within episodes, on the mean",
    "posterior": "PEARL, also within episodes, on mean and std",
    "mean": "PEARL, between episodes, on the mean",
    "rl2": "RL²",
}
"""Description of each agent."""
EPISODES = 3
IN_A_ROW = 3
"""Number of plots in a row of the figure."""


def _curves(data: Path, names: Mapping[str, str]) -> dict[str, Mapping[int, Curve]]:
    """Curves by agent and seed, given the start of each agent's file names; agents without a file are left out."""
    curves = {agent: read_curves(data, [name]).get(name, {}) for agent, name in names.items()}
    return {agent: seeds for agent, seeds in curves.items() if seeds}


def _runs(data: Path) -> dict[str, dict[str, Mapping[int, Curve]]]:
    """Curves by family, agent and seed, of the families in which at least two agents have been run."""
    found: dict[str, dict[str, Mapping[int, Curve]]] = {}
    for family, (_, usual) in FAMILIES.items():
        found[family] = _curves(data, {agent: f"{agent}_{family}" for agent in AGENTS} | {"between": usual})
    return {family: agents for family, agents in found.items() if len(agents) > 1}


def _derk_rows(data: Path) -> dict[str, dict[str, list[dict[str, str]]]]:
    """Rows by family and agent, one per seed, of Derk's families with an agent that adapts within the episode."""
    path = data / "within_derk.csv"
    rows = read_rows(path) if path.is_file() else []
    found: dict[str, dict[str, list[dict[str, str]]]] = {}
    for family, (_, split) in DERK.items():
        new = [row for row in rows if (row["family"], row["test_tasks"]) == (family, split)]
        if new:
            known = read_rows(data / f"{family}_seeds.csv")
            title = split.replace("_", " ")
            usual = [row for row in known if row["context"] == "its own" and row.get("test_tasks", title) == title]
            agents = {agent: [row for row in new if row["agent"] == agent] for agent in AGENTS}
            agents[OF_CONFIG[family]] = usual
            found[family] = {agent: seeds for agent, seeds in agents.items() if seeds}
    return found


def finding(data: Path) -> list[str]:
    """Main result as one sentence."""
    texts = []
    for family, rows in _derk_rows(data).items():
        if {"between", "within"} <= rows.keys():
            usual, within = (mean(float(row["return_0"]) for row in rows[agent]) for agent in ("between", "within"))
            texts.append(f"{usual:.1f} to {within:.1f} ({DERK[family][0]})")
    for family, agents in _runs(data).items():
        if {"between", "within"} <= agents.keys():
            usual, within = (
                mean(curve.final("return_0") for curve in agents[agent].values()) for agent in ("between", "within")
            )
            texts.append(f"{usual:.1f} to {within:.1f} ({FAMILIES[family][0]})")
    if not texts:
        return ["No agent that adapts within the episode has been run yet."]
    changes = ", ".join(texts)
    return [f"If the belief is also updated within episodes, the first episode's return changes from {changes}."]


def returns(data: Path) -> list[str]:
    """Table of the last evaluation of every run."""
    rows = [
        [
            FAMILIES[family][0],
            AGENTS[agent],
            str(seed),
            *(number(curve.final(f"return_{episode}"), ".1f") for episode in range(EPISODES)),
            *(number(curve.final(name), ",.0f") for name in ("env_steps", "seconds")),
        ]
        for family, agents in _runs(data).items()
        for agent, seeds in agents.items()
        for seed, curve in seeds.items()
    ]
    head = ["family", "agent", "seed", *(f"return after {e}" for e in range(EPISODES)), "environment steps", "seconds"]
    return table(head, rows)


def derk(data: Path) -> list[str]:
    """Table of Derk's families on their test tasks."""
    columns = [f"return_{episode}" for episode in range(EPISODES)]
    columns += [f"won_{episode}_percent" for episode in range(EPISODES)]
    rows = [
        [
            DERK[family][0],
            AGENTS[agent],
            row["seed"],
            *(cell(row, column) for column in columns),
            *(f"{int(row[name]):,}" if row.get(name) else UNKNOWN for name in ("env_steps", "seconds")),
        ]
        for family, agents in _derk_rows(data).items()
        for agent, seeds in agents.items()
        for row in seeds
    ]
    return table(["family", "agent", "seed", *map(heading, columns), "environment steps", "seconds"], rows)


def plot(data: Path) -> Figure:
    """Plot the return of the first episode of every run over environment steps."""
    runs = {FAMILIES[family][0]: agents for family, agents in _runs(data).items()}
    for family, (title, _) in DERK.items():
        if agents := _curves(data, {agent: f"{agent}_{family}" for agent in AGENTS}):
            runs[title.partition(",")[0]] = agents
    rows = -(-len(runs) // IN_A_ROW)
    figure = Figure(figsize=(4 * IN_A_ROW, 2.8 * rows + 0.4), layout="constrained")
    places = figure.subplots(rows, IN_A_ROW, squeeze=False).flatten()
    for axes in places[len(runs) :]:
        axes.remove()
    for axes, (title, agents) in zip(places, runs.items(), strict=False):
        for agent, seeds in agents.items():
            colour = f"C{list(AGENTS).index(agent)}"
            for curve in seeds.values():
                marker = "o" if len(curve.env_steps) == 1 else None  # of some runs, only the end is known
                thousands = curve.env_steps / 1000
                axes.plot(thousands, curve.columns["return_0"], color=colour, marker=marker, label=AGENTS[agent])
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("thousand environment steps")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("return of the first episode")
    lines = {text: line for axes in figure.axes for line, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(lines.values(), lines.keys(), loc="outside upper left", ncols=3, fontsize=8)
    return figure
