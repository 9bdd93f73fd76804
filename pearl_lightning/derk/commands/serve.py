"""``pearl serve``: an agent server for sessions of gym-derk."""

from __future__ import annotations

import asyncio
from functools import partial

from pearl_lightning.commands.config_files import find_config
from pearl_lightning.commands.entrants import add_checkpoint_argument, entrant
from pearl_lightning.commands.environments import add_config_argument, make_env
from pearl_lightning.commands.parser import PearlParser, quiet
from pearl_lightning.commands.playing import add_playing_arguments, playing_option


def run(arguments: list[str]) -> None:
    """Serve a checkpoint until the process is interrupted."""
    quiet()
    options = _parser().parse_args(arguments)
    asked = playing_option(options)
    import torch

    from pearl_lightning.derk.backends.game.agent_server import LONGEST_EPISODE, AgentServer
    from pearl_lightning.derk.env import DerkEnv
    from pearl_lightning.derk.remote_player import RemotePlayer

    served = entrant(options.checkpoint, [find_config(config) for config in options.config or []], ())
    env = make_env(served.configs, arenas=1)
    if not isinstance(env, DerkEnv):
        raise ValueError(f"env must be Derk's Gym to be served, got {type(env).__name__} in {served.configs[-1]}")
    if env.observe_task:
        raise ValueError(
            f"{served.checkpoint} cannot be served: it is an oracle, but the game does not provide the task"
        )
    agent, deterministic = served.agent(env), served.is_deterministic(asked)
    masks_items = all(env.tasks[index].masks_items for index in range(len(env.tasks)))
    horizon = env.horizon if env.observe_time else None

    def player(session: int, teams: int) -> RemotePlayer:
        return RemotePlayer(
            agent,
            teams,
            masks_items=masks_items,
            horizon=horizon,
            deterministic=deterministic,
            generator=torch.Generator().manual_seed(session),
        )

    tell = partial(print, flush=True)
    server = AgentServer(player, port=options.port, longest_episode=horizon or LONGEST_EPISODE, tell=tell)
    asyncio.run(server.serve(lambda address: tell(f"{served.name} plays at {address} until Ctrl-C")))


def _parser() -> PearlParser:
    parser = PearlParser(
        prog="pearl serve",
        description="Start an agent server with the protocol of gym-derk. Sessions with its address in their "
        "agent_hosts play against the agent. The agent adapts over the episodes of a session.",
    )
    add_checkpoint_argument(parser)
    add_config_argument(parser)
    parser.add_argument("--port", type=int, default=8789, help="Port of 127.0.0.1 to listen on; 0 selects a free port.")
    add_playing_arguments(parser)
    return parser
