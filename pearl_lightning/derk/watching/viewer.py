"""``pearl watch`` for Derk's Gym: a page, an animation or a video of a match."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image

from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.watching.page import match_page
from pearl_lightning.derk.watching.pictures import FRAMES_PER_SECOND, gif_bytes, match_frames
from pearl_lightning.derk.watching.record import record_adaptation
from pearl_lightning.experience.player import MetaAgent, Player
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.films import write_video

if TYPE_CHECKING:
    from pearl_lightning.derk.backends.backend import DerkBackend
    from pearl_lightning.derk.tasks import DerkTask

_GIF_PIXELS, _GIF_EVERY = 320, 2  # a GIF with all frames would have many megabytes


def suffixes(env: DerkEnv) -> tuple[str, ...]:
    """Suffixes of the files that can be written, the default one first. A page shows only the simulator's matches."""
    return (".gif", ".mp4") if env.backend_name == "game" else (".html", ".gif", ".mp4")


def write(env: DerkEnv, agent: MetaAgent, task: int, settings: dict[str, Any], out: Path, name: str) -> str:
    """Play one task and write the output; return one line per episode.

    Args:
        env: Environment of one arena.
        agent: Agent that plays.
        task: Index of the task.
        settings: ``episodes``, ``seed`` and ``deterministic``.
        out: Output file.
        name: Name of the agent.
    """
    function = _write_game if env.backend_name == "game" else _write_simulator
    return function(env, agent, task, settings, out, name)


def _write_simulator(env: DerkEnv, agent: MetaAgent, task: int, settings: dict[str, Any], out: Path, name: str) -> str:
    """Play in the simulator and write the output; return one line per episode."""
    records = record_adaptation(env, agent, task, **settings)
    if out.suffix == ".html":
        out.write_text(
            match_page(records, f"{name} against {records[0].task.opponent}, task {task}", name), encoding="utf-8"
        )
    elif out.suffix == ".gif":
        frames = match_frames(
            records, _GIF_PIXELS, _GIF_EVERY
        )  # every second frame at the same frame rate: twice the speed
        out.write_bytes(gif_bytes(frames, float(FRAMES_PER_SECOND)))
    else:
        write_video(match_frames(records, 720), out, FRAMES_PER_SECOND)
    lines = []
    for episode, record in enumerate(records):
        own, other = record.returns[record.own_side], record.returns[1 - record.own_side]
        lines.append(f"episode {episode}: {own:.2f} against {other:.2f}")
    return "\n".join(lines)


def _write_game(env: DerkEnv, agent: MetaAgent, task: int, settings: dict[str, Any], out: Path, name: str) -> str:
    """Play in the real game and write pictures of its page; return one line per episode."""
    camera = _PageCamera()
    env.set_seed(settings["seed"])
    env.set_tasks(torch.tensor([task]))
    env.spectator = camera
    generator = torch.Generator().manual_seed(settings["seed"])
    player = Player(agent, env.arenas, deterministic=settings["deterministic"], generator=generator)
    returns = [float(play_episode(env, player)["reward"].sum()) for _ in range(settings["episodes"])]
    lines = [f"episode {episode}: {each:.2f}" for episode, each in enumerate(returns)]
    frames = (Image.open(io.BytesIO(picture)).convert("RGB") for picture in camera.pictures)
    if out.suffix == ".gif":
        out.write_bytes(gif_bytes((frame.reduce(2) for frame in frames), float(FRAMES_PER_SECOND)))
    else:
        write_video(frames, out, FRAMES_PER_SECOND)
    return "\n".join(lines)


class _PageCamera:
    """A spectator that stores pictures of the game's page."""

    def __init__(self) -> None:
        self.pictures: list[bytes] = []

    def begin(self, backend: DerkBackend, tasks: Sequence[DerkTask]) -> None:
        """Remove the pictures of a lost episode, because it is played again."""
        del self.pictures[len(self.pictures) // backend.episode_steps * backend.episode_steps :]

    def step(self, backend: DerkBackend, action: torch.Tensor) -> None:
        self.pictures.append(backend.picture())  # type: ignore[attr-defined]
