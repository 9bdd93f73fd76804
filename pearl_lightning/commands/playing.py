"""Choice between the policy's mode and samples: an option of the command, else as in the run's evaluations."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pearl_lightning.commands.parser import PearlParser


def add_playing_arguments(parser: PearlParser) -> None:
    """Add the options ``--deterministic`` and ``--sampled``."""
    default = "as the run's own evaluation did (evaluation.deterministic) if neither is given."
    parser.add_argument("--deterministic", action="store_true", help=f"Play the policy's mode; {default}")
    parser.add_argument("--sampled", action="store_true", help=f"Play samples of the policy; {default}")


def playing_option(options: Any) -> bool | None:
    """Whether to play the mode; None if neither option is given.

    Raises:
        ValueError: Both options are given.
    """
    if options.deterministic and options.sampled:
        raise ValueError("only one of --deterministic and --sampled may be given, got both")
    return options.deterministic if options.deterministic or options.sampled else None


def evaluated_deterministically(configs: Sequence[Path]) -> bool:
    """Whether the evaluations of a run play the mode (``evaluation.deterministic``); the default if it has none.

    Args:
        configs: Configs of the run, as for ``pearl fit``.
    """
    from pearl_lightning.callbacks import AdaptationEvaluation  # imports torch
    from pearl_lightning.commands.fit_config import read_configs

    evaluation = read_configs(configs).evaluation
    settings = {} if evaluation is None else evaluation.init_args.as_dict()
    default = inspect.signature(AdaptationEvaluation).parameters["deterministic"].default
    return bool(settings.get("deterministic", default))
