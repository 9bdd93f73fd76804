"""Ablations of the families' configs: ``python -m benchmarks.ablations``.

It trains variants that differ from a family's config in one component, with ``pearl fit`` and the same number of
updates, one process and thread per run. All variants play the same validation tasks, starts and seeds; differences from
the config are paired by match. Each component is varied in the family in which it should matter. The variant without
past selves also plays new styles, because past selves should help against new opponents; no setting is chosen by them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from itertools import product
from operator import methodcaller
from pathlib import Path
from typing import Any

from benchmarks.families import NO_EVALUATION
from benchmarks.family_measures import FAMILIES, play, pool_seeds
from benchmarks.pages.ablations import AS_IT_IS
from benchmarks.pages.blocks import DATA
from benchmarks.runs import RUNS, Run, train_all
from pearl_lightning.evaluation import compare

_MODEL, _DATA = "--model.init_args", "--data.init_args"
_TEMPERATURE = f"{_MODEL}.sac.init_args.temperature.init_args"
_COLLECTOR = "--collector.init_args"


def _auxiliary(**losses: dict[str, Any]) -> list[str]:
    """Option that sets the auxiliary losses, given the settings of each class."""
    given = [{"class_path": name, "init_args": settings} for name, settings in losses.items()]
    return [f"{_MODEL}.auxiliary={json.dumps(given)}"]


PLACES = {family: (overlay, ["validation"]) for family, (overlay, _) in FAMILIES.items()}
PLACES["self_play"] = ("self_play", ["validation", "new_styles"])
"""Overlay of each family, and the splits that are played."""
ABLATIONS: dict[str, dict[str, list[str]]] = {
    "bounties": {
        "no auxiliary loss": _auxiliary(),
        "reconstruction of rewards instead of task inference": _auxiliary(Reconstruction={}),
        "task inference with informed_share 0": _auxiliary(TaskInference={"informed_share": 0.0}),
        "without relabelling": [f"{_DATA}.relabelled=0"],
        "all transitions as context": [f"{_MODEL}.belief={{context: {{salient: null}}}}"],
        "one sample of z per episode": [f"{_MODEL}.belief={{resample_every: null}}"],
    },
    "blind_loadouts": {
        "no auxiliary loss": _auxiliary(),
        "reconstruction of changes instead of task inference": _auxiliary(Reconstruction={"observation_weight": 1.0}),
        "Gaussian product": [f"{_MODEL}.encoder=GaussianProductEncoder"],
        "Bayesian product": [f"{_MODEL}.encoder=BayesianProductEncoder"],
        "attention": [f"{_MODEL}.encoder=AttentionEncoder"],
        "recurrent": [f"{_MODEL}.encoder=RecurrentEncoder"],
        "three samples of z per episode": [f"{_MODEL}.belief.resample_every=50"],
        "context without next observations": [f"{_MODEL}.belief.context.next_observation=false"],
    },
    "opponents": {
        "higher target entropies": [f"{_TEMPERATURE}.target_entropy=-1", f"{_TEMPERATURE}.target_choice_entropy=0.4"],
        "one-step returns": [f"{_DATA}.n_steps=1"],
        "reconstruction and task inference": _auxiliary(Reconstruction={}, TaskInference={"informed_share": 0.5}),
        "no auxiliary loss": _auxiliary(),
        "without demonstrations": [f"{_COLLECTOR}.demonstrated_episodes=0", f"{_COLLECTOR}.demonstrator=null"],
    },
    "sentinels": {
        "no auxiliary loss": _auxiliary(),
        "demonstrations of one script": [f"{_COLLECTOR}.demonstrator=SniperOpponent"],
    },
    "self_play": {
        "scripted styles only": [
            f"{_DATA}.env.init_args.tasks.init_args.styles=[attacker, pusher, healer, gang]",
            "--trainer.callbacks=[]",  # no pool of past selves
        ],
    },
}
"""Options of each variant, by family."""


def measure(family: str, split: str, runs: dict[str, list[Path]]) -> dict[str, Any]:
    """Play a split with every variant; return tables, and leads over the config in the last episode.

    Args:
        family: Name of the task family.
        split: Name of a split of its held-out tasks.
        runs: Folders of the runs of each variant, one per seed.
    """
    played = {variant: [play(run, split) for run in folders] for variant, folders in runs.items()}
    print(f"{family}, {split}: played", flush=True)
    return {
        "family": family,
        "split": split,
        "tables": {variant: pool_seeds(seeds).table() for variant, seeds in played.items()},
        "leads": {variant: compare(played[AS_IT_IS], played[variant]) for variant in played if variant != AS_IT_IS},
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the missing runs, play the held-out tasks, and write ``ablations.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA, help="folder for ablations.json")
    parser.add_argument("--families", nargs="+", choices=ABLATIONS, default=list(ABLATIONS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--updates", type=int, default=3000, help="updates of each run")
    parser.add_argument("--precision", default="32-true")
    parser.add_argument("--parallel", type=int, default=2, help="number of runs at a time")
    parser.add_argument("--runs_dir", type=Path, default=RUNS, help="folder of all runs; existing runs are resumed")
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
    options.data.mkdir(parents=True, exist_ok=True)
    content = json.dumps(measured, indent=1, default=methodcaller("to_json"))
    (options.data / "ablations.json").write_text(content + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
