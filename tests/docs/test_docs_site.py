"""The site builds without a warning, fetches nothing from elsewhere, and its generated pages match the code."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import api_pages
import command_help
import config_options
import derk_tables
import pytest
import yaml
from doc_blocks import ROOT
from pearl_processes import without_coverage

from pearl_lightning.agents.pearl import PEARL
from pearl_lightning.cli import main
from pearl_lightning.derk import interface
from pearl_lightning.envs.point_robot import GoalTasks
from pearl_lightning.inference.belief import BeliefConfig
from pearl_lightning.inference.context import ContextLayout

pytestmark = [pytest.mark.no_cover, pytest.mark.slow]


def rows(markdown: str) -> list[list[str]]:
    """The cells of every row of every table, without the heads."""
    lines = [line for line in markdown.splitlines() if line.startswith("| ")]
    cells = [[cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for row, following in zip(cells, [*cells[1:], [""]], strict=True) if "---" not in row + following]


class Fetched(HTMLParser):
    """Collects what a browser fetches to show a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in ("script", "img", "iframe", "video", "source"):
            self.addresses.append(given.get("src") or "")
        if tag == "link" and given.get("rel") not in ("canonical", "prev", "next"):
            self.addresses.append(given.get("href") or "")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, env=without_coverage(), text=True, capture_output=True, timeout=250)
    assert built.returncode == 0, built.stderr
    assert "WARNING -" not in built.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    for page in (ROOT / "docs").rglob("*.md"):
        path = page.relative_to(ROOT / "docs").with_suffix(".html")
        path = path.with_name("index.html") if path.stem == "README" else path
        assert (site / path).is_file(), path


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        parser = Fetched()
        parser.feed(page.read_text())
        assert parser.addresses
        assert not [address for address in parser.addresses if re.match(r"(https?:)?//", address)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import\s+)[\"']?(https?:)?//", sheet.read_text()), sheet


def test_marks_for_tests_are_not_shown_and_titles_are(site: Path) -> None:
    text = (site / "guides" / "python.html").read_text()
    assert "no-run" not in text
    assert "boat.py" in (site / "guides" / "custom_environment.html").read_text()


def test_links_to_files_outside_of_docs_lead_to_their_text(site: Path) -> None:
    text = (site / "guides" / "sweeps.html").read_text()
    (target,) = re.findall(r'href="([^"]*examples/sweep\.py[^"]*)"', text)
    shown = (site / "guides" / target).resolve().read_text()
    assert "suggest_float" in shown


def test_the_notebook_is_a_page_with_its_figures_and_its_match(site: Path) -> None:
    text = (site / "index.html").read_text()
    (target,) = re.findall(r'href="((?!https:)[^"]*examples/quickstart\.ipynb[^"]*)"', text)
    shown = (site / target).read_text()
    notebook = json.loads((ROOT / "examples" / "quickstart.ipynb").read_text(encoding="utf-8"))
    data = [output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", [])]
    figures = [each["image/png"].strip() for each in data if "image/png" in each]
    assert len(figures) == 3
    assert re.findall(r'src="data:image/png;base64,([^"]+)"', shown) == figures
    (match,) = ["".join(each["text/html"]) for each in data if "text/html" in each]
    assert match in shown
    assert "seed_everything" in shown


def test_settings_link_to_the_reference(site: Path) -> None:
    text = (site / "reference" / "settings.html").read_text()
    assert 'href="api/pearl_lightning.agents.html#pearl_lightning.agents.pearl.PEARL"' in text


def test_the_tables_of_derk_are_those_of_the_interface() -> None:
    assert [row[1] for row in rows(derk_tables.observations())] == list(interface.OBSERVATION_KEYS)
    assert all(row[2] for row in rows(derk_tables.observations()))
    assert [row[1:] for row in rows(derk_tables.actions())] == [
        ["MoveX", "[-1, 1]"],
        ["Rotate", "[-1, 1]"],
        ["ChaseFocus", "[0, 1]"],
        ["CastingSlot", "0 to 3"],
        ["ChangeFocus", "0 to 7"],
    ]
    assert [row[1] for row in rows(derk_tables.items())] == list(interface.ITEMS)
    weights = {row[0]: (float(row[2]), float(row[3])) for row in rows(derk_tables.bounties())}
    assert list(weights) == list(interface.BOUNTY_KEYS)
    assert {name: w[0] for name, w in weights.items() if w[0]} == interface.DEFAULT_BOUNTIES
    assert {name: w[1] for name, w in weights.items() if w[1]} == interface.SHAPED_BOUNTIES
    page = derk_tables.page()
    assert all(derk_tables.choices(each) in page for each in (interface.CASTING_SLOT, interface.CHANGE_FOCUS))


def every_class() -> list[type]:
    return [cls for _, _, base in config_options.GROUPS for cls in config_options.classes(base)]


@pytest.mark.parametrize("cls", [*every_class(), *config_options.BACKENDS], ids=lambda cls: cls.__name__)
def test_every_setting_has_a_meaning_and_a_type(cls: type) -> None:
    for setting in config_options.settings(cls):
        assert setting.meaning, setting.name
        assert setting.type != "<class 'inspect._empty'>", setting.name


def named_in(content: Any) -> list[tuple[str, set[str]]]:
    """The classes in a config that it names without a module, with the settings that it gives them."""
    found = []
    if isinstance(content, dict):
        if "class_path" in content and "." not in content["class_path"]:
            found.append((content["class_path"], set(content.get("init_args") or {})))
        found += [each for value in content.values() for each in named_in(value)]
    if isinstance(content, list):
        found += [each for value in content for each in named_in(value)]
    return found


def test_every_setting_of_the_ready_made_configs_is_on_the_page() -> None:
    documented = {cls.__name__: {s.name for s in config_options.settings(cls)} for cls in every_class()}
    checked = set()
    for path in (ROOT / "configs").rglob("*.yaml"):
        content = yaml.safe_load(path.read_text())
        assert set(content) <= set(config_options.TOP_LEVEL), path
        for name, given in named_in(content):
            if name == "Adam":  # torch's, not the library's
                continue
            assert given <= documented[name], (path, name)
            checked.add(name)
    assert {"DerkEnv", "GoalTasks", "MeanEncoder", "ValueSAC"} <= checked


def test_the_name_of_a_class_on_the_page_is_unique() -> None:
    classes = every_class()
    assert len({cls.__name__ for cls in classes}) == len(set(classes))


def test_defaults_are_written_as_a_config_would() -> None:
    pearl = {s.name: s.default for s in config_options.settings(PEARL)}
    assert (pearl["kl_weight"], pearl["encoder"]) == ("`0.1`", "`GaussianProductEncoder`")
    assert pearl["observation_features"] == "filled in"
    assert {s.name: s.default for s in config_options.settings(BeliefConfig)}["resample_every"] == "`null`"
    assert {s.name: s.default for s in config_options.settings(ContextLayout)}["next_observation"] == "`false`"


def test_types_are_spelled_out() -> None:
    assert {s.name: s.type for s in config_options.settings(GoalTasks)}["goals"] == "Literal['square', 'half_circle']"


def test_the_reference_holds_every_public_module_once() -> None:
    package = ROOT / "pearl_lightning"
    files = [*package.rglob("*.py"), *(package / "callbacks").rglob("*.py")]
    modules = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files}
    listed = re.findall(r"^::: (\S+)$", "\n".join(api_pages.pages().values()), flags=re.MULTILINE)
    assert sorted(listed) == sorted(modules - {"pearl_lightning.__main__"})


def test_the_commands_page_holds_every_command_and_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    page = command_help.page()
    assert main(["--help"]) == 0
    listed = re.findall(r"^  ([\w-]+) ", capsys.readouterr().out, flags=re.MULTILINE)
    assert {"evaluate", "watch", "doctor"} <= set(listed)
    sections = dict(re.findall(r"^## pearl ([\w-]+)\n(.*?)(?=^## |\Z)", page, flags=re.MULTILINE | re.DOTALL))
    assert set(sections) == set(listed) - {"fit", "validate", "test"}
    assert all("usage:" in section.lower() for section in sections.values())
    assert "--wrong_context" in sections["evaluate"]


def messages() -> list[str]:
    """Every text of the library and of the tests of its errors, with ``…`` where a value is put in."""
    texts = []
    files = [*(ROOT / "pearl_lightning").rglob("*.py"), *(ROOT / "callbacks").glob("*.py")]
    for path in [*files, ROOT / "tests" / "cli" / "test_errors.py"]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = [part.value if isinstance(part, ast.Constant) else "…" for part in node.values]
                texts.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
    return texts


def test_the_error_messages_explained_are_those_of_the_code() -> None:
    explained = re.findall(r"^### `(.*)`$", (ROOT / "docs" / "faq.md").read_text(), flags=re.MULTILINE)
    assert len(explained) > 25
    known = messages()
    for message in explained:
        pattern = re.compile(".*".join(re.escape(part.strip()) for part in message.split("…")), flags=re.DOTALL)
        assert any(pattern.search(text) for text in known), message
