"""``pearl evaluate``: adaptation of checkpoints to held-out tasks, as tables, JSON, CSV and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pearl_lightning.commands.entrants import Entrant, entrants
from pearl_lightning.commands.environments import (
    add_config_argument,
    add_tasks_argument,
    family_overlay,
    make_env,
    split,
)
from pearl_lightning.commands.outputs import output_file
from pearl_lightning.commands.parser import PearlParser, quiet
from pearl_lightning.commands.playing import add_playing_arguments, playing_option
from pearl_lightning.evaluation.result import ProtocolName
from pearl_lightning.progress_bar import progress_bar

if TYPE_CHECKING:
    from pearl_lightning.evaluation import AdaptationResult

_Setting = tuple[list[Any], int, int]
"""Tasks, number of arenas and horizon of an evaluation, which must be the same in comparisons."""
BACKENDS = ("simulator", "game")
"""Backends that ``--backend both`` compares."""
SIDES = ("home", "away")
"""Sides that ``--side both`` plays."""
_KINDS = ("json", "png", "csv")
"""Options for output files, and the suffixes of these files."""
_USUAL = {"protocol": "adaptive", "episodes": 3, "matches": 4, "seed": 0}
"""Defaults, which are omitted from file names."""


@dataclass(frozen=True)
class _Evaluation:
    """One of the evaluations of the command.

    Args:
        entrant: The player.
        deterministic: Whether it plays the mode of its policy.
        backend: Backend of Derk's Gym; None for the config's.
        side: Team of Derk's Gym; None for the config's.
    """

    entrant: Entrant
    deterministic: bool
    backend: str | None
    side: str | None

    @property
    def place(self) -> str:
        return _joined(self.backend, self.side)


def run(arguments: list[str]) -> None:
    """Play a split of tasks with each checkpoint, backend and side; print, write and plot the results."""
    quiet()
    options = _parser().parse_args(arguments)
    for kind in _KINDS:
        if options[kind] is not None:
            output_file(kind, options[kind], f".{kind}")
    evaluations = _evaluations(options)
    results: dict[str, AdaptationResult] = {}
    setting: _Setting | None = None
    for evaluation in evaluations:
        result, setting = _play(evaluation, options, setting)
        label = _joined(evaluation.entrant.name if len(options.checkpoints) > 1 else None, evaluation.place)
        label = label if label not in results else f"{label} {len(results)}"
        results[label] = result
        _print_and_write(result, evaluation, options, label, is_one=len(evaluations) == 1)
    if len(results) > 1:
        _print_comparison(results)


def _evaluations(options: Any) -> list[_Evaluation]:
    """All evaluations that the options ask for, in order."""
    asked = _asked_mode(options)
    overlay, _ = family_overlay(options.tasks)
    entered = entrants(options.checkpoints, options.config or [], overlay)
    modes = [entrant.is_deterministic(asked) for entrant in entered]
    _print_modes(entered, modes)
    backends = BACKENDS if options.backend == "both" else (options.backend,)
    sides = SIDES if options.side == "both" else (options.side,)
    players = zip(entered, modes, strict=True)
    return [_Evaluation(*player, backend, side) for player, backend, side in product(players, backends, sides)]


def _asked_mode(options: Any) -> bool | None:
    """Whether the options ask for the mode of the policies; None if each run decides.

    Raises:
        ValueError: The options contradict each other.
    """
    asked = playing_option(options)
    if options.protocol != "pearl":
        return asked
    if asked is False:
        raise ValueError("--sampled contradicts --protocol pearl, which plays the policy's mode")
    return True


def _play(evaluation: _Evaluation, options: Any, expected: _Setting | None) -> tuple[AdaptationResult, _Setting]:
    """Play one evaluation; return its result, and its tasks, arenas and horizon.

    Raises:
        ValueError: The tasks, arenas or horizon are not the ``expected`` ones.
    """
    from pearl_lightning.evaluation import evaluate_adaptation  # imports torch

    entrant = evaluation.entrant
    env = make_env(entrant.configs, evaluation.backend, evaluation.side, overlay=entrant.overlay, statistics=True)
    try:
        agent, indices = entrant.agent(env), split(env, family_overlay(options.tasks)[1])
        setting = [env.tasks[index] for index in indices], env.arenas, env.horizon
        if expected is not None and setting != expected:
            raise ValueError(
                f"the tasks, arenas and horizon in the config of {entrant.checkpoint} must be those of the first"
            )
        env.prepare()  # before the progress bar estimates the remaining time
        with progress_bar(_joined("evaluation", entrant.name, evaluation.place), "episodes") as progress:
            result = evaluate_adaptation(
                env,
                agent,
                indices,
                episodes=options.episodes,
                matches=options.matches,
                deterministic=evaluation.deterministic or options.protocol == "pearl",  # scripted players have no mode
                protocol=options.protocol,
                wrong_context=options.wrong_context,
                seed=options.seed,
                progress=progress,
            )
        return result, setting
    finally:
        env.close(raise_if_closed=False)


def _print_and_write(result: AdaptationResult, evaluation: _Evaluation, options: Any, label: str, is_one: bool) -> None:
    """Print the table of a result and write its files.

    Args:
        result: The result.
        evaluation: The evaluation that gave it.
        options: Options of the command.
        label: Name of the result among all results.
        is_one: Whether it is the only result; otherwise the names of files contain the label.
    """
    from pearl_lightning.evaluation import format_table

    if label:
        print(f"{label}:")
    print(format_table(result.table()))
    entrant, is_sampled = evaluation.entrant, not evaluation.deterministic
    settings = {
        "checkpoint": entrant.source,
        "config": str(entrant.configs[0]),
        "split": options.tasks,
        "backend": evaluation.backend,
        "side": evaluation.side,
        "protocol": options.protocol,
        "sampled": is_sampled,
        "wrong_context": options.wrong_context,
        "seed": options.seed,
    }
    stem = entrant.checkpoint.stem if entrant.checkpoint else entrant.name
    variant = _variant(options, is_sampled=entrant.checkpoint is not None and is_sampled)
    configs = [Path(config).stem for config in options.config or []] if entrant.checkpoint else []
    name = _joined("evaluation", stem, *configs, variant, evaluation.place)
    paths = {
        kind: _path(options[kind], "" if is_one else label) or entrant.folder / f"{name}.{kind}" for kind in _KINDS
    }
    _write(result, settings, paths)


def _print_comparison(results: dict[str, AdaptationResult]) -> None:
    """Print the tables of all results side by side, and the lead of each over the first."""
    from pearl_lightning.evaluation import compare, format_comparison, format_side_by_side

    print(format_side_by_side({label: result.table() for label, result in results.items()}))
    (first, reference), *others = results.items()
    for label, result in others:
        print(f"{label} over {first}, last episode: {format_comparison(compare([reference], [result]))}")


def _write(result: AdaptationResult, settings: dict[str, Any], paths: dict[str, Path]) -> None:
    """Write the table as JSON, all matches as CSV, and the figures."""
    from pearl_lightning.evaluation import write_json, write_matches
    from pearl_lightning.evaluation.plots import plot_adaptation, plot_belief

    table = result.table()
    write_json(settings | table.to_json(), paths["json"])
    write_matches(result, paths["csv"])
    paths["png"].parent.mkdir(parents=True, exist_ok=True)
    plot_adaptation(table).savefig(paths["png"])
    if result.trace is not None:
        paths |= {"belief": paths["png"].with_stem(f"{paths['png'].stem}-belief")}
        plot_belief(result).savefig(paths["belief"])
    print(f"Wrote {', '.join(str(path) for path in paths.values())}")


def _path(given: str | None, label: str) -> Path | None:
    """Path given by an option; ``label`` is added if several results need different names."""
    path = Path(given) if given else None
    return path.with_stem(f"{path.stem}-{label.replace(' ', '-')}") if path and label else path


def _joined(*parts: str | None) -> str:
    return "-".join(part for part in parts if part)


def _print_modes(entered: Sequence[Entrant], modes: Sequence[bool]) -> None:
    """Print how each policy plays if some play their mode and others samples, because it affects the comparison."""
    of_policies = {mode for entrant, mode in zip(entered, modes, strict=True) if entrant.checkpoint is not None}
    if len(of_policies) < 2:
        return
    for entrant, mode in zip(entered, modes, strict=True):
        if entrant.checkpoint is not None:
            print(f"{entrant.source} plays {'its mode' if mode else 'samples'}, as in its run's evaluations")
    print("Use --deterministic or --sampled to play all policies in the same way.")


def _variant(options: Any, is_sampled: bool) -> str:
    """Part of the file name with the settings that differ from the defaults.

    ``is_sampled`` is how the policy was played, by an option or by the run's setting.
    """
    split_name = "" if options.tasks == "test" else options.tasks.replace("/", "-")
    flags = ["wrong_context"] * options.wrong_context + ["sampled"] * is_sampled
    counts = [f"{name}_{options[name]}" for name, usual in _USUAL.items() if options[name] != usual]
    return _joined(split_name, *flags, *counts)


def _parser() -> PearlParser:
    parser = PearlParser(
        prog="pearl evaluate", description="Measure how checkpoints adapt to the test tasks or to another split."
    )
    parser.add_argument(
        "checkpoints",
        type=str,
        nargs="*",
        help="A .ckpt of pearl fit, a run's folder or hf://OWNER/NAME, or several to compare on the same matches. "
        "random plays uniform legal actions; the name of a scripted opponent of Derk's Gym, such as sniper, plays that "
        "opponent. By default the agent of this package.",
    )
    add_config_argument(parser)
    parser.add_argument(
        "--protocol",
        type=ProtocolName,
        default=_USUAL["protocol"],
        help="adaptive updates the belief after each episode, or as often as the agent does. pearl is the protocol of "
        "Rakelly et al. 2019: all episodes but the last one explore with z from the prior, then the belief is updated, "
        "and the last episode is the result.",
    )
    parser.add_argument(
        "--episodes", type=int, default=_USUAL["episodes"], help="Number of episodes per task, at least 1."
    )
    parser.add_argument(
        "--matches", type=int, default=_USUAL["matches"], help="Number of independent adaptations per task, at least 1."
    )
    add_playing_arguments(parser)
    add_tasks_argument(parser)
    parser.add_argument(
        "--wrong_context",
        action="store_true",
        help="Control experiment: each belief reads the episodes of another task, of another kind if tasks have kinds.",
    )
    parser.add_argument("--seed", type=int, default=_USUAL["seed"], help="Seed of starts and samples.")
    _add_derk_arguments(parser)
    _add_output_arguments(parser)
    return parser


def _add_derk_arguments(parser: PearlParser) -> None:
    parser.add_argument(
        "--backend",
        type=Literal["simulator", "game", "both"] | None,
        help="Backend of Derk's Gym, or both to compare them; by default that of the config.",
    )
    parser.add_argument(
        "--side",
        type=Literal["home", "away", "both"] | None,
        help="Team of Derk's Gym to play, or both in turn; by default that of the config.",
    )


def _add_output_arguments(parser: PearlParser) -> None:
    parser.add_argument("--json", type=str | None, help="File for the table; by default in the run's folder.")
    parser.add_argument("--png", type=str | None, help="File for the figure; by default in the run's folder.")
    parser.add_argument(
        "--csv", type=str | None, help="File for the results of all matches; by default in the run's folder."
    )
