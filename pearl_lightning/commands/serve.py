"""``pearl serve``: an agent that anybody's session of gym-derk can play against."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import torch

from pearl_lightning.commands.entrants import add_checkpoint_argument, entrant
from pearl_lightning.commands.training import PearlParser, quiet
from pearl_lightning.commands.worlds import add_config_argument, make_env
from pearl_lightning.envs.derk.env import DerkEnv
from pearl_lightning.envs.derk.game.agent_server import LONGEST_EPISODE, AgentServer
from pearl_lightning.serving import AdaptingPlayer


def run(arguments: list[str]) -> None:
    """Serve a checkpoint until interrupted."""
    quiet()
    options = _parser().parse_args(arguments)
    served = entrant(Path(options.checkpoint), [Path(config) for config in options.config or []], ())
    env = make_env(served.configs, arenas=1)
    if not isinstance(env, DerkEnv):
        raise ValueError(f"only agents of Derk's Gym can be served, but the env of {served.configs[-1]} is another")
    if env.observe_task:
        raise ValueError(f"{served.checkpoint} cannot be served: it is told its task, which a game does not know")
    agent = served.agent(env)
    masks_items = all(env.tasks[index].masks_items for index in range(len(env.tasks)))
    horizon = env.horizon if env.observe_time else None

    def player(session: int, teams: int) -> AdaptingPlayer:
        return AdaptingPlayer(
            agent,
            teams,
            masks_items=masks_items,
            horizon=horizon,
            deterministic=not options.sampled,
            generator=torch.Generator().manual_seed(session),
        )

    tell = partial(print, flush=True)
    server = AgentServer(player, port=options.port, longest_episode=horizon or LONGEST_EPISODE, tell=tell)
    asyncio.run(server.serve(lambda address: tell(f"{served.name} plays at {address} until Ctrl-C")))


def _parser() -> PearlParser:
    parser = PearlParser(
        prog="pearl serve",
        description="An agent server of gym-derk's own protocol: sessions that name it among their agent_hosts play "
        "against the agent, which adapts from episode to episode of a session.",
    )
    add_checkpoint_argument(parser)
    add_config_argument(parser)
    parser.add_argument("--port", type=int, default=8789, help="Of 127.0.0.1 to listen on; 0 picks a free one.")
    parser.add_argument("--sampled", action="store_true", help="Play samples of the policy rather than its mode.")
    return parser
