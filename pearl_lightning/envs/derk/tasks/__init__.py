"""Task families of Derk's Gym: one file each, and what they share."""

from pearl_lightning.envs.derk.tasks.blind_loadouts import BlindLoadoutTasks
from pearl_lightning.envs.derk.tasks.bounties import BountyTasks
from pearl_lightning.envs.derk.tasks.loadouts import LoadoutTasks
from pearl_lightning.envs.derk.tasks.mixture import MixtureTasks
from pearl_lightning.envs.derk.tasks.opponents import OpponentTasks
from pearl_lightning.envs.derk.tasks.task import Bounties, DerkTask, DerkTasks, Loadout

__all__ = [
    "BlindLoadoutTasks",
    "Bounties",
    "BountyTasks",
    "DerkTask",
    "DerkTasks",
    "Loadout",
    "LoadoutTasks",
    "MixtureTasks",
    "OpponentTasks",
]
