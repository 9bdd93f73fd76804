"""What each switch is worth: every family's config with one thing changed, at a third of its updates.

``python -m benchmarks.ablations`` trains with ``pearl fit``, one process and thread per run, and plays the held-out
splits, the same tasks, starts and seeds for all. Differences are paired with the config as it is.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.families import EPISODES, FAMILIES, format_interval, play, pool_seeds
from benchmarks.runs import train
from pearl_lightning.evaluation import compare

_MODEL, _DATA = "--model.init_args", "--data.init_args"


_ENCODERS = f"{_MODEL}.encoder=pearl_lightning.networks.encoders"

ENCODERS = {
    "Bayesian product": [f"{_ENCODERS}.BayesianProductEncoder"],
    "mean aggregate": [f"{_ENCODERS}.MeanEncoder"],
    "attention": [f"{_ENCODERS}.AttentionEncoder"],
    "recurrent": [f"{_ENCODERS}.RecurrentEncoder"],
}
TAUGHT_REWARDS = [
    f"{_MODEL}.task_inference=null",
    f"{_MODEL}.reconstruction=pearl_lightning.networks.reconstruction.Reconstruction",
]
UNINFORMED = [f"{_MODEL}.task_inference.informed_share=0"]
LOOSE = [f"{_MODEL}.sac.target_entropy=-1", f"{_MODEL}.sac.target_choice_entropy=0.4"]
ONE_STEP = [f"{_DATA}.n_steps=1"]
NOT_SHOWN = [
    "--trainer.callbacks="
    + json.dumps(
        [
            {"class_path": "pearl_lightning.callbacks.AdaptationEvaluation"},
            {
                "class_path": "pearl_lightning.callbacks.EpisodeCollector",
                "init_args": {"demonstrated_episodes": 0, "demonstrator": None},
            },
            {"class_path": "pearl_lightning.callbacks.ReplayCheckpoint"},
            {"class_path": "pearl_lightning.callbacks.RunSummary"},
        ]
    )
]
SELF_PLAY = "self_play"
PLACES = FAMILIES | {SELF_PLAY: ("self_play", ["known_styles", "new_styles"])}
"""Overlay, and the splits that are played."""
ABLATIONS: dict[str, dict[str, list[str]]] = {
    "bounties": {
        **ENCODERS,
        "taught the rewards instead of the task": TAUGHT_REWARDS,
        "neither": [f"{_MODEL}.task_inference=null"],
        "taught the task, never played told": UNINFORMED,
        "without relabelling": [f"{_DATA}.relabelled=0"],
        "all of an episode as context": [f"{_MODEL}.context_salient=null"],
        "looser policy": LOOSE,
        "one z for an episode": [f"{_MODEL}.z_steps=null"],
    },
    "blind_loadouts": {
        **ENCODERS,
        "taught the rewards instead of the task": TAUGHT_REWARDS,
        "taught the task, never played told": UNINFORMED,
        "the encoder is not shown what a step changed": [f"{_MODEL}.context_next_observation=false"],
        "one-step returns": ONE_STEP,
        "looser policy": LOOSE,
    },
    "opponents": {
        "an actor per agent": [f"{_MODEL}.actor=pearl_lightning.networks.actors.PerAgentActor"],
        "without demonstrations": NOT_SHOWN,
        "one-step returns": ONE_STEP,
        "looser policy": LOOSE,
    },
    SELF_PLAY: {
        "scripted styles only": [f"{_DATA}.env.init_args.tasks.init_args.styles=[attacker, pusher, healer, gang]"],
    },
}
AS_IT_IS = "as configured"


def measure(family: str, split: str, runs: dict[str, list[Path]]) -> dict[str, Any]:
    """Every variant on a split: its table and its lead over the config as it is, in the last episode.

    Args:
        family: Whose tasks these are.
        split: Of its held-out tasks.
        runs: The folders of each variant's runs, one per seed.
    """
    results = {variant: pool_seeds([play(run, split) for run in folders]) for variant, folders in runs.items()}
    print(f"{family}, {split}: played", flush=True)
    return {
        "family": family,
        "split": split,
        "tables": {variant: result.table() for variant, result in results.items()},
        "leads": {variant: compare(results[AS_IT_IS], result) for variant, result in results.items()},
    }


def write_table(measured: list[dict[str, Any]], path: Path, made_by: str) -> None:
    """Every variant on every split as Markdown."""
    lines = ["# Ablations", "", *made_by.splitlines(), ""]
    lines += [
        "Each line is a family's config with one thing changed. Team return and share of matches won on held-out tasks",
        "after so many episodes of context; the lead over the config as it is is in the last episode, paired by match,",
        "with its 95 % interval over matches.",
    ]
    for entry in measured:
        has_wins = "win_gain" in entry["tables"][AS_IT_IS]
        lines += ["", f"## {entry['family']}, {entry['split']}", ""]
        head = ["variant", *(f"after {episode}" for episode in range(EPISODES)), "gain", "lead"]
        head += [f"won after {EPISODES - 1}"] if has_wins else []
        lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        for variant, table in entry["tables"].items():
            lead = entry["leads"][variant]["return"]
            cells = [f"{row['return_mean']:.2f}" for row in table["episodes"]]
            cells += [
                format_interval(table["gain"], ".2f"),
                "" if variant == AS_IT_IS else format_interval(lead, "+.2f"),
            ]
            cells += [f"{table['episodes'][-1]['win_rate']:.1%}"] if has_wins else []
            lines += [f"| {variant} | " + " | ".join(cells) + " |"]
    path.write_text("\n".join(lines) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, play the held-out splits, write ``ablations.md`` and ``.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("docs/results"))
    parser.add_argument("--families", nargs="+", choices=ABLATIONS, default=list(ABLATIONS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--updates", type=int, default=3000, help="of each run")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--parallel", type=int, default=2, help="runs at a time")
    parser.add_argument("--runs_dir", type=Path, help="keep runs here, and go on with those that are there")
    options = parser.parse_args(arguments)
    size = [f"--trainer.max_steps={options.updates}", f"--trainer.precision={options.precision}"]
    settings = ["--threads", "1", *size, "--trainer.limit_val_batches=0"]

    def run_name(family: str, variant: str, seed: int) -> str:
        return f"{family}_{variant.replace(' ', '-')}_{options.updates}_{options.precision}_{seed}"

    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(options.parallel) as pool:
        runs = options.runs_dir or Path(scratch)
        variants = {family: {AS_IT_IS: [], **ABLATIONS[family]} for family in options.families}
        configs = {family: [name for name in ("derk", PLACES[family][0]) if name is not None] for family in variants}
        jobs = [
            pool.submit(train, run_name(family, variant, seed), configs[family], seed, runs, [*settings, *changed])
            for seed in options.seeds
            for family in variants
            for variant, changed in variants[family].items()
        ]
        for job in jobs:
            job.result()
        measured = []
        for family in variants:
            folders = {
                variant: [runs / run_name(family, variant, seed) for seed in options.seeds]
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
