"""Runs of agents that adapt within the episode: ``python -m benchmarks.within_episode``.

It trains, where missing, a PEARL whose belief is updated every few steps, and RL², with ``pearl fit`` on ready-made
configs. It writes a CSV file per run. The PEARL whose belief is updated between episodes is that of the pages of the
families. ``python -m benchmarks.pages`` compares them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from benchmarks.curve_runs import make_parser, run_name
from benchmarks.curves import write_curve
from benchmarks.runs import Run, train_all

FAMILIES: dict[str, list[str]] = {
    "cheetah_vel": ["locomotion", "mujoco/cheetah_vel"],
    "point_robot_dense": ["point_robot"],
    "point_robot_sparse": ["sparse_point_robot"],
}
"""Configs of each family."""
AGENTS: dict[str, dict[str, tuple[list[str], list[str]]]] = {
    "within": {
        "cheetah_vel": ([], ["--model.belief.observe_every", "20"]),
        "point_robot_dense": ([], ["--model.belief.observe_every", "5"]),
        "point_robot_sparse": ([], ["--model.belief.observe_every", "5"]),
    },
    "rl2": {"point_robot_dense": (["baselines/rl2"], [])},
}
"""Overlays and options of each agent, by family."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the missing runs, and write the CSV files."""
    parser = make_parser(__doc__, FAMILIES)
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=list(AGENTS), help="agents to train")
    options, extra = parser.parse_known_args(arguments)
    runs: dict[str, Run] = {}
    for agent, family, seed in product(options.agents, options.families, options.seeds):
        if family in AGENTS[agent]:
            overlays, settings = AGENTS[agent][family]
            name = run_name(f"{agent}_{family}", seed)
            runs[name] = Run(name, [*FAMILIES[family], *overlays], seed, ["--threads", "1", *settings, *extra])
    if not options.no_train:
        train_all(runs, options.runs_dir, options.parallel)
    for name in runs:
        if (options.runs_dir / name).is_dir():
            write_curve(options.runs_dir / name, options.data / f"{name}.csv")


if __name__ == "__main__":
    main()
