"""OpponentActions: prediction of what the opponents do at each step of the context."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pearl_lightning.inference.auxiliary.auxiliary import AuxiliaryLoss, AuxiliarySizes
from pearl_lightning.inference.inferred import Inferred
from pearl_lightning.networks.layers import mlp


class OpponentActions(AuxiliaryLoss):
    """Prediction of the opponents' actions at each step of the context, from z and one agent's observation.

    It trains z to contain how the opponents act (Papoudakis et al. 2021, "Agent modelling under partial observability
    for deep reinforcement learning", LIAM). Only training reads these actions: the encoder never does. The loss is the
    negative log-likelihood of an opponent's action, without constants: of a normal distribution with variance 1/2 for
    a continuous component, whose range is scaled to [-1, 1], and of a categorical one for a discrete choice.

    Args:
        sizes: Sizes of the inputs.
        hidden: Widths of the hidden layers.
        weight: Weight of the loss, summed over the components of an action and averaged over opponents; must be
            positive.

    Raises:
        ValueError: The weight is out of its range, or the environment writes no actions of opponents.
    """

    name = "opponent_actions"

    def __init__(self, sizes: AuxiliarySizes, hidden: Sequence[int] = (128, 128), weight: float = 1.0) -> None:
        super().__init__(sizes)
        if not 0 < weight < math.inf:
            raise ValueError(f"OpponentActions' weight must be above 0 and finite, got {weight}")
        if sizes.opponent_agents < 1:
            raise ValueError(
                "OpponentActions needs an environment that writes the actions of opponents, or opponent_agents above "
                f"0, got opponent_agents {sizes.opponent_agents}: remove it from model.auxiliary"
            )
        self.weight = weight
        outputs = sizes.opponent_agents * sizes.action_space.encoded_width
        self.body = mlp(sizes.observation + sizes.latent, hidden, outputs)

    def loss(self, inferred: Inferred) -> Tensor:
        assert inferred.opponent_action is not None, "meta-batches contain the opponents' actions if the env writes any"
        space, size = self.sizes.action_space, self.sizes.observation
        of_task = inferred.z.unsqueeze(1).expand(-1, inferred.transitions.shape[1], -1)
        observation = inferred.transitions[..., size : 2 * size]  # after the change of the observation
        predicted = self.body(torch.cat([observation, of_task], dim=-1)).unflatten(-1, (self.sizes.opponent_agents, -1))
        low, span = space.low_and_span(predicted.device)
        action, *choices = predicted.split([space.continuous, *space.choices], dim=-1)
        played, *chosen = space.encode(inferred.opponent_action).split([space.continuous, *space.choices], dim=-1)
        errors = (action - (2 * (played - low) / span - 1)).square().sum(dim=-1)
        for logits, choice in zip(choices, chosen, strict=True):
            errors = errors - (logits.log_softmax(dim=-1) * choice).sum(dim=-1)
        return self.weight * inferred.average(errors)
