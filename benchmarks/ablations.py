"""What each switch is worth: the families' configs with one thing changed, all for as many updates.

``python -m benchmarks.ablations`` trains with ``pearl fit``, one process and thread per run, and plays the validation
tasks, by which settings may be chosen: the same tasks, starts and seeds for all. Differences are paired with the config
as it is. A switch is tried on the family where it should matter. Past selves are there for opponents that are new: with
and without them, these are played, too, and no setting goes by them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.families import EPISODES, FAMILIES, NO_EVALUATION, play, pool_seeds
from benchmarks.runs import RUNS, Run, train_all
from pearl_lightning.evaluation import compare, format_interval

_MODEL, _DATA = "--model.init_args", "--data.init_args"
_ENCODER, _CALLBACK = "pearl_lightning.networks.encoders", "pearl_lightning.callbacks"


def _callbacks(**collector: Any) -> list[str]:
    """The callbacks of ``configs/derk.yaml``, with further settings of the collector.

    Written in full: a list of another length replaces the config's, one as long keeps what it does not name.
    """
    collector |= {"every_n_updates": 100, "tasks_per_iteration": 64, "initial_iterations": 2}
    collector |= {"prior_episodes": 1, "posterior_episodes": 1, "rl_episodes": 1}
    evaluation = {"episodes": 2, "matches": 4, "deterministic": False}
    callbacks = [
        {"class_path": f"{_CALLBACK}.AdaptationEvaluation", "init_args": evaluation},
        {"class_path": f"{_CALLBACK}.EpisodeCollector", "init_args": collector},
        {"class_path": f"{_CALLBACK}.ReplayCheckpoint", "init_args": {"every_n_updates": 1000}},
        {"class_path": f"{_CALLBACK}.RunSummary"},
    ]
    return [f"--trainer.callbacks={json.dumps(callbacks)}"]


PLACES = {family: (overlay, ["validation"]) for family, (overlay, _) in FAMILIES.items()}
PLACES["self_play"] = ("self_play", ["validation", "new_styles"])
"""Overlay, and the splits that are played."""
ABLATIONS: dict[str, dict[str, list[str]]] = {
    "bounties": {
        "taught nothing": [f"{_MODEL}.task_inference=null"],
        "taught the rewards instead of the task": [
            f"{_MODEL}.task_inference=null",
            f"{_MODEL}.reconstruction=pearl_lightning.networks.reconstruction.Reconstruction",
        ],
        "taught the task but never told it": [f"{_MODEL}.task_inference.informed_share=0"],
        "without relabelling": [f"{_DATA}.relabelled=0"],
        "all of an episode as context": [f"{_MODEL}.context_salient=null"],
        "one z for an episode": [f"{_MODEL}.z_steps=null"],
    },
    "blind_loadouts": {
        "taught nothing": [f"{_MODEL}.task_inference=null"],
        "taught what a step changes instead of the task": [
            f"{_MODEL}.task_inference=null",
            f"{_MODEL}.reconstruction=pearl_lightning.networks.reconstruction.Reconstruction",
            f"{_MODEL}.reconstruction.observation_weight=1",
        ],
        "Gaussian product": [f"{_MODEL}.encoder={_ENCODER}.GaussianProductEncoder"],
        "Bayesian product": [f"{_MODEL}.encoder={_ENCODER}.BayesianProductEncoder"],
        "attention": [f"{_MODEL}.encoder={_ENCODER}.AttentionEncoder"],
        "recurrent": [f"{_MODEL}.encoder={_ENCODER}.RecurrentEncoder"],
        "three guesses in an episode": [f"{_MODEL}.z_steps=50"],
        "not shown what a step changed": [f"{_MODEL}.context_next_observation=false"],
    },
    "opponents": {
        "looser policy": [f"{_MODEL}.sac.target_entropy=-1", f"{_MODEL}.sac.target_choice_entropy=0.4"],
        "one-step returns": [f"{_DATA}.n_steps=1"],
        "taught who plays and told it": [
            f"{_MODEL}.task_inference.weight=1",
            f"{_MODEL}.task_inference.informed_share=0.5",
        ],
        "taught nothing": [f"{_MODEL}.reconstruction=null"],
        "without demonstrations": _callbacks(demonstrated_episodes=0, demonstrator=None),
        "an actor per agent": [f"{_MODEL}.actor=pearl_lightning.networks.actors.PerAgentActor"],
    },
    "sentinels": {
        "taught nothing": [f"{_MODEL}.task_inference=null"],
        "one answer demonstrated": _callbacks(
            demonstrated_episodes=1, demonstrator="pearl_lightning.envs.derk.opponents.SniperOpponent"
        ),
    },
    "self_play": {
        "scripted styles only": [
            f"{_DATA}.env.init_args.tasks.init_args.styles=[attacker, pusher, healer, gang]",
            *_callbacks(),
        ],
    },
}
"""Options of each variant, by family."""
AS_IT_IS = "as configured"


def measure(family: str, split: str, runs: dict[str, list[Path]]) -> dict[str, Any]:
    """Every variant on a split: its table and its lead over the config as it is, in the last episode.

    Args:
        family: Whose tasks these are.
        split: Of its held-out tasks.
        runs: The folders of each variant's runs, one per seed.
    """
    played = {variant: [play(run, split) for run in folders] for variant, folders in runs.items()}
    print(f"{family}, {split}: played", flush=True)
    return {
        "family": family,
        "split": split,
        "tables": {variant: pool_seeds(seeds).table() for variant, seeds in played.items()},
        "leads": {variant: compare(played[AS_IT_IS], played[variant]) for variant in played if variant != AS_IT_IS},
    }


def write_table(measured: list[dict[str, Any]], path: Path, made_by: str) -> None:
    """Every variant on every split as Markdown."""
    lines = ["# Ablations", "", *made_by.splitlines(), ""]
    lines += [
        "Each line is a family's config with one thing changed. Team return and share of matches won on held-out tasks",
        "after so many episodes of context; the lead over the config, in the last episode, is paired by match, with",
        "its 95 % interval over matches.",
    ]
    for entry in measured:
        has_wins = "win_gain" in entry["tables"][AS_IT_IS]
        lines += ["", f"## {entry['family']}, {entry['split']}", ""]
        head = ["variant", *(f"after {episode}" for episode in range(EPISODES)), "gain", "lead"]
        head += [f"won after {EPISODES - 1}"] if has_wins else []
        lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for variant, table in entry["tables"].items():
            leads = entry["leads"]
            cells = [f"{row['return_mean']:.2f}" for row in table["episodes"]]
            cells += [format_interval(table["gain"])]
            cells += [format_interval(leads[variant]["return"], "+.2f") if variant in leads else ""]
            cells += [f"{table['episodes'][-1]['win_rate']:.1%}"] if has_wins else []
            lines += [f"| {variant} | " + " | ".join(cells) + " |"]
    path.write_text("\n".join(lines) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, play the held-out tasks, write ``ablations.md`` and ``.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    parser.add_argument("--families", nargs="+", choices=ABLATIONS, default=list(ABLATIONS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--updates", type=int, default=3000, help="of each run")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--parallel", type=int, default=2, help="runs at a time")
    parser.add_argument("--runs_dir", type=Path, default=RUNS, help="of all runs; goes on with those that are there")
    options = parser.parse_args(arguments)
    settings = ["--threads=1", f"--trainer.max_steps={options.updates}", f"--trainer.precision={options.precision}"]
    settings += NO_EVALUATION
    variants = {family: {AS_IT_IS: [], **ABLATIONS[family]} for family in options.families}
    wanted = {}
    for seed, family in product(options.seeds, variants):
        configs = [name for name in ("derk", PLACES[family][0]) if name is not None]
        for variant, changed in variants[family].items():
            name = f"{family}_{variant.replace(' ', '-')}_{options.updates}_{options.precision}_{seed}"
            wanted[family, variant, seed] = Run(name, configs, seed, [*settings, *changed])
    train_all(wanted, options.runs_dir, options.parallel)
    measured = []
    for family in variants:
        folders = {
            variant: [options.runs_dir / wanted[family, variant, seed].name for seed in options.seeds]
            for variant in variants[family]
        }
        measured += [measure(family, split, folders) for split in PLACES[family][1]]
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "ablations.json").write_text(json.dumps(measured, indent=1) + "\n")
    seeds = " ".join(map(str, options.seeds))
    made_by = (
        f"Made by `python -m benchmarks.ablations --seeds {seeds} --updates {options.updates} "
        f"--precision {options.precision}`,\none thread per run."
    )
    write_table(measured, options.output / "ablations.md", made_by)


if __name__ == "__main__":
    main()
