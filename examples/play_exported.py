"""Play Derk's Gym with what ``pearl export`` wrote: numpy and onnxruntime act and adapt, without our networks.

pearl export --out export
python examples/play_exported.py export --backend game
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray

from pearl_lightning.envs.derk.env import DerkEnv
from pearl_lightning.envs.derk.tasks import LoadoutTasks


class Player:
    """An exported agent with a belief about each arena's task."""

    def __init__(self, folder: Path, arenas: int, sampled: bool = False, seed: int = 0) -> None:
        self.agent: dict[str, Any] = json.loads((folder / "agent.json").read_text())
        self.policy = onnxruntime.InferenceSession(folder / "policy.onnx", providers=["CPUExecutionProvider"])
        self.sampled, self.random = sampled, np.random.default_rng(seed)
        latent_dim = self.agent["latent_dim"]
        self.mean, self.std = np.zeros((arenas, latent_dim), np.float32), np.ones((arenas, latent_dim), np.float32)
        if latent_dim:
            self.encoder = onnxruntime.InferenceSession(folder / "encoder.onnx", providers=["CPUExecutionProvider"])
            self.state = np.zeros((arenas, *self.agent["state"]), np.float32)

    def draw_z(self) -> None:
        self.z = self.mean + self.std * self.random.standard_normal(self.mean.shape, np.float32)

    def act(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        """Actions ``[arena, agent, width]`` for observations ``[arena, agent, feature]``."""
        arenas, agents, features = observation.shape
        rows = {"observation": observation.reshape(-1, features), "z": self.z.repeat(agents, axis=0)}
        rows["agent"] = np.tile(np.arange(agents), arenas)
        names = [output.name for output in self.policy.get_outputs()]
        answers = self.policy.run(names, {each.name: rows[each.name] for each in self.policy.get_inputs()})
        outputs = dict(zip(names, answers, strict=True))
        return (self.sample(outputs) if self.sampled else outputs["action"]).reshape(arenas, agents, -1)

    def sample(self, outputs: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        layout, mean = self.agent["action"], outputs["mean"]
        low, high = np.float32(layout["low"]), np.float32(layout["high"])
        pre_tanh = mean + np.exp(outputs["log_std"]) * self.random.standard_normal(mean.shape, np.float32)
        columns = [low + (high - low) / 2 * (1 + np.tanh(pre_tanh))]
        for logits in np.split(outputs.get("logits", mean[:, :0]), np.cumsum(layout["choices"])[:-1], axis=1):
            columns.append((logits + self.random.gumbel(size=logits.shape)).argmax(axis=1, keepdims=True))
        return np.concatenate(columns, axis=1, dtype=np.float32)

    def adapt(self, observation: NDArray[np.float32], action: NDArray[np.float32], reward: NDArray[np.float32]) -> None:
        """Take an episode ``[arena, step, agent, ...]`` into the belief; its last observation comes after all steps."""
        if self.agent["latent_dim"]:
            inputs = {"context": self.context(observation, action, reward), "state": self.state}
            self.state, self.mean, self.std = self.encoder.run(["new_state", "mean", "std"], inputs)

    def context(
        self, observation: NDArray[np.float32], action: NDArray[np.float32], reward: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """What the encoder reads of an episode, ``[arena, transition, feature]``."""
        stride, salient = self.agent["context_stride"], self.agent["context_salient"]
        continuous, choices = len(self.agent["action"]["low"]), self.agent["action"]["choices"]
        shown = action[:, ::stride]
        one_hots = [np.eye(n)[shown[..., continuous + i].astype(int)] for i, n in enumerate(choices)]
        paid = np.add.reduceat(reward, range(0, reward.shape[1], stride), axis=1)[..., None]
        before, after = observation[:, :-1:stride], observation[:, 1::stride]
        parts = [
            *([after - before] if self.agent["context_next_observation"] else []),
            before,
            shown[..., :continuous],
            *one_hots,
            self.agent["context_reward_scale"] * paid,
        ]
        features = np.concatenate(parts, axis=-1, dtype=np.float32)
        features = features.reshape(len(features), -1, features.shape[-1])
        if salient is not None:
            largest = np.argsort(-np.abs(features[..., -1]), axis=1, kind="stable")[:, :salient]
            features = np.take_along_axis(features, np.sort(largest, axis=1)[..., None], axis=1)
        return features


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Play Derk's Gym with an exported agent.")
    parser.add_argument("folder", type=Path, help="Where pearl export wrote to.")
    parser.add_argument("--backend", choices=["simulator", "game"], default="simulator")
    parser.add_argument("--opponent", default="random")
    parser.add_argument("--arenas", type=int, default=4)
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--sampled", action="store_true", help="Play samples of the policy rather than its mode.")
    options = parser.parse_args(arguments)
    if not (options.folder / "agent.json").is_file():
        parser.error(f"{options.folder} holds no exported agent: write one with pearl export --out {options.folder}")

    player = Player(options.folder, options.arenas, options.sampled)
    tasks = LoadoutTasks(train_tasks=options.arenas, test_tasks=0, opponent=options.opponent, bounties="shaped")
    shown = {name: bool(player.agent.get(name)) for name in ("observe_time", "observe_task")}
    env = DerkEnv(arenas=options.arenas, tasks=tasks, backend=options.backend, **shown)
    for episode in range(options.episodes):
        observations, actions, rewards = [], [], []
        observation = env.begin(list(tasks.train))
        for step in range(env.horizon):
            if step % (player.agent["z_steps"] or env.horizon) == 0:
                player.draw_z()
            observations.append(observation.numpy())
            actions.append(player.act(observations[-1]))
            result = env.advance(torch.from_numpy(actions[-1]))
            rewards.append(result["reward"].numpy())
            observation = result["observation"]
        observations.append(observation.numpy())
        player.adapt(*(np.stack(rows, axis=1) for rows in (observations, actions, rewards)))
        won = (result["outcome"] > 0).float().mean()
        print(f"episode {episode}: return {np.sum(rewards) / options.arenas:.2f}, {won:.0%} won")
    env.close()


if __name__ == "__main__":
    main()
