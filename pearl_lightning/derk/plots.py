"""Figures of leagues."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from pearl_lightning.derk.league import CrossTable


def plot_cross_table(table: CrossTable) -> Figure:
    """Points per match of each player (row) at home against each other (column), strongest first."""
    elo = table.elo()
    order = np.argsort(-elo)
    size = 2.0 + 0.5 * len(order)
    figure = Figure(figsize=(size + 1, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(table.scores[np.ix_(order, order)], vmin=0, vmax=1, cmap="RdYlGn")
    for row, player in enumerate(order):
        for column, other in enumerate(order):
            if player != other:
                axes.text(column, row, f"{table.scores[player, other]:.2f}", ha="center", va="center", fontsize=8)
    axes.set_yticks(range(len(order)), [f"{table.names[player]}  {elo[player]:.0f}" for player in order])
    axes.set_xticks(range(len(order)), [table.names[player] for player in order], rotation=45, ha="right")
    axes.set_title("points per match at home; Elo", fontsize=10)
    return figure
