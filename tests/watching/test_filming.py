"""Films of environments that draw pictures, and the pictures of the MuJoCo bodies."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from pearl_lightning.commands.filming import Film, suffixes, write
from pearl_lightning.envs.point_robot import GoalTasks, PointRobot
from pearl_lightning.experience.player import FunctionPlayer
from pearl_lightning.experience.rollout import play_episode

HORIZON = 20  # of the point robot


class DrawnRobot(PointRobot):
    """A point robot whose pictures have the number of the step as their gray level."""

    pictures_per_second = 10.0

    def picture(self) -> NDArray[np.uint8]:
        return np.full((40, 120, 3), 12 * self._steps, dtype=np.uint8)


class Still:
    """An agent that stays where it is."""

    observe_every = resample_every = None

    def prior(self, arenas: int) -> Any:
        return self

    def act(self, observation: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
        return torch.zeros(*observation.shape[:2], 2)

    def copy(self) -> Any:
        return self

    def observe(self, steps: Any) -> None: ...

    def condition(self, generator: Any) -> torch.Tensor:
        return torch.zeros(1, 1)


def robot() -> DrawnRobot:
    return DrawnRobot(arenas=1, tasks=GoalTasks(train_tasks=2, validation_tasks=1, test_tasks=1))


def test_a_film_has_a_picture_before_every_step_and_after_the_last() -> None:
    env = robot()
    env.set_tasks(torch.tensor([0]))
    film = Film(env, FunctionPlayer(lambda observation, step: torch.zeros(1, 1, 2)), "caption")
    episode = play_episode(env, film)
    levels = [picture.getpixel((5, picture.height - 5))[0] for picture in film.pictures]
    assert levels == [12 * step for step in range(HORIZON + 1)]
    assert film.rewards == pytest.approx([0.0, *episode["reward"][episode["played"]].flatten().cumsum(0).tolist()])


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_the_file_shows_the_episodes_one_after_another(suffix: str, tmp_path: Path) -> None:
    out = tmp_path / f"robot{suffix}"
    printed = write(robot(), Still(), 0, {"seed": 1, "episodes": 2, "deterministic": True}, out, "still")
    assert [line.split(":")[0] for line in printed.splitlines()] == ["episode 0", "episode 1"]
    if suffix == ".gif":
        film = Image.open(out)
        frames = [np.asarray(_frame(film, number)) for number in range(film.n_frames)]
    else:
        with av.open(str(out)) as video:
            frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
            assert float(video.streams.video[0].average_rate) == 10.0
    levels = [int(frame[-5, 5, 0]) for frame in frames]
    expected = [12 * step for step in range(HORIZON + 1)] * 2
    assert len(levels) == len(expected)
    np.testing.assert_allclose(levels, expected, atol=8)  # both formats round colours


def _frame(film: Any, number: int) -> Image.Image:
    film.seek(number)
    frame: Image.Image = film.convert("RGB")
    return frame


def test_an_environment_without_pictures_cannot_be_filmed() -> None:
    assert suffixes(robot()) == (".gif", ".mp4")
    with pytest.raises(ValueError, match="draws pictures, but PointRobot does not"):
        suffixes(PointRobot(arenas=1, tasks=GoalTasks(train_tasks=1)))


def cheetah() -> Any:
    pytest.importorskip("mujoco", reason="needs the extra mujoco")
    from pearl_lightning.envs.mujoco.cheetah import CheetahDir
    from pearl_lightning.envs.mujoco.tasks import ForwardBackward

    env = CheetahDir(arenas=2, tasks=ForwardBackward(), threads=1)
    env.set_seed(0)
    env.set_tasks([0, 1])
    env.reset()
    return env


def test_a_picture_is_that_of_mujocos_own_renderer(monkeypatch: pytest.MonkeyPatch) -> None:
    env = cheetah()
    monkeypatch.setenv("MUJOCO_GL", "egl")
    try:
        picture = env.picture()
    except RuntimeError as error:
        pytest.skip(str(error))
    import mujoco
    from mujoco.renderer import Renderer

    model, data = env.physics.model, mujoco.MjData(env.physics.model)
    data.qpos[:], data.qvel[:] = env.physics.qpos[0].numpy(), env.physics.qvel[0].numpy()
    mujoco.mj_forward(model, data)
    height, width = picture.shape[:2]
    with Renderer(model, height, width) as renderer:
        renderer.update_scene(data, camera=0)
        np.testing.assert_allclose(picture.astype(int), renderer.render().astype(int), atol=2)
    env.advance(torch.ones(2, 1, 6))
    assert (env.picture() != picture).any()


def test_without_egl_and_osmesa_both_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    env, original = cheetah(), importlib.import_module

    def failing(name: str) -> Any:
        if name in ("mujoco.egl", "mujoco.osmesa"):
            raise ImportError(f"no library for {name}")
        return original(name)

    import pearl_lightning.envs.mujoco.camera as camera

    monkeypatch.setattr(camera, "import_module", failing)
    with pytest.raises(RuntimeError, match="pictures of MuJoCo need EGL or OSMesa: .*no library for mujoco.egl"):
        env.picture()
