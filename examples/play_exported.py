"""Play Derk's Gym with an exported agent, by numpy and onnxruntime alone.

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

from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.tasks import LoadoutTasks


def start_session(model: Path) -> onnxruntime.InferenceSession:
    """Load a model that runs on one thread, because it is small and waiting threads would occupy other cores."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


Array = NDArray[np.float32]


class Player:
    """An exported agent with one belief per arena."""

    def __init__(self, folder: Path, arenas: int, sampled: bool = False, seed: int = 0) -> None:
        self.agent: dict[str, Any] = json.loads((folder / "agent.json").read_text(encoding="utf-8"))
        self.policy = start_session(folder / "policy.onnx")
        self.sampled, self.random = sampled, np.random.default_rng(seed)
        latent_dim = self.agent["latent_dim"]
        self.mean, self.std = np.zeros((arenas, latent_dim), np.float32), np.ones((arenas, latent_dim), np.float32)
        if latent_dim:
            self.encoder = start_session(folder / "encoder.onnx")
            self.first_state = np.zeros((arenas, *self.agent["state"]), np.float32)  # at the start of the episode
        self.start()

    def start(self) -> None:
        """Start an episode."""
        self.observations: list[Array] = []
        self.actions: list[Array] = []
        self.rewards: list[Array] = []
        self.condition = self.draw_condition()

    def draw_condition(self) -> Array:
        """Draw the condition of the policy from the belief."""
        match self.agent.get("condition"):
            case "PosteriorCondition":
                return np.concatenate([self.mean, self.std], axis=1)
            case "MeanCondition":
                return self.mean
            case _:  # a sample of z
                return self.mean + self.std * self.random.standard_normal(self.mean.shape, np.float32)

    def is_due(self, setting: str) -> bool:
        every, step = self.agent.get(setting), len(self.rewards)
        return every is not None and step > 0 and step % every == 0

    def act(self, observation: Array) -> Array:
        """Return actions ``[arena, agent, width]`` for observations ``[arena, agent, feature]``."""
        if self.is_due("observe_every"):
            self.update_belief(observation)
        if self.is_due("observe_every") or self.is_due("resample_every"):
            self.condition = self.draw_condition()
        arenas, agents, features = observation.shape
        rows = {"observation": observation.reshape(-1, features), "condition": self.condition.repeat(agents, axis=0)}
        names = [output.name for output in self.policy.get_outputs()]
        answers = self.policy.run(names, {each.name: rows[each.name] for each in self.policy.get_inputs()})
        outputs = dict(zip(names, answers, strict=True))
        action = (self.sample(outputs) if self.sampled else outputs["action"]).reshape(arenas, agents, -1)
        self.observations.append(observation)
        self.actions.append(action)
        return action

    def observe(self, reward: Array) -> None:
        """Record the rewards ``[arena, agent]`` of the last action."""
        self.rewards.append(reward)

    def end(self, observation: Array) -> None:
        """Finish the episode, given its last observations."""
        if self.agent["latent_dim"]:
            self.first_state = self.update_belief(observation)
        self.start()

    def update_belief(self, observation: Array) -> Array:
        """Update the belief with all steps of the episode; return the new state of the encoder."""
        rows = (self.observations + [observation], self.actions, self.rewards)
        context = self.context(*(np.stack(each, axis=1) for each in rows))
        inputs = {"context": context, "state": self.first_state}
        state, self.mean, self.std = self.encoder.run(["new_state", "mean", "std"], inputs)
        return state

    def sample(self, outputs: dict[str, Array]) -> Array:
        layout, mean = self.agent["action"], outputs["mean"]
        low, high = np.float32(layout["low"]), np.float32(layout["high"])
        pre_tanh = mean + np.exp(outputs["log_std"]) * self.random.standard_normal(mean.shape, np.float32)
        columns = [low + (high - low) / 2 * (1 + np.tanh(pre_tanh))]
        for logits in np.split(outputs.get("logits", mean[:, :0]), np.cumsum(layout["choices"])[:-1], axis=1):
            columns.append((logits + self.random.gumbel(size=logits.shape)).argmax(axis=1, keepdims=True))
        return np.concatenate(columns, axis=1, dtype=np.float32)

    def context(self, observation: Array, action: Array, reward: Array) -> Array:
        """Convert steps ``[arena, step, agent, ...]`` to the encoder's input ``[arena, transition, feature]``."""
        layout = self.agent["context"]
        stride, salient = layout["stride"], layout["salient"]
        continuous, choices = len(self.agent["action"]["low"]), self.agent["action"]["choices"]
        read = action[:, ::stride]
        one_hots = [np.eye(n)[read[..., continuous + i].astype(int)] for i, n in enumerate(choices)]
        if layout["reward_of"] == "step":
            reward = reward[:, ::stride]
        else:
            reward = np.add.reduceat(reward, range(0, reward.shape[1], stride), axis=1)
        before, after = observation[:, :-1:stride], observation[:, 1::stride]
        parts = [
            *([after - before] if layout["next_observation"] else []),
            before,
            read[..., :continuous],
            *one_hots,
            layout["reward_scale"] * reward[..., None],
        ]
        features = np.concatenate(parts, axis=-1, dtype=np.float32)
        features = features.reshape(len(features), -1, features.shape[-1])
        if salient is not None:
            largest = np.argsort(-np.abs(features[..., -1]), axis=1, kind="stable")[:, :salient]
            features = np.take_along_axis(features, np.sort(largest, axis=1)[..., None], axis=1)
        return features


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Play Derk's Gym with an exported agent.")
    parser.add_argument("folder", type=Path, help="Folder of pearl export.")
    parser.add_argument("--backend", choices=["simulator", "game"], default="simulator")
    parser.add_argument("--opponent", default="random")
    parser.add_argument("--arenas", type=int, default=4)
    parser.add_argument("--episodes", type=int, default=3)
    parser.add_argument("--sampled", action="store_true", help="Play samples of the policy instead of its mode.")
    options = parser.parse_args(arguments)
    if not (options.folder / "agent.json").is_file():
        parser.error(f"{options.folder} contains no exported agent: run pearl export --out {options.folder}")

    player = Player(options.folder, options.arenas, options.sampled)
    tasks = LoadoutTasks(train_tasks=options.arenas, test_tasks=0, opponent=options.opponent, bounties="shaped")
    observed = {name: bool(player.agent.get(name)) for name in ("observe_time", "observe_task")}
    env = DerkEnv(arenas=options.arenas, tasks=tasks, backend=options.backend, **observed)
    for episode in range(options.episodes):
        observation, total = env.begin(list(tasks.train)), 0.0
        for _ in range(env.horizon):
            result = env.advance(torch.from_numpy(player.act(observation.numpy())))
            player.observe(result["reward"].numpy())
            total += float(result["reward"].sum())
            observation = result["observation"]
        player.end(observation.numpy())
        won = (result["outcome"] > 0).float().mean()
        print(f"episode {episode}: return {total / options.arenas:.2f}, {won:.0%} won")
    env.close()


if __name__ == "__main__":
    main()
