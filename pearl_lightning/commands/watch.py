"""``pearl watch``: a match to look at, as a page, an animation or a video."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image

from pearl_lightning.commands.entrants import add_checkpoint_argument, entrant
from pearl_lightning.commands.outputs import output_file
from pearl_lightning.commands.training import PearlParser, quiet
from pearl_lightning.commands.worlds import (
    add_config_argument,
    add_tasks_argument,
    family_overlay,
    make_env,
    split,
)
from pearl_lightning.envs.derk.backend import DerkBackend
from pearl_lightning.envs.derk.env import DerkEnv
from pearl_lightning.envs.derk.tasks import DerkTask
from pearl_lightning.rollout import MetaAgent, adaptation_episodes
from pearl_lightning.watching.page import match_page
from pearl_lightning.watching.pictures import FRAMES_PER_SECOND, gif_bytes, match_frames, video_codec, write_video
from pearl_lightning.watching.record import record_adaptation

_PAGE, _FILMS = ".html", (".gif", ".mp4")  # the page is of the simulator's matches
_GIF_PIXELS, _GIF_EVERY = 320, 2  # a GIF of all frames would be many megabytes


def run(arguments: list[str]) -> None:
    """Play one task for some episodes and write what was to be seen."""
    quiet()
    options = _parser().parse_args(arguments)
    is_game = options.backend == "game"
    out = output_file("out", options.out, *(_FILMS if is_game else (_PAGE, *_FILMS)))
    if out.suffix == ".mp4":
        video_codec()  # before a match is played that could not be written
    overlay, split_name = family_overlay(options.tasks)
    player = entrant(Path(options.checkpoint), [Path(config) for config in options.config or []], overlay)
    env = make_env(player.configs, options.backend, options.side, arenas=1, statistics=True, pictures=is_game)
    try:
        assert isinstance(env, DerkEnv)  # no other world has a backend
        agent, tasks = player.agent(env), split(env, split_name)
        if not 0 <= options.task < len(tasks):
            raise ValueError(f"task must be in [0, {len(tasks)}), an index in the split, got {options.task}")
        task = tasks[options.task]
        settings = {name: options[name] for name in ("episodes", "seed")} | {"deterministic": not options.sampled}
        write = _write_game if is_game else _write_simulator
        print(write(env, agent, task, settings, out, player.name))
    finally:
        env.close(raise_if_closed=False)
    print(f"written: {out} ({out.stat().st_size / 2**20:.1f} MiB)")


def _write_simulator(env: DerkEnv, agent: MetaAgent, task: int, settings: dict[str, Any], out: Path, name: str) -> str:
    """Write what the simulator played; returns one line per episode."""
    records = record_adaptation(env, agent, task, **settings)
    if out.suffix == ".html":
        out.write_text(
            match_page(records, f"{name} against {records[0].task.opponent}, task {task}", name), encoding="utf-8"
        )
    elif out.suffix == ".gif":
        frames = match_frames(records, _GIF_PIXELS, _GIF_EVERY)  # half of them at the same pace: twice the speed
        out.write_bytes(gif_bytes(frames, float(FRAMES_PER_SECOND)))
    else:
        write_video(match_frames(records, 720), out, FRAMES_PER_SECOND)
    lines = []
    for episode, record in enumerate(records):
        own, other = record.returns[record.own_side], record.returns[1 - record.own_side]
        lines.append(f"episode {episode}: {own:.2f} against {other:.2f}")
    return "\n".join(lines)


def _write_game(env: DerkEnv, agent: MetaAgent, task: int, settings: dict[str, Any], out: Path, name: str) -> str:
    """Write what the real game's page showed; returns one line per episode."""
    camera = _PageCamera()
    env.set_seed(settings["seed"])
    env.set_tasks(torch.tensor([task]))
    env.spectator = camera
    generator = torch.Generator().manual_seed(settings["seed"])
    played = adaptation_episodes(
        env, agent, settings["episodes"], deterministic=settings["deterministic"], generator=generator
    )
    lines = [f"episode {episode}: {float(rows['reward'].sum()):.2f}" for episode, rows in enumerate(played)]
    frames = (Image.open(io.BytesIO(picture)).convert("RGB") for picture in camera.pictures)
    if out.suffix == ".gif":
        out.write_bytes(gif_bytes((frame.reduce(2) for frame in frames), float(FRAMES_PER_SECOND)))
    else:
        write_video(frames, out, FRAMES_PER_SECOND)
    return "\n".join(lines)


class _PageCamera:
    """A spectator that keeps pictures of the game's page."""

    def __init__(self) -> None:
        self.pictures: list[bytes] = []

    def begin(self, backend: DerkBackend, tasks: Sequence[DerkTask]) -> None:
        """Nothing is drawn yet; an episode that the game lost is played again, and its pictures are dropped."""
        del self.pictures[len(self.pictures) // backend.episode_steps * backend.episode_steps :]

    def step(self, backend: DerkBackend, action: torch.Tensor) -> None:
        self.pictures.append(backend.picture())  # type: ignore[attr-defined]


def _parser() -> PearlParser:
    parser = PearlParser(prog="pearl watch", description="A match to look at: a page, an animation or a video.")
    add_checkpoint_argument(parser)
    parser.add_argument(
        "--out",
        type=str,
        default="match.html",
        help="What is written: .html plays in any browser, .gif, or .mp4 (needs the extra video).",
    )
    add_config_argument(parser)
    add_tasks_argument(parser)
    parser.add_argument("--task", type=int, default=0, help="Index of the task in the split.")
    parser.add_argument("--episodes", type=int, default=3, help="Episodes, at least 1.")
    parser.add_argument("--sampled", action="store_true", help="Play samples of the policy rather than its mode.")
    parser.add_argument("--seed", type=int, default=0, help="Fixes starts and draws.")
    parser.add_argument(
        "--backend",
        type=Literal["simulator", "game"],
        default="simulator",
        help="What plays: the simulator, or the real game, whose page is filmed.",
    )
    parser.add_argument(
        "--side", type=Literal["home", "away"] | None, help="The team that is played; the config's when left out."
    )
    return parser
