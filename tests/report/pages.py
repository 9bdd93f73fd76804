"""Strict reader of pages, which must close every element in order; and folders of runs without training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import yaml

from pearl_lightning.report import make_page, read_run

VOID = {"meta", "br", "hr", "link", "img", "input"}
CONFIG: dict[str, Any] = {
    "seed_everything": 3,
    "trainer": {"max_steps": 30, "default_root_dir": "runs/a", "logger": [{"class_path": "L", "init_args": {"x": 1}}]},
    "model": {
        "class_path": "pearl_lightning.agents.pearl.PEARL",
        "init_args": {"sac": {"discount": 0.9}, "encoder": {"class_path": "e.GaussianProductEncoder"}},
    },
    "data": {
        "class_path": "pearl_lightning.experience.data.MetaBatchDataModule",
        "init_args": {
            "env": {
                "class_path": "pearl_lightning.envs.point_robot.PointRobot",
                "init_args": {"arenas": 4, "tasks": {"class_path": "t.GoalTasks", "init_args": {"train_tasks": 4}}},
            }
        },
    },
    "name": "a",
}
METRICS = """step,env_steps,epoch,evaluation/gain,evaluation/return_0,evaluation/return_1,collect/iterations,loss/critic
0,0.0,,1.5,-20.25,-18.75,,
0,240.0,,,,,1.0,
9,240.0,0,,,,,0.5
9,480.0,,,,,2.0,
9,480.0,0,6.125,-16.5,-10.375,,
19,480.0,0,,,,,0.25
29,480.0,1,,,,,0.125
29,480.0,1,7.5,-15.0625,-7.5625,,
"""


@dataclass
class Element:
    """An element of a page."""

    tag: str
    attributes: dict[str, str | None] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def text(self) -> str:
        """The text as a browser shows it: any whitespace is one space."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> Iterator[str]:
        for child in self.children:
            if isinstance(child, str):
                yield child
            else:
                yield from child._texts()

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Every element below of a tag, with these attributes; ``class_`` is the class."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [e for e in self.elements() if e.tag == tag and wanted.items() <= e.attributes.items()]

    def one(self, tag: str, **attributes: str) -> Element:
        (found,) = self.all(tag, **attributes)
        return found

    def elements(self) -> Iterator[Element]:
        for child in self.children:
            if isinstance(child, Element):
                yield child
                yield from child.elements()

    def rows(self) -> list[list[str]]:
        """Texts of the cells of a table's body."""
        return [
            [cell.text() for cell in row.children if isinstance(cell, Element)] for row in self.one("tbody").all("tr")
        ]

    def numbers(self) -> list[float]:
        """Exact values of all numbers below."""
        return [float(str(element.attributes["value"])) for element in self.all("data")]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("page")]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute of <{tag}> comes twice: {names}"
        element = Element(tag, dict(attrs))
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().tag == tag, f"</{tag}> closes something else"

    def handle_data(self, data: str) -> None:
        self.open[-1].children.append(data)


def read_page(text: str) -> Element:
    """The page as a tree; an assertion fails if an element is not closed, or closed out of order."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert [element.tag for element in reader.open] == ["page"]
    return reader.open[0]


def adaptation_table(returns: list[float], wins: list[float] | None = None) -> dict[str, Any]:
    """A table as an evaluation writes it, with intervals one to either side."""
    rows = [
        {"episode": i, "return_mean": r, "return_iqm": r + 0.25, "return_low": r - 1, "return_high": r + 1}
        | ({} if wins is None else {"win_rate": wins[i], "win_low": wins[i] - 0.1, "win_high": wins[i] + 0.1})
        for i, r in enumerate(returns)
    ]
    gain = returns[-1] - returns[0]
    gains = {"gain": {"mean": gain, "low": gain - 0.5, "high": gain + 0.5}}
    return {"tasks": 2, "matches_per_task": 4, "env_steps": 320, "episodes": rows, **gains}


def write_run(
    folder: Path,
    *,
    config: dict[str, Any] | None = CONFIG,
    metrics: str | None = METRICS,
    summary: dict[str, Any] | None = None,
    history: list[dict[str, Any]] | None = None,
) -> Path:
    """A run's folder with these files."""
    folder.mkdir(parents=True)
    if config is not None:
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
    if metrics is not None:
        (folder / "metrics.csv").write_text(metrics)
    if summary is not None:
        (folder / "summary.json").write_text(json.dumps(summary))
    if history is not None:
        (folder / "adaptation.json").write_text(json.dumps({"history": history}))
    return folder


HISTORY = [
    {"update": 0, "env_steps": 0, "table": adaptation_table([-20.25, -18.75])},
    {"update": 10, "env_steps": 480, "table": adaptation_table([-16.5, -10.375])},
    {"update": 30, "env_steps": 480, "table": adaptation_table([-15.0625, -7.5625])},
]
SUMMARY = {
    "updates": 30,
    "env_steps": 480,
    "renderer": "pencil",
    "seconds": 100.0,
    "seconds_by_part": {"collection": 20.0, "evaluation": 30.0, "checkpoints": 0.0, "updates": 50.0},
    "versions": {"torch": "2.99"},
    "hardware": {"processor": "abacus"},
}
NASTY = """<script>alert("1")</script> & 'x' </style>"""


def page_of(*folders: Path) -> Element:
    """The page about these runs."""
    return read_page(make_page([read_run(folder) for folder in folders]))


def section(page: Element, metric: str) -> Element:
    """The section of a metric."""
    return page.one("section", class_="metric", data_metric=metric)
