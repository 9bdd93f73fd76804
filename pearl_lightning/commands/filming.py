"""``pearl watch`` for environments that draw pictures: an animation or a video of an adaptation."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from tensordict import TensorDictBase
from torch import Tensor

from pearl_lightning.envs.meta_env import MetaEnv
from pearl_lightning.experience.player import EpisodePlayer, MetaAgent, Player
from pearl_lightning.experience.rollout import play_episode
from pearl_lightning.films import gif_bytes, write_video

_MOST_GIF_FRAMES, _GIF_RATE = 150, 12.5  # frames of an episode, and per second; a GIF with all frames would be large
_INK, _TEXT, _HEADER = (12, 14, 17), (230, 232, 236), 22


def suffixes(env: MetaEnv) -> tuple[str, ...]:
    """Suffixes of the files that can be written, the default one first.

    Raises:
        ValueError: The environment draws no pictures.
    """
    if type(env).picture is MetaEnv.picture:
        raise ValueError(f"pearl watch needs an environment that draws pictures, but {type(env).__name__} does not")
    return ".gif", ".mp4"


def write(env: MetaEnv, agent: MetaAgent, task: int, settings: dict[str, Any], out: Path, name: str) -> str:
    """Play one task and write the output; return one line per episode.

    Args:
        env: Environment of one arena that draws pictures.
        agent: Agent that plays.
        task: Index of the task.
        settings: ``episodes``, ``seed`` and ``deterministic``.
        out: Output file.
        name: Name of the agent.
    """
    env.set_seed(settings["seed"])
    env.set_tasks(torch.tensor([task]))
    generator = torch.Generator().manual_seed(settings["seed"])
    player = Player(agent, env.arenas, deterministic=settings["deterministic"], generator=generator)
    films = []
    for episode in range(settings["episodes"]):
        film = Film(env, player, f"{env.tasks.describe(task)} · episode {episode}")
        play_episode(env, film)
        films.append(film)
    rate = Fraction(env.pictures_per_second).limit_denominator(1000)
    if out.suffix == ".gif":
        skipped = max(1, round(env.pictures_per_second / _GIF_RATE), -(-env.horizon // _MOST_GIF_FRAMES))
        out.write_bytes(gif_bytes(_frames(films, skipped), float(rate / skipped), (_INK, _TEXT)))
    else:
        write_video(_frames(films, 1), out, rate)
    return "\n".join(f"episode {episode}: {film.rewards[-1]:.2f}" for episode, film in enumerate(films))


class Film(EpisodePlayer):
    """Takes a picture before every step of an episode, and after the last one.

    Args:
        env: Environment of one arena that draws pictures.
        player: Player of the episode.
        caption: Text above the pictures.
    """

    def __init__(self, env: MetaEnv, player: EpisodePlayer, caption: str) -> None:
        self.env, self.player, self.caption = env, player, caption
        self._start()

    def _start(self) -> None:
        self.pictures: list[Image.Image] = []
        self.rewards = [0.0]
        """Return before each step, and of the whole episode."""

    def begin(self, observation: Tensor) -> None:
        self.player.begin(observation)

    def act(self, observation: Tensor) -> Tensor:
        if not self.pictures:
            self._take()
        return self.player.act(observation)

    def observe(self, reward: Tensor, next_observation: Tensor, is_running: Tensor | None = None) -> None:
        self.player.observe(reward, next_observation, is_running)
        self.rewards.append(self.rewards[-1] + float(reward.sum()))
        self._take()

    def end(self, episode: TensorDictBase | None = None) -> None:
        self.player.end(episode)

    def drop(self) -> None:
        """Discard the pictures as well: the episode is played again from the start."""
        self.player.drop()
        self._start()

    def _take(self) -> None:
        scene = Image.fromarray(self.env.picture())
        picture = Image.new("RGB", (scene.width, scene.height + _HEADER), _INK)
        picture.paste(scene, (0, _HEADER))
        pen, font = ImageDraw.Draw(picture), ImageFont.load_default(12)
        pen.text((6, 4), self.caption, _TEXT, font)
        pen.text((scene.width - 96, 4), f"return {self.rewards[-1]:8.1f}", _TEXT, font)
        self.pictures.append(picture)


def _frames(films: list[Film], every: int) -> Iterator[Image.Image]:
    """Every n-th picture of the episodes, one episode after another, and the last one of each."""
    for film in films:
        yield from film.pictures[:-1:every]
        yield film.pictures[-1]
