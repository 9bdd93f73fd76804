"""Random lengths of the contexts in updates, which follow those that beliefs have read in play."""

from __future__ import annotations

import torch

WHOLE_SHARE = 0.5
"""Share of the meta-batches with whole context episodes only, for an agent that observes within episodes.

They train the behaviour after whole episodes, which short contexts would leave with few updates.
"""


def draw_length(
    smallest: int, largest: int, horizon: int, observe_every: int | None, generator: torch.Generator
) -> tuple[int, int | None]:
    """Draw the number of context episodes, and the number of steps of the last one if it is cut off (else None).

    The number of episodes is log-uniform, because the first episodes change a belief most. For an agent that observes
    within episodes, half of the draws have the beginning of one more episode, after up to ``largest`` whole ones, as in
    play. Its number of steps is a multiple of ``observe_every``, or the horizon.

    Args:
        smallest: Smallest number of whole episodes, at least 1.
        largest: Largest number of whole episodes.
        horizon: Number of steps of an episode.
        observe_every: Steps between two updates of a belief within an episode; None for an agent that has none.
        generator: Generator on the CPU.
    """
    is_cut = observe_every is not None and float(torch.rand((), generator=generator)) >= WHOLE_SHARE
    uniform = float(torch.rand((), generator=generator))
    episodes = int(smallest * ((largest + is_cut + 1) / smallest) ** uniform)  # floor of a log-uniform number
    if observe_every is None or not is_cut:
        return episodes, None
    updates = int(torch.randint(-(-horizon // observe_every), (), generator=generator)) + 1
    return episodes, min(observe_every * updates, horizon)
