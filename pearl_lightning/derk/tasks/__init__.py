"""Task families of Derk's Gym, one file each, and their shared code."""

from pearl_lightning.derk.tasks.blind_loadouts import BlindLoadoutTasks
from pearl_lightning.derk.tasks.bounties import BountyTasks
from pearl_lightning.derk.tasks.loadouts import LoadoutTasks
from pearl_lightning.derk.tasks.opponents import OpponentTasks
from pearl_lightning.derk.tasks.task import Bounties, DerkTask, DerkTasks, Loadout

__all__ = [
    "BlindLoadoutTasks",
    "Bounties",
    "BountyTasks",
    "DerkTask",
    "DerkTasks",
    "Loadout",
    "LoadoutTasks",
    "OpponentTasks",
]
