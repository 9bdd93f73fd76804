"""Explanations of the logged metrics, for a reader who sees them for the first time."""

from __future__ import annotations

import re
from dataclasses import dataclass

SECTIONS = ("Validation tasks", "Training", "Losses", "Inside the learner", "Other metrics")


@dataclass(frozen=True)
class Meaning:
    """Explanation of a metric.

    Args:
        section: Section of the report, one of ``SECTIONS``.
        title: Name of the metric.
        text: Meaning of the number, and whether higher or lower values are better.
        over_env_steps: Whether the metric is also drawn over environment steps.
    """

    section: str
    title: str
    text: str
    over_env_steps: bool = False


_VALIDATION, _TRAINING, _LOSSES, _INSIDE, _OTHER = SECTIONS
_UNCOMPARABLE = "Values cannot be compared between different learners or reward settings."

MEANINGS = {
    "evaluation/return": Meaning(
        _VALIDATION,
        "Validation return",
        "Mean return of the team on tasks that are not in training, by the number of episodes of the same task that "
        "it has seen before. Higher is better. An agent that adapts has higher returns in later episodes than in the "
        "first.",
        over_env_steps=True,
    ),
    "evaluation/win_rate": Meaning(
        _VALIDATION,
        "Validation win rate",
        "Share of the validation matches that the team wins, from 0 to 1, by the number of episodes of the same task "
        "that it has seen before. Higher is better.",
        over_env_steps=True,
    ),
    "evaluation/success_rate": Meaning(
        _VALIDATION,
        "Validation success rate",
        "Share of the episodes on validation tasks in which the environment reports a success, from 0 to 1, by the "
        "number of episodes of the same task that the agent has seen before. Higher is better.",
        over_env_steps=True,
    ),
    "evaluation/gain": Meaning(
        _VALIDATION,
        "Adaptation gain",
        "Return of the last episode minus return of the first episode of the same match. Above zero is good; a "
        "context-free agent stays around zero.",
        over_env_steps=True,
    ),
    "collect/return": Meaning(
        _TRAINING,
        "Training return",
        "Mean return of the team on the train tasks, by the kind of episode. Higher is better, but exploration "
        "lowers it, so compare agents by the validation return.",
        over_env_steps=True,
    ),
    "train/fitness": Meaning(
        _TRAINING,
        "Fitness of the members",
        "Mean training return of all members of a generation. Each member has different weights. Higher is better.",
        over_env_steps=True,
    ),
    "train/fitness_kept": Meaning(
        _TRAINING,
        "Fitness of the kept members",
        "Mean training return of the members from which the next generation is made. Higher is better.",
        over_env_steps=True,
    ),
    "league/score_against_past_selves": Meaning(
        _TRAINING,
        "Score against past selves",
        "Points per match against earlier snapshots of the learner: 1 for a win, 0.5 for a tie. Above 0.5 the learner "
        "beats its earlier snapshots.",
        over_env_steps=True,
    ),
    "loss/critic": Meaning(
        _LOSSES,
        "Critic loss",
        "Squared error of the predicted action values. Early in training it rises as the agent finds more rewards; "
        f"later, lower is better. {_UNCOMPARABLE}",
    ),
    "loss/actor": Meaning(
        _LOSSES,
        "Actor loss",
        "Negative value of the policy's actions as predicted by the critics. It falls as the policy improves; its size "
        f"and sign have no further meaning. {_UNCOMPARABLE}",
    ),
    "loss/kl": Meaning(
        _LOSSES,
        "Information cost",
        "Weighted KL divergence of the belief from the prior. Neither high nor low is good in itself; zero means that "
        "the belief contains no information about the task.",
    ),
    "loss/value": Meaning(
        _LOSSES, "Value loss", f"Squared error of the state-value network. Lower is better. {_UNCOMPARABLE}"
    ),
    "loss/temperature": Meaning(
        _LOSSES,
        "Temperature loss",
        "Loss of the learned temperature. Near zero, the entropy of the policy is at its target; neither sign is "
        "better.",
    ),
    "loss/reconstruction": Meaning(
        _LOSSES,
        "Reconstruction loss",
        "Error in the prediction of rewards, or of the effects of actions, from the belief. Lower means that the "
        "belief contains more information about the task.",
    ),
    "loss/task_inference": Meaning(
        _LOSSES,
        "Task inference loss",
        "Error in the prediction of the task parameters, which are known during training, from the belief. Lower is "
        "better; the part that cannot be inferred from the episodes remains.",
    ),
    "train/kl": Meaning(
        _INSIDE,
        "KL of the belief from the prior",
        "Information about the task in the belief, in nats. It should settle well above zero; at zero nothing is "
        "inferred. Values that keep growing mean that the belief is overconfident.",
    ),
    "train/temperature": Meaning(
        _INSIDE,
        "Temperature",
        "Learned weight of the entropy in the policy's objective. It usually falls as the agent finds rewards, and "
        "should neither vanish nor keep growing.",
    ),
    "train/entropy": Meaning(
        _INSIDE,
        "Entropy of the policy",
        "Randomness of the continuous actions, in nats. It falls as the policy converges; a sudden collapse means that "
        "the agent has stopped exploring.",
    ),
    "train/q": Meaning(
        _INSIDE,
        "Predicted value",
        "Discounted return that the critics predict, in scaled rewards. It should follow the returns; values far above "
        "the possible returns indicate a problem.",
    ),
    "train/z_std": Meaning(
        _INSIDE,
        "Width of the belief in training",
        "Standard deviation of the posterior over the latent; 1 for the prior. A narrow belief is good only if it is "
        "correct.",
    ),
    "evaluation/z_std": Meaning(
        _INSIDE,
        "Width of the belief on validation tasks",
        "Standard deviation of the posterior after each episode; 1 for the prior. It should shrink from episode to "
        "episode.",
    ),
    "evaluation/coverage": Meaning(
        _INSIDE,
        "Calibration of the belief",
        "Share of latents for which the final estimate is within the 95 % interval of the belief after each episode. "
        "0.95 or more is good; less means that the belief was overconfident at that time. After the last episode it is "
        "1 by definition.",
    ),
    "train/factors": Meaning(
        _INSIDE,
        "Transitions read",
        "Number of transitions that the encoder reads in an update. Neither high nor low is better.",
    ),
    "train/factor_precision": Meaning(
        _INSIDE,
        "Precision per transition",
        "Precision that each transition adds to the belief. Higher means that single transitions have more weight, not "
        "that they are correct.",
    ),
    "train/context_age": Meaning(
        _INSIDE,
        "Age of the context",
        "Number of updates since the context was collected. Lower means newer context, which is more similar to the "
        "context at evaluation.",
    ),
    "train/clipped": Meaning(
        _INSIDE,
        "Clipped share",
        "Share of the actions for which the change of the policy reached its limit per iteration. Values around 0.1 to "
        "0.3 are usual.",
    ),
    "train/explained": Meaning(
        _INSIDE,
        "Explained variance",
        "Share of the variance of the returns that the value network predicts. Higher is better: 1 is perfect, below 0 "
        "is worse than predicting the mean.",
    ),
}
_OF_PPO = {
    "loss/actor": Meaning(
        _LOSSES,
        "Clipped policy objective (PPO)",
        "Negative advantage of the new policy over the policy that collected the data. It stays around zero and does "
        "not show progress.",
    ),
    "loss/critic": Meaning(
        _LOSSES,
        "Value loss (PPO)",
        f"Squared error of the value network. Lower is better. {_UNCOMPARABLE}",
    ),
    "loss/entropy": Meaning(
        _LOSSES,
        "Entropy bonus (PPO)",
        "Negative weighted entropy of the policy. It rises towards zero as the policy becomes less random. Neither "
        "high nor low is better.",
    ),
    "train/kl": Meaning(
        _INSIDE,
        "Step of the policy (PPO)",
        "KL divergence between the policy that collected the data and the updated policy. It should stay small; large "
        "values mean that the steps are too large.",
    ),
    "train/entropy": Meaning(
        _INSIDE,
        "Entropy of the policy (PPO)",
        "Randomness of the actions, including discrete choices, in nats. It falls as the policy converges.",
    ),
}
OWN_MEANINGS = {(learner, metric): text for metric, text in _OF_PPO.items() for learner in ("PPO", "RL2")}
"""Metrics that have a different meaning for one learner, by class name and metric."""
HIDDEN = {"evaluation/env_steps", "collect/env_steps", "collect/episodes", "collect/iterations"}
"""Counters, which are not drawn as curves."""


def family(metric: str) -> tuple[str, str]:
    """Family of a metric and name of its line: ``evaluation/return_2`` is line ``2`` of ``evaluation/return``."""
    found = re.fullmatch(r"(evaluation/\w+)_(\d+)|(collect/return)_(\w+)", metric)
    if found is None:
        return metric, ""
    return found[1] or found[3], found[2] or found[4]


def meaning(metric: str, learner: str | None) -> Meaning:
    """Explanation of a family of metrics that a learner of this class logs."""
    own = OWN_MEANINGS.get((learner or "", metric)) or MEANINGS.get(metric)
    if own is not None:
        return own
    section = _LOSSES if metric.startswith("loss/") else _OTHER
    return Meaning(section, metric, "The run logs this metric under this name; see its source for the meaning.")
