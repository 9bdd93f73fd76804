"""What the logged metrics mean, for a reader who sees them for the first time."""

from __future__ import annotations

import re
from dataclasses import dataclass

SECTIONS = ("Validation tasks", "Training", "Losses", "Inside the learner", "Other metrics")


@dataclass(frozen=True)
class Meaning:
    """A metric in words.

    Args:
        section: One of ``SECTIONS``.
        title: Its name.
        text: What the number is, and which way is good.
        over_env_steps: Whether it is also drawn over environment steps.
    """

    section: str
    title: str
    text: str
    over_env_steps: bool = False


_VALIDATION, _TRAINING, _LOSSES, _INSIDE, _OTHER = SECTIONS
_UNCOMPARABLE = "Between learners, or other settings of rewards, the sizes cannot be compared."

MEANINGS = {
    "evaluation/return": Meaning(
        _VALIDATION,
        "Validation return",
        "Rewards that the team collects in an episode of tasks it never trained on, on average, by how many "
        "episodes of the same task it has seen before: higher is better, and adaptation shows where the later "
        "episodes lie above the first.",
        over_env_steps=True,
    ),
    "evaluation/win_rate": Meaning(
        _VALIDATION,
        "Validation win rate",
        "Share of the validation matches that the team wins, from 0 to 1, by how many episodes of the same task it has "
        "seen before: higher is better.",
        over_env_steps=True,
    ),
    "evaluation/gain": Meaning(
        _VALIDATION,
        "Adaptation gain",
        "What experience brings: the return of the last episode minus that of the first, match by match. Above zero is "
        "good; an agent that infers nothing stays around zero.",
        over_env_steps=True,
    ),
    "collect/return": Meaning(
        _TRAINING,
        "Training return",
        "Rewards that the team collects in an episode of the training tasks while it explores, on average, by how it "
        "played: higher is better, but exploring costs, so compare agents by the validation return.",
        over_env_steps=True,
    ),
    "train/fitness": Meaning(
        _TRAINING,
        "Fitness of the members",
        "Mean training return of all members of a generation, each with its own weights: higher is better.",
        over_env_steps=True,
    ),
    "train/fitness_kept": Meaning(
        _TRAINING,
        "Fitness of the kept members",
        "Mean training return of the members that the next generation is made from: higher is better.",
        over_env_steps=True,
    ),
    "league/score_against_past_selves": Meaning(
        _TRAINING,
        "Score against past selves",
        "Points per match against earlier snapshots of the learner, 1 for a win and 0.5 for a tie: above 0.5 it beats "
        "its past.",
        over_env_steps=True,
    ),
    "loss/critic": Meaning(
        _LOSSES,
        "Critic loss",
        "Squared error of the predicted value of what was done: lower is better once rewards come in; early it rises "
        f"while there is ever more to predict. {_UNCOMPARABLE}",
    ),
    "loss/actor": Meaning(
        _LOSSES,
        "Actor loss",
        "Minus the value that the critics expect of the policy's actions: it falls as play improves; neither its "
        f"size nor its sign says more. {_UNCOMPARABLE}",
    ),
    "loss/kl": Meaning(
        _LOSSES,
        "Information cost",
        "What the belief has to pay for telling tasks apart, the weighted KL divergence from the prior: neither way "
        "is good in itself; zero means that the belief says nothing.",
    ),
    "loss/value": Meaning(
        _LOSSES, "Value loss", f"Squared error of the state-value network: lower is better. {_UNCOMPARABLE}"
    ),
    "loss/temperature": Meaning(
        _LOSSES,
        "Temperature loss",
        "What drives the temperature: near zero, the policy is as random as it was told to be; neither sign is better.",
    ),
    "loss/reconstruction": Meaning(
        _LOSSES,
        "Reconstruction loss",
        "Error in predicting rewards, or what actions do, from the belief: lower means that the belief tells more "
        "of the task.",
    ),
    "loss/task_inference": Meaning(
        _LOSSES,
        "Task inference loss",
        "Error of what the belief holds the task to be, which is known while training: lower is better, and what the "
        "episodes do not tell remains.",
    ),
    "train/kl": Meaning(
        _INSIDE,
        "KL of the belief from the prior",
        "How much the belief says about the task, in nats: it should settle well above zero, where "
        "nothing is inferred; values that grow without end mean that the belief is too sure of itself.",
    ),
    "train/temperature": Meaning(
        _INSIDE,
        "Temperature",
        "Weight of randomness in the policy's objective: it is learned, usually falls as the agent finds out what "
        "pays, and should neither vanish nor grow without end.",
    ),
    "train/entropy": Meaning(
        _INSIDE,
        "Entropy of the policy",
        "How random the continuous actions are, in nats: it falls as the agent settles on what works; a sudden "
        "collapse means that it stopped exploring.",
    ),
    "train/q": Meaning(
        _INSIDE,
        "Predicted value",
        "Discounted rewards that the critics expect, in the scale they learn in: it should follow the returns; "
        "values far above what can be earned are a warning.",
    ),
    "train/z_std": Meaning(
        _INSIDE,
        "Width of the belief in training",
        "Standard deviation of the posterior over the latent, 1 at the prior: narrower is surer, which is good as "
        "far as it is right.",
    ),
    "evaluation/z_std": Meaning(
        _INSIDE,
        "Width of the belief on validation tasks",
        "Standard deviation of the posterior after each episode, 1 at the prior: it should shrink from episode to "
        "episode.",
    ),
    "evaluation/coverage": Meaning(
        _INSIDE,
        "Calibration of the belief",
        "Share of latents whose final estimate lies in the 95 % interval believed after each episode: 0.95 or more "
        "is good, less means that the belief was too sure too early (after the last episode it is 1 by definition).",
    ),
    "train/factors": Meaning(
        _INSIDE,
        "Transitions read",
        "Transitions that the encoder was given in an update; neither way is better.",
    ),
    "train/factor_precision": Meaning(
        _INSIDE,
        "Precision per transition",
        "How much each transition narrows the belief: higher means that single transitions tell more, not that they "
        "are right.",
    ),
    "train/context_age": Meaning(
        _INSIDE,
        "Age of the context",
        "Updates since what the encoder reads was played: lower is fresher, and closer to what is read at evaluation.",
    ),
    "train/clipped": Meaning(
        _INSIDE,
        "Clipped share",
        "Share of the actions for which the policy had moved as far as it may in one iteration: around 0.1 to 0.3 "
        "is usual.",
    ),
    "train/explained": Meaning(
        _INSIDE,
        "Explained variance",
        "Share of the returns' variation that the value network foretells: higher is better, 1 is perfect, below 0 "
        "is worse than guessing the mean.",
    ),
}
OWN_MEANINGS = {
    ("PPO", "loss/actor"): Meaning(
        _LOSSES,
        "Clipped policy objective (PPO)",
        "Minus the advantage of the new policy over the one that played: it hovers around zero and says little of "
        "progress.",
    ),
    ("PPO", "loss/critic"): Meaning(
        _LOSSES,
        "Value loss (PPO)",
        f"Squared error of the value network: lower is better. {_UNCOMPARABLE}",
    ),
    ("PPO", "loss/entropy"): Meaning(
        _LOSSES,
        "Entropy bonus (PPO)",
        "Minus the weighted entropy of the policy: it rises towards zero as the policy becomes surer; neither way "
        "is better.",
    ),
    ("PPO", "train/kl"): Meaning(
        _INSIDE,
        "Step of the policy (PPO)",
        "KL divergence between the policy that played and the one that learns: it should stay small; large values mean "
        "steps too big to trust.",
    ),
    ("PPO", "train/entropy"): Meaning(
        _INSIDE,
        "Entropy of the policy (PPO)",
        "How random the actions are, choices included, in nats: it falls as the agent settles on what works.",
    ),
}
"""Where a learner means something of its own by a name."""
HIDDEN = {"evaluation/env_steps", "collect/env_steps", "collect/episodes", "collect/iterations"}
"""Counters, which say nothing as curves."""


def family(metric: str) -> tuple[str, str]:
    """What is drawn together, and which of its lines a metric is: ``evaluation/return_2`` is 2 of the returns."""
    found = re.fullmatch(r"(evaluation/\w+)_(\d+)|(collect/return)_(\w+)", metric)
    if found is None:
        return metric, ""
    return found[1] or found[3], found[2] or found[4]


def meaning(metric: str, learner: str | None) -> Meaning:
    """What a family of metrics means when this class of learner logs it."""
    own = OWN_MEANINGS.get((learner or "", metric)) or MEANINGS.get(metric)
    if own is not None:
        return own
    section = _LOSSES if metric.startswith("loss/") else _OTHER
    return Meaning(
        section, metric, "The run logs it under this name; what it means, and which way is good, its source says."
    )
