"""Search settings with Optuna: every trial is a run of ``pearl fit``, scored by its validation return."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import optuna

from pearl_lightning.cli import main as pearl


def suggest(trial: optuna.Trial) -> dict[str, Any]:
    """What to try, by the name of the setting."""
    return {
        "model.optimizer.init_args.lr": trial.suggest_float("lr", 1e-4, 3e-3, log=True),
        "model.sac.kl_weight": trial.suggest_float("kl_weight", 1e-3, 1.0, log=True),
        "model.encoder.init_args.latent_dim": trial.suggest_categorical("latent_dim", [4, 8, 16, 32]),
    }


def validation_return(
    configs: list[str], settings: dict[str, Any], runs: Path, name: str, updates: int | None
) -> float:
    """Train with some settings; the mean return of the last episode on validation tasks.

    Raises:
        FileExistsError: There is a run of that name.
        RuntimeError: The run ended in an error, which ``pearl`` has printed.
    """
    if (runs / name).exists():
        raise FileExistsError(f"{runs / name} is there already: name another folder with --runs")
    options = [f"--config={config}" for config in configs] + [f"--{key}={value}" for key, value in settings.items()]
    if updates is not None:
        options += [f"--trainer.max_steps={updates}", f"--trainer.val_check_interval={updates}"]
    if pearl(["fit", *options, f"--runs_dir={runs}", f"--name={name}", "--trainer.enable_progress_bar=false"]):
        raise RuntimeError(f"the run {name} failed")
    history = json.loads((runs / name / "adaptation.json").read_text())["history"]
    return float(history[-1]["table"]["episodes"][-1]["return_mean"])


def main() -> None:
    """Search, and print the best settings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", action="append", required=True, help="As for pearl fit.")
    parser.add_argument("--trials", type=int, default=20, help="Runs of this process.")
    parser.add_argument("--updates", type=int, help="Updates of a run; the config's when left out.")
    parser.add_argument("--runs", type=Path, default=Path("runs/sweep"), help="Where the runs are kept.")
    parser.add_argument("--storage", help="Database of the search, such as sqlite:///sweep.db; none when left out.")
    options = parser.parse_args()
    if options.storage is None and options.runs.exists():
        parser.error(f"{options.runs} holds an earlier search: name another folder with --runs, or its --storage")

    def objective(trial: optuna.Trial) -> float:
        return validation_return(options.config, suggest(trial), options.runs, f"trial-{trial.number}", options.updates)

    study = optuna.create_study(
        direction="maximize", storage=options.storage, study_name="sweep", load_if_exists=options.storage is not None
    )
    study.optimize(objective, n_trials=options.trials, catch=(RuntimeError,))
    print(study.best_params if any(t.value is not None for t in study.trials) else "no trial succeeded")


if __name__ == "__main__":
    main()
