"""The model card of an agent on the Hugging Face Hub: metadata, adaptation table, and how to use the agent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from pearl_lightning import __version__
from pearl_lightning.hub import CHECKPOINT

if TYPE_CHECKING:
    from pearl_lightning.evaluation import AdaptationTable

_FILES = {
    "agent.ckpt": "weights and hyperparameters; loads with `torch.load(weights_only=True)`",
    "agent.yaml": "the environment, and whether the policy plays its mode or samples",
    "config.yaml": "all settings of the training, for `pearl fit --config config.yaml`",
    "tasks.json": "the tasks of all splits",
    "adaptation.json": "the results above",
}


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """Content of a model card.

    Args:
        repo: Repository, ``OWNER/NAME``.
        agent: Name of the agent's class.
        env: Name of the environment's class.
        tasks: Name of the tasks' class.
        hidden: Description of what the tasks hide, as in ``TaskDistribution.hidden``.
        updates: Number of updates of the training.
        split: Split of tasks in the results.
        table: Results.
        has_clip: Whether there is an ``adaptation.gif``.
        foreign: Text in the settings that ``hf://`` refuses; None if there is none.
        license: License of the agent, by its name on the Hub; None if it is not known.
    """

    repo: str
    agent: str
    env: str
    tasks: str
    hidden: str
    updates: int
    split: str
    table: AdaptationTable
    has_clip: bool
    foreign: str | None
    license: str | None

    def markdown(self) -> str:
        """Return the card as Markdown with YAML metadata."""
        from pearl_lightning.evaluation import adaptation_sentence

        head = yaml.safe_dump(self.metadata(), sort_keys=False, allow_unicode=True)
        sections = [
            f"---\n{head}---\n\n# {self._name}",
            adaptation_sentence(self.table, self.hidden),
            self._facts(),
            f"## Adaptation\n\n{self._adaptation()}",
            *(["![An adaptation to one task](adaptation.gif)"] if self.has_clip else []),
            f"## Use\n\n{self._use()}",
            "## Files\n\n" + _table(["file", "content"], [[f"`{file}`", text] for file, text in _FILES.items()]),
        ]
        return "\n\n".join(sections) + "\n"

    def metadata(self) -> dict[str, Any]:
        """Return the metadata that the Hub reads, with the returns in the format of Papers with Code."""
        numbers = [("mean_reward", f"return, episode {row.episode}", row.return_mean) for row in self.table.episodes]
        numbers += [("adaptation_gain", "gain, last minus first", self.table.gain.mean)]
        metrics = [
            {"type": kind, "name": name, "value": round(value, 4)}
            for kind, name, value in numbers
            if math.isfinite(value)
        ]
        result = {
            "task": {"type": "reinforcement-learning", "name": "meta-reinforcement learning"},
            "dataset": {"type": self.env, "name": f"{self.env}, {self.tasks}, {self.split}"},
            "metrics": metrics,
        }
        return {
            "library_name": "pearl-lightning",
            **({"license": self.license} if self.license else {}),
            "pipeline_tag": "reinforcement-learning",
            "tags": ["reinforcement-learning", "meta-reinforcement-learning", "pearl", self.env],
            "model-index": [{"name": self._name, "results": [result]}],
        }

    @property
    def _name(self) -> str:
        return self.repo.partition("/")[2]

    def _facts(self) -> str:
        rows = [["agent", self.agent], ["environment", self.env], ["tasks", self.tasks]]
        rows += [["updates", str(self.updates)], ["trained with", f"pearl-lightning {__version__}"]]
        return _table(["", ""], rows)

    def _adaptation(self) -> str:
        from pearl_lightning.evaluation.tables import format_interval

        table = self.table
        rates = list(table.episodes[0].rates)
        rows = [
            [str(row.episode), f"{row.return_mean:.2f}", f"[{row.return_low:.2f}, {row.return_high:.2f}]"]
            + [f"{row.return_iqm:.2f}", *(f"{row.rates[rate].mean:.1%}" for rate in rates)]
            for row in table.episodes
        ]
        lines = [
            f"Split `{self.split}`: {table.tasks} tasks, {table.matches_per_task} adaptations per task, protocol "
            f"`{table.protocol}`. Episode 0 starts from the prior.",
            _table(["episode", "return", "95 % interval", "IQM", *rates], rows),
            f"Gain, last minus first: {format_interval(table.gain)}.",
        ]
        return "\n\n".join(lines)

    def _use(self) -> str:
        name = f"hf://{self.repo}"
        lines = ["pip install 'pearl-lightning[hub]'"]
        if self.foreign is not None:
            name = f"{self._name}/{CHECKPOINT}"
            lines.append(f"hf download {self.repo} --local-dir {self._name}")
        lines.append(f"pearl evaluate {name}")
        lines += [f"pearl watch {name} --out adaptation.gif"] if self.has_clip else []
        shell = "\n".join(lines)
        python = f'from pearl_lightning import load_agent\n\nagent = load_agent("{name}")'
        warning = f"The settings contain `{self.foreign}`, which is code outside of pearl-lightning.\n\n"
        return f"{warning if self.foreign else ''}```sh\n{shell}\n```\n\n```python\n{python}\n```"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
