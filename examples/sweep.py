"""Search for settings with Optuna. Every trial is a run of ``pearl fit``; its score is the validation return."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import optuna

from pearl_lightning.cli import main as pearl
from pearl_lightning.evaluation import read_history


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """Return the values of a trial by the names of the settings."""
    return {
        "model.optimizers.default.init_args.lr": trial.suggest_float("lr", 1e-4, 3e-3, log=True),
        "model.kl_weight": trial.suggest_float("kl_weight", 1e-3, 1.0, log=True),
        "model.encoder.init_args.latent_dim": trial.suggest_categorical("latent_dim", [4, 8, 16, 32]),
    }


def validation_return(
    configs: list[str], settings: dict[str, Any], runs: Path, name: str, updates: int | None
) -> float:
    """Train with the given settings; return the mean return of the last episode on the validation tasks.

    Raises:
        FileExistsError: A run of that name exists.
        RuntimeError: The run failed; ``pearl`` has printed the error.
    """
    if (runs / name).exists():
        raise FileExistsError(f"{runs / name} already exists: give another folder with --runs")
    options = [f"--config={config}" for config in configs] + [f"--{key}={value}" for key, value in settings.items()]
    if updates is not None:
        options += [f"--trainer.max_steps={updates}", f"--trainer.val_check_interval={updates}"]
    if pearl(["fit", *options, f"--runs_dir={runs}", f"--name={name}", "--trainer.enable_progress_bar=false"]):
        raise RuntimeError(f"the run {name} failed")
    last = read_history(runs / name / "adaptation.json")[-1]
    return last.table.episodes[-1].return_mean


def main() -> None:
    """Run the search and print the best settings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="append", required=True, help="Config, as for pearl fit; can be repeated.")
    parser.add_argument("--trials", type=int, default=20, help="Number of runs of this process.")
    parser.add_argument("--updates", type=int, help="Number of updates of a run; the config's by default.")
    parser.add_argument("--runs", type=Path, default=Path("runs/sweep"), help="Folder of the runs.")
    parser.add_argument("--storage", help="Database of the search, such as sqlite:///sweep.db; none by default.")
    options = parser.parse_args()
    if options.storage is None and options.runs.exists():
        parser.error(f"{options.runs} contains an earlier search: give another folder with --runs, or its --storage")

    def objective(trial: optuna.Trial) -> float:
        return validation_return(options.config, suggest(trial), options.runs, f"trial-{trial.number}", options.updates)

    study = optuna.create_study(
        direction="maximize", storage=options.storage, study_name="sweep", load_if_exists=options.storage is not None
    )
    study.optimize(objective, n_trials=options.trials, catch=(RuntimeError,))
    print(study.best_params if any(t.value is not None for t in study.trials) else "no trial succeeded")


if __name__ == "__main__":
    main()
