"""Builders of the generated blocks by the name in their markers, and the figures by their paths below ``docs``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from benchmarks.pages import (
    ablations,
    adaptation,
    environments,
    families,
    gymnasium,
    mujoco,
    point_robot,
    speed,
    tables,
    update_ratio,
    within_episode,
)
from benchmarks.pages.blocks import Builder
from benchmarks.pages.figures import Plot

BUILDERS: Mapping[str, Builder] = {
    "csv": tables.csv_table,
    "families": families.overview,
    "agents": families.agents,
    "spent": families.spent,
    "leads": families.leads,
    "equal-seconds": families.equal_seconds,
    "kinds": families.kinds,
    "pearl-kinds": families.pearl_by_kind,
    "ablation-leads": ablations.leads,
    "ablation": ablations.variants,
    "point-robot": point_robot.final,
    "speeds": environments.speeds,
    "mujoco-finding": mujoco.finding,
    "mujoco-returns": mujoco.returns,
    "mujoco-missing": mujoco.missing,
    "mujoco-differences": mujoco.differences,
    "mujoco-commands": mujoco.commands,
    "mujoco-files": mujoco.files,
    "gymnasium-finding": gymnasium.finding,
    "gymnasium-returns": gymnasium.returns,
    "gymnasium-missing": gymnasium.missing,
    "gymnasium-families": gymnasium.families,
    "gymnasium-commands": gymnasium.commands,
    "within_episode-finding": within_episode.finding,
    "within_episode-returns": within_episode.returns,
    "within_episode-derk": within_episode.derk,
    "update_ratio-finding": update_ratio.finding,
    "update_ratio-returns": update_ratio.returns,
    "speed-finding": speed.finding,
    "speed-machine": speed.machine,
    "speed-collection": speed.collection,
    "speed-evaluation": speed.evaluation,
    "speed-updates": speed.updates,
    "speed-busy": speed.busy,
    "speed-simulator": speed.simulator,
}
_STYLES = ("known_styles", "new_styles")

FIGURES: Mapping[str, Plot] = {
    "images/blind_adaptation.png": partial(
        adaptation.family,
        name="blind_loadouts",
        splits=("test",),
        title="The agent must find out which item is in which slot",
    ),
    "results/bounties.png": partial(
        adaptation.family,
        name="bounties",
        splits=("mixtures", "corners"),
        title="The agent must find out which events are rewarded",
    ),
    "results/opponents.png": partial(
        adaptation.family, name="opponents", splits=_STYLES, title="The agent must find out how its opponent fights"
    ),
    "results/sentinels.png": partial(
        adaptation.family,
        name="sentinels",
        splits=("known_styles",),
        title="The agent must find out which of two opponents it meets",
    ),
    "results/loadouts.png": partial(
        adaptation.family, name="loadouts", splits=("test",), title="Knowing the opponent's items helps nothing"
    ),
    "results/families.png": adaptation.overview,
    "results/ablations.png": ablations.plot,
    "results/agent.png": adaptation.packaged_agent,
    "results/point_robot.png": point_robot.plot,
    "results/mujoco.png": mujoco.plot,
    "results/gymnasium.png": gymnasium.plot,
    "results/within_episode.png": within_episode.plot,
    "results/update_ratio.png": update_ratio.plot,
    "results/speed.png": speed.plot,
}
