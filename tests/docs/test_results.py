"""Results in the documentation are those of the data files, and the data files are described."""

from __future__ import annotations

import csv
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from doc_blocks import ROOT

from benchmarks.pages import __main__ as pages
from benchmarks.pages import blocks, figures
from benchmarks.pages.registry import BUILDERS, FIGURES

DATA = ROOT / blocks.DATA
RESULTS = sorted((ROOT / "docs" / "results").glob("*.md"))
GENERATED = re.compile(r"^<!-- generated: (\S+) ?(.*) -->$", flags=re.MULTILINE)


@pytest.fixture(scope="module")
def rebuilt() -> dict[Path, str]:
    return blocks.rebuilt(ROOT, BUILDERS)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The README, the pages and the data in a folder of their own."""
    shutil.copy(ROOT / "README.md", tmp_path)
    shutil.copytree(ROOT / "docs", tmp_path / "docs", ignore=shutil.ignore_patterns("*.py", "__pycache__", "*.gif"))
    return tmp_path


def stale(root: Path) -> set[str]:
    """Names of the pages that differ from the data."""
    texts = blocks.rebuilt(root, BUILDERS)
    return {path.name for path, text in texts.items() if text != path.read_text(encoding="utf-8")}


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_no_page_is_stale(rebuilt: dict[Path, str]) -> None:
    assert {ROOT / "README.md", *RESULTS} <= rebuilt.keys()
    for path, text in rebuilt.items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: run python -m benchmarks.pages"


@pytest.mark.parametrize("name", FIGURES)
def test_no_figure_is_stale(name: str) -> None:
    found = figures.written_digest(ROOT / "docs" / name)
    assert found == figures.digest(FIGURES[name](DATA)), f"{name}: run python -m benchmarks.pages"


@pytest.mark.parametrize(
    ("file", "old", "new", "shown_on"),
    [
        ("bounties_sides.csv", "2.56", "2.57", {"bounties.md"}),
        ("derk_parity.csv", "99.997", "99.998", {"derk.md"}),
        ("environments.json", "17253.", "17353.", {"mujoco.md"}),
        ("gym_pendulum-seed1.csv", "-539.1854", "-539.2854", {"gymnasium.md"}),
        ("families.json", "12.145914528518915", "12.245914528518915", {"README.md", "families.md", "loadouts.md"}),
    ],
)
def test_another_number_in_the_data_makes_its_pages_stale(
    copy: Path, file: str, old: str, new: str, shown_on: set[str]
) -> None:
    assert not stale(copy)
    replace(copy / blocks.DATA / file, old, new)
    assert stale(copy) == shown_on


def test_another_number_on_a_page_makes_it_stale_and_the_command_restores_it(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = copy / "docs" / "results" / "sentinels.md"
    replace(page, "| 14.60 |", "| 14.61 |")
    assert stale(copy) == {"sentinels.md"}
    pages.main(["--root", str(copy)])
    assert capsys.readouterr().out == f"Wrote {page}\n"
    assert page.read_text(encoding="utf-8") == (ROOT / "docs" / "results" / "sentinels.md").read_text(encoding="utf-8")


def test_another_number_in_the_data_makes_its_figure_stale(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replace(copy / blocks.DATA / "agent.csv", "13.45", "13.55")  # the end of an interval
    pages.main(["--root", str(copy)])
    docs = copy / "docs" / "results"
    assert capsys.readouterr().out.splitlines() == [f"Wrote {docs / 'agent.md'}", f"Wrote {docs / 'agent.png'}"]


@pytest.mark.parametrize("page", RESULTS, ids=lambda page: page.stem)
def test_a_results_page_has_its_parts_in_order(page: Path) -> None:
    text = GENERATED.sub("", page.read_text(encoding="utf-8")).replace("<!-- end -->", "")
    shown, begin, details = text.partition("\n## Details\n")
    top, reproduce, commands = shown.partition("\n## How to reproduce\n")
    assert begin, "the page must have details"
    assert "```sh\n" in commands
    title, finding, figure, first_row, *_ = [part for part in top.split("\n\n") if part.strip()]
    assert re.fullmatch(r"# [^\n]+", title.strip())
    assert finding.strip().endswith(".")
    assert len(re.findall(r"[.!?](?:\s|$)", finding.strip())) == 1
    assert re.search(r"\d", finding) is None or f"{page.stem}-finding" in page.read_text(encoding="utf-8")
    assert re.fullmatch(r"!\[[^\]]+\]\([^)]+\.png\)", figure.strip())
    assert first_row.strip().startswith("| ")
    assert len(re.findall(r"^\| --- ", shown, flags=re.MULTILINE)) == 1
    outside = re.sub(r'<details markdown="1"><summary>[^\n]+</summary>\n\n.*?\n\n</details>\n', "", details, flags=re.S)
    assert not outside.strip()


def data_files() -> list[Path]:
    return sorted(path for path in DATA.rglob("*") if path.suffix in (".csv", ".json"))


def described() -> str:
    return (DATA / "README.md").read_text(encoding="utf-8")


def is_run(path: Path) -> bool:
    return "-seed" in path.stem


@pytest.mark.parametrize("path", data_files(), ids=lambda path: path.name)
def test_a_data_file_and_its_columns_are_described(path: Path) -> None:
    text = described()
    group = path.name.partition("_")[0]
    assert f"`{path.relative_to(DATA)}`" in text or (is_run(path) and re.search(rf"`{group}_\w+-seedK\.csv`", text))
    if path.suffix == ".json":
        return
    with path.open(newline="", encoding="utf-8") as file:
        columns = next(csv.reader(file))
    common = r"(return|won|after|success)_\d(_percent)?|return_\d+_updates|won_percent|\w+_(low|high)"
    for column in columns:
        own = re.sub(r"^(simulator|game)_", "", column) if path.stem == "agent" else column
        by_style = path.stem == "sentinels_scripted" and re.fullmatch(r"(return|won)_\w+", column)
        assert f"`{own}`" in text or re.fullmatch(common, own) or by_style, column


def test_every_described_file_exists() -> None:
    names = set(re.findall(r"^\| `([\w/]+\.(?:csv|json))`", described(), flags=re.MULTILINE))
    published = set(re.findall(r"`(published/\w+\.csv)`", described()))
    assert names | published == {str(path.relative_to(DATA)) for path in data_files() if not is_run(path)}


def test_every_file_of_a_table_is_on_a_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").rglob("*.md"))
    shown = {words for name, words in GENERATED.findall(text) if name == "csv"}
    if "within_episode-derk" in (name for name, _ in GENERATED.findall(text)):
        shown.add("within_derk")
    assert shown == {path.stem for path in DATA.glob("*.csv") if not is_run(path)}


def families() -> dict[tuple[str, str], Any]:
    entries = json.loads((DATA / "families.json").read_text(encoding="utf-8"))
    return {(entry["family"], entry["split"]): entry for entry in entries}


@pytest.mark.parametrize(("family", "split"), families(), ids=" ".join)
def test_the_numbers_of_a_split_are_those_of_its_results(family: str, split: str) -> None:
    entry = families()[family, split]
    rows = {cells[1].strip(): cells for cells in (line.split("|") for line in BUILDERS["agents"](DATA, family, split))}
    oracle = entry["tables"]["oracle"]
    expected = [row["return_mean"] for row in oracle["episodes"]] + [oracle["gain"][n] for n in ("mean", "low", "high")]
    if "win_gain" in oracle:
        expected += [100 * oracle["episodes"][index]["win_rate"] for index in (0, -1)]
        expected += [100 * oracle["win_gain"][name] for name in ("mean", "low", "high")]
    found = [float(each) for each in re.findall(r"-?\d+\.\d+", " ".join(rows["oracle"]))]
    assert found == pytest.approx(expected, abs=0.051)
    assert found[:6] == pytest.approx(expected[:6], abs=0.0051)
    leads = "\n".join(BUILDERS["leads"](DATA, family, split))
    lead = entry["headroom"]["pearl_over"]["ppo"]["return"]
    assert f"| PEARL minus PPO | {lead['mean']:+.2f} [{lead['low']:+.2f}, {lead['high']:+.2f}] |" in leads
    assert ("share of the first row" in leads) == (entry["headroom"]["share"] is not None)


def test_every_lead_of_the_ablations_is_in_the_table() -> None:
    table = BUILDERS["ablation-leads"](DATA)[2:]
    entries = json.loads((DATA / "ablations.json").read_text(encoding="utf-8"))
    leads = [lead["return"] for entry in entries for lead in entry["leads"].values()]
    found = [[float(number) for number in re.findall(r"[+-]\d+\.\d\d", line)] for line in table]
    assert found == [pytest.approx([lead[name] for name in ("mean", "low", "high")], abs=0.0051) for lead in leads]
