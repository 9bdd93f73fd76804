"""``pearl watch``: show the adaptation of an agent as an animation or a video, or a match of Derk's Gym as a page."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pearl_lightning.commands.entrants import add_checkpoint_argument, entrant
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


def run(arguments: list[str]) -> None:
    """Play several episodes of one task and write them to a file."""
    quiet()
    options = _parser().parse_args(arguments)
    out, asked = Path(options.out), playing_option(options)
    if out.suffix == ".mp4":
        from pearl_lightning.films import video_codec

        video_codec()  # raises an error before the episodes if the video cannot be written
    overlay, split_name = family_overlay(options.tasks)
    player = entrant(options.checkpoint, [Path(config) for config in options.config or []], overlay)
    env = make_env(
        player.configs,
        options.backend,
        options.side,
        overlay=player.overlay,
        arenas=1,
        statistics=True,
        pictures=True,
    )
    try:
        from pearl_lightning.registry import viewer

        view = viewer(env)
        out = output_file("out", out, *view.suffixes(env))
        agent, tasks = player.agent(env), split(env, split_name)
        if not 0 <= options.task < len(tasks):
            raise ValueError(f"task must be an index in the split, in [0, {len(tasks)}), got {options.task}")
        if options.episodes < 1:
            raise ValueError(f"episodes must be at least 1, got {options.episodes}")
        settings = {name: options[name] for name in ("episodes", "seed")}
        settings |= {"deterministic": player.is_deterministic(asked)}
        print(view.write(env, agent, tasks[options.task], settings, out, player.name))
    finally:
        env.close(raise_if_closed=False)
    print(f"Wrote {out} ({out.stat().st_size / 2**20:.1f} MiB)")


def _parser() -> PearlParser:
    parser = PearlParser(
        prog="pearl watch",
        description="Write an adaptation of an agent as an animation or a video, or a match of Derk's Gym as a page.",
    )
    add_checkpoint_argument(parser)
    parser.add_argument(
        "--out",
        type=str,
        default="match.html",
        help="Output file: .gif, .mp4 (needs the extra video), or, for Derk's Gym, .html (plays in any browser).",
    )
    add_config_argument(parser)
    add_tasks_argument(parser)
    parser.add_argument("--task", type=int, default=0, help="Index of the task in the split.")
    parser.add_argument("--episodes", type=int, default=3, help="Number of episodes, at least 1.")
    add_playing_arguments(parser)
    parser.add_argument("--seed", type=int, default=0, help="Seed of starts and samples.")
    parser.add_argument(
        "--backend",
        type=Literal["simulator", "game"] | None,
        help="Backend of Derk's Gym: the simulator (the default) or game, which films the page of the real game.",
    )
    parser.add_argument(
        "--side", type=Literal["home", "away"] | None, help="Team to play; by default that of the config."
    )
    return parser
