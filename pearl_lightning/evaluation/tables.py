"""Results of evaluations as text: tables for the terminal, and a sentence with the main result."""

from __future__ import annotations

from collections.abc import Mapping

from pearl_lightning.evaluation.result import AdaptationTable
from pearl_lightning.evaluation.statistics import Interval, Lead


def format_table(table: AdaptationTable) -> str:
    """Format an adaptation table as aligned text."""
    first = table.episodes[0]
    head = f"{'episode':>7}  {'return':>9}  {'95 % interval':>20}  {'IQM':>9}" + "".join(
        f"  {rate}" for rate in first.rates
    )
    lines = [head + "".join(f"  {name.replace('_', ' '):>13}" for name in first.statistics)]
    for row in table.episodes:
        interval = f"[{row.return_low:.2f}, {row.return_high:.2f}]"
        line = f"{row.episode:>7}  {row.return_mean:>9.2f}  {interval:>20}  {row.return_iqm:>9.2f}"
        line += "".join(f"  {rate.mean:>{len(name)}.1%}" for name, rate in row.rates.items())
        lines.append(line + "".join(f"  {row.statistics[name]:>13.2f}" for name in first.statistics))
    lines.append("gain, last minus first: " + format_interval(table.gain))
    for rate, gain in (("win rate", table.win_gain), ("success rate", table.success_gain)):
        lines[-1] += f", of the {rate} {format_interval(gain, '.1%')}" if gain is not None else ""
    if table.settled_after is not None:
        lines.append(f"the belief settles after {table.settled_after:.0f} transitions (median)")
    for kind, rows in table.kinds.items():
        wins = ", ".join(f"{row.win_rate:.0%}" for row in rows if row.win_rate is not None)
        successes = ", ".join(f"{row.success_rate:.0%}" for row in rows if row.success_rate is not None)
        returns = ", ".join(f"{row.return_mean:.2f}" for row in rows)
        rates = (f", won {wins}" if wins else "") + (f", success {successes}" if successes else "")
        lines.append(f"{kind}: return {returns}{rates}")
    lines.append(f"{table.tasks} tasks x {table.matches_per_task} matches, {table.env_steps} environment steps")
    if table.protocol == "pearl":
        lines.append("protocol pearl: the episodes before the last one explore with z from the prior")
    return "\n".join(lines)


def adaptation_sentence(table: AdaptationTable, hidden: str = "") -> str:
    """Return a sentence with the main result of a table: the change of the return by adaptation.

    Args:
        table: Adaptation table.
        hidden: Description of what the tasks hide, as in ``TaskDistribution.hidden``.
    """
    first, last = table.episodes[0], table.episodes[-1]
    number = "one episode" if last.episode == 1 else f"{last.episode} episodes"
    sentence = f"The agent does not observe {hidden}. " if hidden else ""
    if last.episode == 0:
        return f"{sentence}It played one episode per task, so adaptation was not measured."
    sentence += f"After {number} of a task, its return "
    if not table.gain.low > 0:  # also if the interval is unknown
        return f"{sentence}does not rise measurably: from {first.return_mean:.2f} to {last.return_mean:.2f}."
    sentence += f"rises from {first.return_mean:.2f} to {last.return_mean:.2f}"
    if table.win_gain is not None and table.win_gain.low > 0:
        sentence += f", and it wins {last.win_rate:.0%} of its matches instead of {first.win_rate:.0%}"
    if table.success_gain is not None and table.success_gain.low > 0:
        sentence += f", and {last.success_rate:.0%} of its episodes succeed instead of {first.success_rate:.0%}"
    return f"{sentence}."


def format_comparison(lead: Lead) -> str:
    """Format the result of ``compare``."""
    text = f"return {format_interval(lead.returns, '+.2f')}"
    for name, rate in (("win rate", lead.win_rate), ("success rate", lead.success_rate)):
        text += f", {name} {format_interval(rate, '+.1%')}" if rate is not None else ""
    return text


def format_interval(interval: Interval, form: str = ".2f") -> str:
    """Format a mean and its interval; ``form`` is the format of each number."""
    return f"{interval.mean:{form}} [{interval.low:{form}}, {interval.high:{form}}]"


def format_side_by_side(tables: Mapping[str, AdaptationTable]) -> str:
    """Format the returns (and win and success rates) of several tables by episode, one column per table."""
    lines = [f"{'episode':>7}" + "".join(f"  {name:>28}" for name in tables)]
    for episode, rows in enumerate(zip(*(table.episodes for table in tables.values()), strict=True)):
        cells = []
        for row in rows:
            wins = f" wins {row.win_rate:.1%}" if row.win_rate is not None else ""
            successes = f" succeeds {row.success_rate:.1%}" if row.success_rate is not None else ""
            cells.append(f"{format_interval(row.returns)}{wins}{successes}")
        lines.append(f"{episode:>7}" + "".join(f"  {cell:>28}" for cell in cells))
    return "\n".join(lines)
