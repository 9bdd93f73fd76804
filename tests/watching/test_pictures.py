"""Pictures of a match, animations, videos, and the callback that makes clips."""

from __future__ import annotations

import io
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from fake_loggers import FakeLogger, FakeWandb
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pearl_lightning.cli import main
from pearl_lightning.derk.backends.simulator.terrain import game_terrain
from pearl_lightning.derk.watching import MatchRecord
from pearl_lightning.derk.watching.pictures import FRAMES_PER_SECOND, gif_bytes, match_frames
from pearl_lightning.derk.watching.scenery import EXTENT, scenery
from pearl_lightning.films import write_video
from tests.watching.small_matches import small_records

BLUE, ORANGE = (78, 168, 255), (255, 157, 77)


@pytest.fixture(scope="module")
def records() -> list[MatchRecord]:
    return small_records()


def test_the_teams_stand_where_the_record_says(records: list[MatchRecord]) -> None:
    pixels = 420
    frame = next(match_frames(records, pixels))
    scale, header = pixels / (EXTENT[1] - EXTENT[0]), frame.height - pixels
    for member, (x, y, _) in enumerate(records[0].states["position"][0]):
        place = round((x - EXTENT[0]) * scale), round((EXTENT[3] - y) * scale) + header
        assert frame.getpixel(place) == (BLUE if member < 4 else ORANGE)


def test_every_nth_frame_of_every_episode_is_drawn(records: list[MatchRecord]) -> None:
    frames = len(records[0].states["hitpoints"])
    assert len(list(match_frames(records, 64, every=7))) == 2 * len(range(0, frames, 7))
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        next(match_frames(records, every=0))
    with pytest.raises(ValueError, match="pixels must be at least 64, got 10"):
        next(match_frames(records, 10))


def test_a_gif_shows_the_teams_in_their_colours(records: list[MatchRecord]) -> None:
    frames = list(match_frames(records, 320, every=4))
    animation = Image.open(io.BytesIO(gif_bytes(iter(frames), float(FRAMES_PER_SECOND))))
    assert animation.n_frames > 1
    for number in range(animation.n_frames):
        animation.seek(number)
        shown = {colour for _, colour in animation.convert("RGB").getcolors(maxcolors=2**16)}
        assert {BLUE, ORANGE} <= shown


def test_the_ground_does_not_flicker_in_a_gif(records: list[MatchRecord]) -> None:
    frames = list(match_frames(records, 160, every=8))
    still = np.ptp([np.asarray(frame) for frame in frames], axis=0).max(axis=-1) == 0  # [row, column]
    animation = Image.open(io.BytesIO(gif_bytes(iter(frames), float(FRAMES_PER_SECOND))))
    shown = []
    for number in range(animation.n_frames):
        animation.seek(number)
        shown.append(np.asarray(animation.convert("RGB"))[still])
    assert still.mean() > 0.5
    assert np.ptp(shown, axis=0).max() == 0


def test_a_gif_and_a_video_hold_the_frames(records: list[MatchRecord], tmp_path: Path) -> None:
    frames = list(match_frames(records, 65, every=4))
    animation = Image.open(io.BytesIO(gif_bytes(iter(frames), float(FRAMES_PER_SECOND))))
    shown = 0
    for number in range(animation.n_frames):  # those that look alike are joined
        animation.seek(number)
        shown += animation.info["duration"]
    assert shown == pytest.approx(1000 * len(frames) / 7.5, abs=10 * len(frames))
    write_video(iter(frames), tmp_path / "match.mp4", FRAMES_PER_SECOND)
    with av.open(str(tmp_path / "match.mp4")) as file:
        read = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert file.streams.video[0].average_rate == FRAMES_PER_SECOND
    assert len(read) == len(frames)
    assert read[0].shape == (64 + 26, 64, 3)  # odd pixels are cut off
    for picture, frame in islice(zip(read, frames, strict=True), 0, None, 5):
        assert np.abs(picture.astype(int) - np.asarray(frame.crop((0, 0, 64, 90)), dtype=int)).mean() < 12


def test_the_scenery_is_dark_where_walkers_are_blocked() -> None:
    shade = np.asarray(scenery(336).convert("L"), dtype=float)[::-1]  # a texel per pixel, lowest y first
    steep = game_terrain().steep[40:376, 40:376] > 0
    assert 0.02 < steep.mean() < 0.5
    assert shade[steep].mean() < 0.6 * shade[~steep].mean()


DERK = """
trainer:
  max_steps: 4
  limit_val_batches: 0
  callbacks:
    - class_path: MatchRecorder
      init_args: {every_n_updates: 2, episodes: 1, task: %d}
collector: {every_n_updates: 4, tasks_per_iteration: 2, initial_iterations: 1}
evaluation: null
checkpoint: null
data:
  env:
    class_path: DerkEnv
    init_args:
      arenas: 2
      backend_options: {episode_ticks: 80}
      tasks:
        class_path: LoadoutTasks
        init_args: {train_tasks: 2, validation_tasks: 1, test_tasks: 0}
"""


@pytest.mark.slow
def test_a_run_is_filmed_every_so_many_updates(
    tiny_config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeLogger, "made", [])
    overlay = tmp_path / "derk.yaml"
    overlay.write_text(DERK % 0)
    options = ["--config", str(tiny_config), "--config", str(overlay), "--runs_dir", str(tmp_path)]
    assert main(["fit", *options, "--name", "filmed", "--trainer.logger", "fake_loggers.FakeWandb"]) == 0
    clips = sorted((tmp_path / "filmed" / "clips").iterdir())
    assert [clip.name for clip in clips] == ["update-00000002.gif", "update-00000004.gif"]
    events = EventAccumulator(str(tmp_path / "filmed"), size_guidance={"images": 0}).Reload()
    shown = events.Images("match")
    assert [event.step for event in shown] == [1, 3]
    (logger,) = FakeLogger.made
    assert isinstance(logger, FakeWandb)
    films = [(name, video.read(), step) for name, (video,), step, _ in logger.videos]
    assert films == [("match", clip.read_bytes(), step) for clip, step in zip(clips, (1, 3), strict=True)]
    assert shown[0].encoded_image_string == clips[0].read_bytes()


@pytest.mark.slow
def test_filming_changes_no_run(tiny_config: Path, tmp_path: Path) -> None:
    overlay, without = tmp_path / "derk.yaml", tmp_path / "without.yaml"
    overlay.write_text(DERK % 0)
    without.write_text(DERK[: DERK.index("  callbacks:")] + DERK[DERK.index("collector:") :])
    for name, config in (("filmed", overlay), ("unseen", without)):
        options = ["--config", str(tiny_config), "--config", str(config), "--runs_dir", str(tmp_path)]
        assert main(["fit", *options, "--name", name]) == 0
    metrics = [(tmp_path / name / "metrics.csv").read_text() for name in ("filmed", "unseen")]
    assert metrics[0] == metrics[1]


def test_a_task_that_there_is_not_is_refused(
    tiny_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = tmp_path / "derk.yaml"
    overlay.write_text(DERK % 7)
    options = ["--config", str(tiny_config), "--config", str(overlay), "--runs_dir", str(tmp_path)]
    assert main(["fit", *options]) == 1
    assert "task must be a validation task, in [0, 1), got 7" in capsys.readouterr().err
