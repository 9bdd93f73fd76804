"""The notebook runs from top to bottom, shows what it promises, and is stored as it was executed."""

from __future__ import annotations

import base64
import importlib.util
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from packaging.requirements import Requirement
from PIL import Image

from benchmarks import notebook as stored_notebook
from pearl_lightning import GoalTasks, PointRobot, evaluate_adaptation, load_agent, shipped_agent
from pearl_lightning.derk.env import DerkEnv
from pearl_lightning.derk.tasks import OpponentTasks
from pearl_lightning.derk.watching import record_adaptation

pytestmark = [pytest.mark.no_cover, pytest.mark.slow, pytest.mark.timeout(900)]

SHORT = 5  # updates
PROBE = """
from pearl_lightning.progress_bar import redraws_lines
trainer.save_checkpoint({!r})
print(redraws_lines())
"""


@pytest.fixture(scope="module")
def stored() -> NotebookNode:
    return stored_notebook.read()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Folders in which the notebook runs and the tests store its agent."""
    return tmp_path_factory.mktemp("empty"), tmp_path_factory.mktemp("agent")


@pytest.fixture(scope="module")
def executed(folders: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    """The notebook after a short training; a cell at its end stores the agent and probes the output of cells."""
    short = stored_notebook.read()
    [parameters] = [cell for cell in short.cells if "parameters" in cell.metadata.get("tags", [])]
    parameters.source = re.sub(r"updates = \d+", f"updates = {SHORT}", parameters.source)
    short.cells.append(new_code_cell(PROBE.format(str(folders[1] / "agent.ckpt"))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))  # no start-up files and history of the user
        patch.setenv("JUPYTER_DATA_DIR", str(tmp_path_factory.mktemp("jupyter")))  # this Python's kernel
        stored_notebook.execute(short, folders[0])
    return short


def outputs(notebook: NotebookNode, kind: str) -> list[str]:
    """All outputs of a media type, or of a stream (``stdout``, ``stderr``), in order."""
    each = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [o.text if "text" in o else o.data[kind] for o in each if kind in (o.get("name"), *o.get("data", {}))]


def pictures(notebook: NotebookNode) -> list[Image.Image]:
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in outputs(notebook, "image/png")]


def shown_match(notebook: NotebookNode) -> dict[str, Any]:
    """The data of the match page in the notebook's only HTML output."""
    pages: list[str] = []

    class Frames(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag == "iframe":
                pages.append(dict(attrs)["srcdoc"] or "")

    [html] = outputs(notebook, "text/html")
    Frames().feed(html)
    [page] = pages
    found = re.search(r"^const match = (.*);$", page, re.MULTILINE)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def kinds(cell: NotebookNode) -> list[set[str]]:
    """The media types of each output of a cell, or its stream; without stderr, which depends on the machine."""
    each = [set(output.get("data", [output.get("name")])) for output in cell.get("outputs", [])]
    return [kind for kind in each if kind != {"stderr"}]


def rows(notebook: NotebookNode) -> list[list[float]]:
    """Per episode of the printed table: number, mean return, its interval, and its interquartile mean."""
    number = r"(-?\d+\.\d+)"
    pattern = rf"^ +(\d+) +{number} +\[{number}, {number}\] +{number}$"
    [table] = [text for text in outputs(notebook, "stdout") if "95 % interval" in text]
    return [[float(cell) for cell in row] for row in re.findall(pattern, table, re.MULTILINE)]


def test_every_cell_runs_and_no_file_is_left(executed: NotebookNode, folders: tuple[Path, Path]) -> None:
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert list(folders[0].iterdir()) == []


def test_the_table_holds_the_numbers_of_an_evaluation_of_the_same_agent(
    executed: NotebookNode, folders: tuple[Path, Path]
) -> None:
    agent = load_agent(folders[1] / "agent.ckpt")
    env = PointRobot(arenas=50, tasks=GoalTasks(train_tasks=100, test_tasks=20))
    result = evaluate_adaptation(env, agent, env.tasks.test_indices, episodes=3, matches=4, deterministic=False)
    expected = [
        [row.episode, row.return_mean, row.return_low, row.return_high, row.return_iqm]
        for row in result.table().episodes
    ]
    np.testing.assert_allclose(rows(executed), expected, atol=0.0051)


def test_the_figures_and_the_match_are_in_the_outputs(executed: NotebookNode) -> None:
    adaptation, belief, animation = pictures(executed)
    assert (adaptation.format, belief.format, animation.format) == ("PNG", "PNG", "GIF")
    assert len(outputs(executed, "image/png")) == 3  # each figure once
    for figure in (adaptation, belief):
        assert len(np.unique(np.asarray(figure.convert("L")))) > 20
    env = DerkEnv(arenas=1, tasks=OpponentTasks(), count_events=True)
    records = record_adaptation(env, shipped_agent(), env.tasks.splits["known_styles"][8], episodes=3, seed=0)
    env.close()
    shown = [episode["returns"] for episode in shown_match(executed)["episodes"]]
    np.testing.assert_allclose(shown, [record.returns for record in records], atol=0.001)
    frames = sum(len(range(0, len(record.states["hitpoints"]), 2)) for record in records)
    assert frames / 2 < animation.n_frames <= frames  # equal ones are joined


def test_the_progress_bar_is_redrawn_in_a_cell_and_ends_on_one_line(executed: NotebookNode) -> None:
    assert outputs(executed, "stdout")[-1] == "True\n"
    bars = [line for line in "".join(outputs(executed, "stderr")).splitlines() if line.startswith("updates:")]
    assert len(bars) == 1
    assert f"| {SHORT}/{SHORT} [" in bars[0]


def test_the_stored_outputs_are_those_of_the_whole_training_and_of_the_stored_code(
    stored: NotebookNode, executed: NotebookNode
) -> None:
    hint = "execute it again: python -m benchmarks.notebook"
    assert stored.metadata[stored_notebook.EXECUTED] == stored_notebook.sources_digest(stored), hint
    for cell, again in zip(stored.cells, executed.cells[:-1], strict=True):
        assert cell.get("execution_count") == again.get("execution_count")
        assert kinds(cell) == kinds(again), cell.id
    assert re.fullmatch(r"updates: 100%.* 1000/1000 \[.*\n", "".join(outputs(stored, "stderr")))


def test_the_stored_agent_adapts(stored: NotebookNode) -> None:
    first, *_, last = rows(stored)
    assert first[3] < last[2]  # the intervals of the first and of the last episode do not meet
    episodes = shown_match(stored)["episodes"]
    own, other = np.transpose([episode["returns"] for episode in episodes])
    assert own[0] < other[0]
    assert own[-1] > other[-1]


def test_the_stored_file_is_small_and_names_no_place_of_a_machine() -> None:
    text = stored_notebook.NOTEBOOK.read_text(encoding="utf-8")
    assert len(text.encode()) < 1.5e6
    for place in ("site-packages", str(Path.home()), "/tmp/"):
        assert place not in text


@pytest.mark.parametrize("is_installed", [True, False])
def test_the_first_cell_installs_the_package_with_one_pip_line_if_it_is_missing(
    is_installed: bool, stored: NotebookNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = next(cell for cell in stored.cells if cell.cell_type == "code")
    magics: list[tuple[str, str]] = []

    class Shell:
        def run_line_magic(self, name: str, line: str) -> None:
            magics.append((name, line))

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object() if is_installed else None)
    exec(TransformerManager().transform_cell(cell.source), {"get_ipython": Shell})
    assert len(magics) == (0 if is_installed else 1)
    for name, line in magics:
        found = re.fullmatch(r'install -q "(.+)"', line)
        assert name == "pip"
        assert found
        assert Requirement(found[1]).name == "pearl-lightning"


def test_the_links_into_the_repository_exist(stored: NotebookNode) -> None:
    text = "\n".join(cell.source for cell in stored.cells if cell.cell_type == "markdown")
    linked = re.findall(r"/pearl-lightning/blob/main/([\w./-]+)\)", text)
    root = Path(__file__).parents[1]
    assert linked
    assert not [path for path in linked if not (root / path).is_file()]
