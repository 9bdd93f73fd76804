"""Table and figure of agents that adapt within the episode, from the files of ``benchmarks.within_episode``."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.curve_runs import Curves, read_curves
from benchmarks.pages.tables import number, table

FAMILIES = {
    "cheetah_vel": ("Half-Cheetah-Vel", "mujoco_cheetah_vel", 20),
    "point_robot_dense": ("point robot, dense", "point_robot_dense", 5),
    "point_robot_sparse": ("point robot, sparse", "point_robot_sparse", 5),
}
"""Title of each family, start of the names of its usual runs' files, and steps between two updates of the belief."""
EPISODES = 3


def _agents(family: str, data: Path) -> dict[str, Curves]:
    """Curves of the family by agent; agents that have not been run are left out."""
    _, usual, every = FAMILIES[family]
    names = {
        "PEARL, belief updated between episodes": usual,
        f"PEARL, belief updated every {every} steps": f"within_{family}",
        "RL²": f"rl2_{family}",
    }
    found = {agent: read_curves(data, [name]) for agent, name in names.items()}
    return {agent: curves for agent, curves in found.items() if curves}


def _compared(data: Path) -> list[str]:
    """Families in which at least two agents have been run."""
    return [family for family in FAMILIES if len(_agents(family, data)) > 1]


def _finals(family: str, data: Path) -> dict[str, list[tuple[int, list[float], float, float]]]:
    """Seed, returns, environment steps and seconds at the end of every run, by agent."""
    return {
        agent: [
            (
                seed,
                [curve.final(f"return_{e}") for e in range(EPISODES)],
                curve.final("env_steps"),
                curve.final("seconds"),
            )
            for seeds in curves.values()
            for seed, curve in seeds.items()
        ]
        for agent, curves in _agents(family, data).items()
    }


def _mean_first(runs: list[tuple[int, list[float], float, float]]) -> float:
    return sum(returns[0] for _, returns, _, _ in runs) / len(runs)


def finding(data: Path) -> list[str]:
    """Main result as one sentence."""
    texts = []
    for family in _compared(data):
        title, _, every = FAMILIES[family]
        finals = _finals(family, data)
        kinds = ("between episodes", f"every {every} steps")
        between, within = (finals.get(f"PEARL, belief updated {kind}") for kind in kinds)
        if between and within:
            texts.append(f"{_mean_first(between):.1f} to {_mean_first(within):.1f} ({title})")
    if not texts:
        return ["No agent that adapts within the episode has been run yet."]
    changes = ", ".join(texts)
    return [f"If the belief is also updated within episodes, the return of the first episode changes from {changes}."]


def returns(data: Path) -> list[str]:
    """Table of the last evaluation of every run."""
    rows = []
    for family in _compared(data):
        title = FAMILIES[family][0]
        for agent, runs in _finals(family, data).items():
            for seed, found, env_steps, seconds in runs:
                numbers = [number(each, ".1f") for each in found]
                rows.append([title, agent, str(seed), *numbers, number(env_steps, ",.0f"), number(seconds, ",.0f")])
    head = ["family", "agent", "seed", *(f"return after {e}" for e in range(EPISODES)), "environment steps", "seconds"]
    return table(head, rows)


def plot(data: Path) -> Figure:
    """Plot the return of the first episode of every run over environment steps."""
    families = _compared(data)
    figure = Figure(figsize=(4 * max(len(families), 1), 3.2), layout="constrained")
    for axes, family in zip(figure.subplots(1, max(len(families), 1), squeeze=False)[0], families, strict=False):
        for agent, curves in _agents(family, data).items():
            colour = "C2" if agent == "RL²" else "C1" if "every" in agent else "C0"
            for curve in (curve for seeds in curves.values() for curve in seeds.values()):
                marker = "o" if len(curve.env_steps) == 1 else None  # of some runs, only the end is known
                thousands = curve.env_steps / 1000
                axes.plot(thousands, curve.columns["return_0"], color=colour, marker=marker, label=agent)
        axes.set_title(FAMILIES[family][0], fontsize=10)
        axes.set_xlabel("thousand environment steps")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("return of the first episode")
    lines = {text: line for axes in figure.axes for line, text in zip(*axes.get_legend_handles_labels(), strict=True)}
    legend = {
        text.replace("every 20", "every few").replace("every 5", "every few"): line for text, line in lines.items()
    }
    figure.legend(legend.values(), legend.keys(), loc="outside upper left", ncols=3, fontsize=8)
    return figure
