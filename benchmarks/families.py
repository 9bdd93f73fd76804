"""How much knowing the task is worth in each of Derk's families, and how much of it adaptation brings.

``python -m benchmarks.families`` trains with ``pearl fit`` on the ready-made configs, one process and thread per run:
PEARL, and with as many environment steps and updates the context-free agent and the one that is told the task; then,
with the first seed only, PPO and the evolution strategy for as many steps and as many seconds as PEARL at least. All
play the test splits, the same tasks, starts and seeds, beside uniform random actions. The control is PEARL reading
another task's episodes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.runs import RUNS, Run, train_all
from pearl_lightning.agent import load_agent
from pearl_lightning.baselines import UniformAgent
from pearl_lightning.commands.worlds import make_env
from pearl_lightning.evaluation import (
    AdaptationResult,
    compare,
    evaluate_adaptation,
    format_comparison,
    format_interval,
)
from pearl_lightning.report.records import RunRecord, read_run
from pearl_lightning.rollout import MetaAgent

FAMILIES = {  # overlay, and the splits that are played
    "loadouts": (None, ["test"]),
    "bounties": ("families/bounties", ["mixtures", "corners"]),
    "blind_loadouts": ("families/blind_loadouts", ["test"]),
    "opponents": ("families/opponents", ["known_styles", "new_styles"]),
    "sentinels": ("families/sentinels", ["known_styles"]),
}
MAIN = {"context_free": "baselines/context_free", "pearl": None, "oracle": "baselines/oracle"}
OTHERS = {  # overlay, and updates of an iteration; the first seed only, to save hours
    "ppo": ("baselines/ppo", 40),
    "evolution_strategy": ("baselines/evolution_strategy", 1),
}
ITERATION_ENV_STEPS = 9600
"""Environment steps of an iteration of one of ``OTHERS``."""
UNTOLD = ("new_styles",)
"""Splits whose tasks' descriptors do not tell what decides: the told agent's lead is not what adapting could bring."""
PLAY_THEIR_BEST = ("context_free", "oracle")
"""Who plays its best checkpoint by the validation tasks: without a belief some go to and fro between two answers."""
CONTROL = "pearl, wrong context"
LEAST_MATCHES = 256
EPISODES = 3
NO_EVALUATION = ["--trainer.limit_val_batches=0"]


def budget(agent: str, pearl: dict[str, Any]) -> list[str]:
    """Options that give one of ``OTHERS`` what PEARL had, by the summary of its run; evaluated at the end only."""
    updates = math.ceil(pearl["env_steps"] / ITERATION_ENV_STEPS) * OTHERS[agent][1]
    # Lightning stops when the time is up and so many updates are done
    limit = [f"--trainer.max_time={{'seconds': {math.ceil(pearl['seconds'])}}}", "--trainer.max_steps=-1"]
    return [*limit, f"--trainer.min_steps={updates}", *NO_EVALUATION]


def check_budget(agent: str, facts: dict[str, Any], pearl: dict[str, Any]) -> None:
    """Refuse a baseline that had less than PEARL.

    Raises:
        RuntimeError: Fewer environment steps or seconds: it was trained before PEARL was.
    """
    for name in ("env_steps", "seconds"):
        if facts[name] < pearl[name]:
            raise RuntimeError(f"{agent} had {facts[name]:.0f} {name}, PEARL {pearl[name]:.0f}: train it again")


def play(
    run: Path, split: str, checkpoint: str = "last", *, random: bool = False, wrong_context: bool = False
) -> AdaptationResult:
    """A run's checkpoint on a split of its own tasks, by samples of the policy as in training.

    Args:
        run: The run's folder.
        split: A name of its tasks' splits.
        checkpoint: ``last``, or ``best`` by the validation tasks.
        random: Play uniform legal actions instead.
        wrong_context: As ``evaluate_adaptation`` has it.
    """
    env = make_env(run / "config.yaml")
    try:
        agent: MetaAgent
        if random:
            agent = UniformAgent(env.features, env.action_space)
        else:
            agent = load_agent(run / "checkpoints" / f"{checkpoint}.ckpt")
        tasks = env.tasks.splits[split]
        return evaluate_adaptation(
            env,
            agent,
            tasks,
            episodes=EPISODES,
            matches=math.ceil(LEAST_MATCHES / len(tasks)),
            deterministic=False,
            wrong_context=wrong_context,
        )
    finally:
        env.close(raise_if_closed=False)


def pool_seeds(results: Sequence[AdaptationResult]) -> AdaptationResult:
    """The matches of several runs on the same tasks, as if one agent had played them.

    Raises:
        ValueError: They played different tasks.
    """
    if any(result.tasks != results[0].tasks for result in results):
        raise ValueError("only matches on the same tasks can be put together")

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(result, name) for result in results], axis=1)

    first = results[0]
    return AdaptationResult(
        tasks=first.tasks,
        returns=joined("returns"),
        outcomes=None if first.outcomes is None else joined("outcomes"),
        z_mean=joined("z_mean"),
        z_std=joined("z_std"),
        env_steps=sum(result.env_steps for result in results),
        kinds=first.kinds,
    )


def headroom(played: dict[str, list[AdaptationResult]], split: str) -> dict[str, Any]:
    """In the last episode: the told agent's lead over the context-free one, PEARL's share of it, its lead over all."""
    lead = compare(played["context_free"], played["oracle"])
    own = compare(played["context_free"], played["pearl"])
    has_some = lead["return"]["low"] > 0 and split not in UNTOLD
    share = own["return"]["mean"] / lead["return"]["mean"] if has_some else None
    others = {agent: compare(seeds, played["pearl"]) for agent, seeds in played.items() if agent != "pearl"}
    return {"lead": lead, "share": share, "pearl_over": others}


def validation_return(run: RunRecord, seconds: float) -> float:
    """The last episode's return after so many seconds of a run, between two evaluations; as if updates came evenly."""
    points = run.metrics[max(name for name in run.metrics if name.startswith("evaluation/return_"))]
    updates = run.summary["updates"] * seconds / run.summary["seconds"]
    return float(np.interp(updates, [point.update for point in points], [point.value for point in points]))


def at_equal_seconds(runs: Sequence[Path], others: Sequence[Path]) -> list[float]:
    """Validation returns of two agents, means over seeds; of each seed within the seconds of the faster run."""
    returns = []
    for pair in zip(map(read_run, runs), map(read_run, others), strict=True):
        seconds = min(run.summary["seconds"] for run in pair)
        returns += [[validation_return(run, seconds) for run in pair]]
    return [float(mean) for mean in np.mean(returns, axis=0)]


def measure(family: str, split: str, runs: dict[str, list[Path]]) -> dict[str, Any]:
    """Every agent on a split, the matches of all seeds together, and each seed's last score by itself.

    Args:
        family: Whose tasks these are.
        split: Of its test tasks.
        runs: The folders of each agent's runs, one per seed.
    """
    played = {"random": [play(runs["pearl"][0], split, random=True)]}
    for agent, folders in runs.items():
        played[agent] = [play(run, split, "best" if agent in PLAY_THEIR_BEST else "last") for run in folders]
    played[CONTROL] = [play(run, split, wrong_context=True) for run in runs["pearl"]]
    spent = {}
    for agent, folders in runs.items():
        summaries = [json.loads((run / "summary.json").read_text()) for run in folders]
        spent[agent] = {name: float(np.mean([each[name] for each in summaries])) for name in ("env_steps", "seconds")}
    print(f"{family}, {split}: played", flush=True)
    return {
        "family": family,
        "split": split,
        "spent": spent,
        "tables": {agent: pool_seeds(seeds).table() for agent, seeds in played.items()},
        "by_seed": {agent: [float(seed.returns[..., -1].mean()) for seed in seeds] for agent, seeds in played.items()},
        "headroom": headroom(played, split),
        "equal_seconds": {agent: at_equal_seconds(runs["pearl"], runs[agent]) for agent in MAIN if agent != "pearl"},
    }


def write_table(measured: list[dict[str, Any]], path: Path, made_by: str) -> None:
    """Every agent on every split as Markdown."""
    lines = ["# Derk's task families", "", *made_by.splitlines(), ""]
    lines += [
        "Team return and share of matches won on test tasks after so many episodes of context, the matches of",
        "all seeds together; the gain is paired within a match. The 95 % intervals are over matches, not over seeds;",
        "of leads they are over matches of which each has the mean of an agent's seeds. The context-free and the told",
        "agent play the checkpoint that was best on the validation tasks, all others their last one.",
        "*Headroom* is the lead of the agent that is told the task over the context-free one; an agent can adapt only",
        "where there is some. Who is told is a learner as well, and no upper bound; of new styles it is told nothing.",
        "In bounties, blind_loadouts and sentinels PEARL is taught what the task is, which is known while training; in",
        "opponents and sentinels all three soft actor-critics learn from a script's demonstrations as well. PPO and",
        "the evolution strategy have neither, and were trained with the first seed only, for PEARL's steps and seconds",
        "at least. At equal seconds, those of the faster run, evaluations while training are compared.",
    ]
    for entry in measured:
        lines += ["", f"## {entry['family']}, {entry['split']}", ""]
        head = ["agent", *(f"after {episode}" for episode in range(EPISODES)), "gain", "each seed's last"]
        has_wins = "win_gain" in entry["tables"]["pearl"]
        head += ["won after 0", f"won after {EPISODES - 1}", "gain of wins"] if has_wins else []
        head += ["million steps", "seconds"]
        lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for agent, table in entry["tables"].items():
            rows = table["episodes"]
            cells = [f"{row['return_mean']:.2f}" for row in rows] + [format_interval(table["gain"])]
            cells += [", ".join(f"{last:.2f}" for last in entry["by_seed"][agent])]
            if has_wins:
                cells += [f"{row['win_rate']:.1%}" for row in (rows[0], rows[-1])]
                cells += [format_interval(table["win_gain"], ".1%")]
            spent = entry["spent"].get(agent)  # nothing where nothing was trained
            cells += [f"{spent['env_steps'] / 1e6:.1f}", f"{spent['seconds']:.0f}"] if spent else ["", ""]
            lines += [f"| {agent} | " + " | ".join(cells) + " |"]
        lead = "Lead of who is told all but the style" if entry["split"] in UNTOLD else "Headroom"
        lines += ["", f"{lead}: {format_comparison(entry['headroom']['lead'])}."]
        if entry["headroom"]["share"] is not None:
            lines[-1] += f" PEARL has {entry['headroom']['share']:.0%} of it."
        leads = entry["headroom"]["pearl_over"]
        over = [f"{format_interval(each['return'], '+.2f')} over {agent}" for agent, each in leads.items()]
        lines += [f"PEARL's lead in the last episode: {', '.join(over)}."]
        equal = [f"{own:.2f} against {agent}'s {other:.2f}" for agent, (own, other) in entry["equal_seconds"].items()]
        lines += [f"PEARL's validation return at equal seconds: {', '.join(equal)}."]
        lines += by_kind(entry["tables"])
    path.write_text("\n".join([*lines, "", "![returns](families.png)"]) + "\n")


def by_kind(tables: dict[str, dict[str, Any]]) -> list[str]:
    """The last episode by kind of task as lines of Markdown, and PEARL's first one; none where all are of one kind."""
    kinds = tables["pearl"].get("kinds", {})
    if not kinds:
        return []

    def cells(agent: str, episode: int) -> str:
        rows = [tables[agent]["kinds"][kind][episode] for kind in kinds]
        return " | ".join(
            f"{row['return_mean']:.2f}" + (f", {row['win_rate']:.0%}" if "win_rate" in row else "") for row in rows
        )

    lines = ["", "| last episode by kind of task | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
    lines += [f"| pearl, after 0 | {cells('pearl', 0)} |"]
    return lines + [f"| {agent} | {cells(agent, -1)} |" for agent in tables]


def plot(measured: list[dict[str, Any]]) -> Figure:
    """Return by episodes of context, one panel per split, with 95 % intervals."""
    figure = Figure(figsize=(3.2 * len(measured), 3.4), layout="constrained")
    for axes, entry in zip(figure.subplots(1, len(measured), squeeze=False)[0], measured, strict=True):
        for agent, table in entry["tables"].items():
            mean, low, high = (
                np.array([row[f"return_{end}"] for row in table["episodes"]]) for end in ("mean", "low", "high")
            )
            axes.errorbar(range(EPISODES), mean, [mean - low, high - mean], marker="o", capsize=2, label=agent)
        axes.set_title(f"{entry['family']}\n{entry['split']}", fontsize=10)
        axes.set_xlabel("episodes of context")
        axes.set_xticks(range(EPISODES))
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("team return on test tasks")
    figure.axes[0].legend(fontsize=7)
    return figure


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, play the test splits, write ``families.md``, ``.json`` and ``.png``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--updates", type=int, help="of each run: the size of it all; the config's when left out")
    parser.add_argument("--precision", default="32-true", help="of all but PPO and the evolution strategy")
    parser.add_argument("--parallel", type=int, default=2, help="runs at a time")
    parser.add_argument("--runs_dir", type=Path, default=RUNS, help="of all runs; goes on with those that are there")
    options, extra = parser.parse_known_args(arguments)
    size = [] if options.updates is None else [f"--trainer.max_steps={options.updates}"]
    size += [option.replace("max_steps", "val_check_interval") for option in size]
    updates = "" if options.updates is None else f"_{options.updates}"
    precision = [f"--trainer.precision={options.precision}"]

    def run(family: str, agent: str, seed: int, overlay: str | None, settings: list[str]) -> Run:
        configs = [name for name in ("derk", FAMILIES[family][0], overlay) if name is not None]
        name = f"{family}_{agent}{updates}_{options.precision}_{seed}"  # all hang on PEARL's precision
        return Run(name, configs, seed, ["--threads", "1", *settings, *extra])

    places = list(product(options.families, options.seeds))
    main_runs = {
        (family, agent, seed): run(family, agent, seed, overlay, [*size, *precision])
        for (family, seed), (agent, overlay) in product(places, MAIN.items())
    }
    summaries = train_all(main_runs, options.runs_dir, options.parallel)
    first = options.seeds[0]
    other_runs = {
        (family, agent, first): run(
            family, agent, first, OTHERS[agent][0], budget(agent, summaries[family, "pearl", first])
        )
        for family, agent in product(options.families, OTHERS)
    }
    others = train_all(other_runs, options.runs_dir, options.parallel)
    for (family, agent, seed), facts in others.items():
        check_budget(other_runs[family, agent, seed].name, facts, summaries[family, "pearl", seed])
    measured, trained = [], main_runs | other_runs
    for family in options.families:
        folders = {
            agent: [
                options.runs_dir / trained[family, agent, seed].name
                for seed in options.seeds
                if (family, agent, seed) in trained
            ]
            for agent in (*MAIN, *OTHERS)
        }
        measured += [measure(family, split, folders) for split in FAMILIES[family][1]]
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "families.json").write_text(json.dumps(measured, indent=1) + "\n")
    plot(measured).savefig(options.output / "families.png", dpi=100)
    seeds = " ".join(map(str, options.seeds))
    made_by = (
        f"Made by `python -m benchmarks.families{updates.replace('_', ' --updates ')} --seeds {seeds} "
        f"--precision {options.precision}` on\n{os.cpu_count()} cores, one thread per run, "
        "so the seconds are of one busy core."
    ) + (f" Further options: `{' '.join(extra)}`." if extra else "")
    write_table(measured, options.output / "families.md", made_by)


if __name__ == "__main__":
    main()
