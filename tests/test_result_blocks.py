"""Generated blocks of pages: markers, tables of files, digests of figures, and the pages of training curves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from benchmarks.families import write_rows
from benchmarks.family_measures import seed_row
from benchmarks.pages import blocks, families, figures, gymnasium, mujoco, tables
from benchmarks.pages.families import by_kind
from benchmarks.published import read_published
from pearl_lightning.evaluation import AdaptationResult, AdaptationTable

ROOT = Path(__file__).parent.parent


def count(data: Path, *words: str) -> list[str]:
    """Builder that shows what it was given."""
    return [f"{data.name}: {len(words)} words"]


def test_only_what_is_between_markers_changes() -> None:
    text = "a\n<!-- generated: count x y -->\nold\n\nolder\n<!-- end -->\n b\n  <!-- generated: in-a-text -->\n"
    new = blocks.filled(text, Path("data"), {"count": count}, "page.md")
    expected = (
        "a\n<!-- generated: count x y -->\n\ndata: 2 words\n\n<!-- end -->\n b\n  <!-- generated: in-a-text -->\n"
    )
    assert new == expected
    assert blocks.filled(new, Path("data"), {"count": count}, "page.md") == new


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n<!-- generated: counts -->\n<!-- end -->\n", r"page\.md:2: a block must be one of count, csv, got counts"),
        ("<!-- generated: count -->\n", r"page\.md:1: the block count must end with <!-- end -->, but has no end"),
        ("<!-- generated: count -->\n<!-- generated: count -->\n<!-- end -->\n", r"page\.md:1: .* has no end"),
        ("<!-- generated: csv nothing -->\n<!-- end -->\n", r"page\.md:1: the block cannot be built: .*nothing\.csv"),
        ("<!-- generated: csv a b -->\n<!-- end -->\n", r"page\.md:1: the block cannot be built: TypeError"),
    ],
)
def test_a_wrong_marker_is_named_with_its_page_and_line(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        blocks.filled(text, tmp_path, {"count": count, "csv": tables.csv_table}, "page.md")


def test_the_names_of_columns_define_a_table(tmp_path: Path) -> None:
    head = "side,gain,gain_low,gain_high,won_2_percent,win_gain_points,env_steps,return_3000_updates,after_1"
    lines = [head, "home,2.30,1.5,3.14,89.5,9,512000,1.10,nan", "away,0.10,,,7,,999,-1,2"]
    (tmp_path / "sides.csv").write_text("\n".join(lines) + "\n")
    assert tables.csv_table(tmp_path, "sides") == [
        "| side | gain | won after 2 | win gain, points | env steps | return after 3,000 updates | after 1 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| home | 2.30 [1.5, 3.14] | 89.5 % | 9 | 512,000 | 1.10 | – |",
        "| away | 0.10 | 7 % | – | 999 | -1 | 2 |",
    ]
    (tmp_path / "empty.csv").write_text(head + "\n")
    with pytest.raises(ValueError, match=r"empty\.csv must have at least one row, but has none"):
        tables.csv_table(tmp_path, "empty")


def figure(label: str, *values: float, error: float = 0.1) -> Figure:
    drawn = Figure()
    axes = drawn.subplots()
    axes.errorbar(range(len(values)), values, error, label=label, capsize=2)
    return drawn


def test_a_digest_changes_with_values_intervals_and_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    assert figures.written_digest(path) == ""
    assert figures.write(figure("PEARL", 1.0, 2.0), path)
    assert not figures.write(figure("PEARL", 1.0, 2.0), path)
    assert figures.written_digest(path) == figures.digest(figure("PEARL", 1.0, 2.0))
    others = [figure("PEARL", 1.0, 2.001), figure("oracle", 1.0, 2.0), figure("PEARL", 1.0, 2.0, error=0.2)]
    assert len({figures.digest(each) for each in (*others, figure("PEARL", 1.0, 2.0))}) == 4
    assert figures.write(others[0], path)


def scores(kinds: tuple[str, ...], *returns: float) -> AdaptationTable:
    """The table of two tasks with one match of two episodes each; a positive return wins."""
    values, nothing = np.array(returns).reshape(2, 1, 2), np.zeros((2, 1, 2, 0))
    return AdaptationResult((5, 6), values, np.sign(values), nothing, nothing, 8, kinds=kinds).table()


def test_the_last_episode_is_shown_by_kind_of_task() -> None:
    kinds = ("sniper", "gang")
    assert by_kind({"pearl": scores(kinds, -1, 2, 3, 4), "random": scores(kinds, -5, -6, 0, 8)}) == [
        "| last episode | gang | sniper |",
        "| --- | --- | --- |",
        "| PEARL, first episode | 3.00, 100 % | -1.00, 0 % |",
        "| PEARL | 4.00, 100 % | 2.00, 100 % |",
        "| random actions | 8.00, 100 % | -6.00, 0 % |",
    ]
    assert not by_kind({"pearl": scores(("gang", "gang"), 1, 2, 3, 4)})


def test_every_kind_of_task_is_shown_in_every_episode(tmp_path: Path) -> None:
    entry = {"family": "a", "split": "b", "tables": {"pearl": scores(("sniper", "gang"), -1, 2, 3, 4).to_json()}}
    (tmp_path / "families.json").write_text(json.dumps([entry]))
    assert families.pearl_by_kind(tmp_path, "a", "b") == [
        "| kind | return after 0 | return after 1 | won after 0 | won after 1 |",
        "| --- | --- | --- | --- | --- |",
        "| gang | 3.0 | 4.0 | 100 % | 100 % |",
        "| sniper | -1.0 | 2.0 | 0 % | 100 % |",
    ]


@pytest.mark.parametrize("has_winner", [True, False])
def test_the_file_of_the_seeds_has_a_row_for_each_with_the_numbers_of_its_table(
    has_winner: bool, tmp_path: Path
) -> None:
    seeds = []
    for seed in range(2):
        returns, nothing = np.random.default_rng(seed).normal(size=(3, 4, 2)), np.zeros((3, 4, 2, 0))
        outcomes = np.sign(returns) if has_winner else None
        seeds.append(AdaptationResult((5, 6, 7), returns, outcomes, nothing, nothing, 8))
    entry = {"seeds": [seed_row("known_styles", "its own", seed, each) for seed, each in enumerate(seeds)]}
    write_rows(tmp_path / "a.csv", [entry])
    assert not entry
    for seed, (row, each) in enumerate(zip(tables.read_rows(tmp_path / "a.csv"), seeds, strict=True)):
        expected = each.table()
        assert [row[name] for name in ("test_tasks", "context", "seed")] == ["known styles", "its own", str(seed)]
        assert [row[f"return_{episode}"] for episode in range(2)] == [f"{e.return_mean:.2f}" for e in expected.episodes]
        gain = expected.gain
        assert [row[f"gain{end}"] for end in ("", "_low", "_high")] == [
            f"{number:.2f}" for number in (gain.mean, gain.low, gain.high)
        ]
        assert any(name.startswith("w") for name in row) == has_winner
        if expected.win_gain is not None:
            assert [row[f"won_{e.episode}_percent"] for e in expected.episodes] == [
                f"{100 * (e.win_rate or 0):.1f}" for e in expected.episodes
            ]
            assert row["win_gain_points_high"] == f"{100 * expected.win_gain.high:.1f}"


def fake_curve(path: Path, *returns: float, step: int = 200_000) -> None:
    """A file of ``benchmarks.curves`` with one evaluation every ``step`` environment steps."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = "env_steps,updates,seconds,return_0,return_1,success_0,success_1,gain,gain_low,gain_high,protocol"
    lines = [f"{step * k},{k},{60 * k},-300,{each},0.1,0.9,2,1,3,pearl" for k, each in enumerate(returns)]
    path.write_text("\n".join([head, *lines]) + "\n")


def test_mujoco_runs_are_beside_published_numbers(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs/results/data/published", tmp_path / "published")
    assert mujoco.finding(tmp_path) == ["No family with a published curve has been run yet."]
    assert mujoco.returns(tmp_path) == []
    fake_curve(tmp_path / "mujoco_cheetah_vel-seed0.csv", -300, -100, -20)
    fake_curve(tmp_path / "mujoco_cheetah_vel-seed1.csv", -300, -110, -30, step=150_000)
    fake_curve(tmp_path / "mujoco_cheetah_vel-seed0_reference.csv", -300, -150, -140)
    fake_curve(tmp_path / "mujoco_hopper_params-seed4.csv", 100, 200)
    assert mujoco.finding(tmp_path)[0].startswith("In all compared families (Half-Cheetah-Vel), ")
    table = "\n".join(mujoco.returns(tmp_path))
    assert "| cheetah_vel | ours, seed 0 | -100.0 | -60.0 | – | -20.0 | 400,000 | 2 | 120 |" in table
    assert "| cheetah_vel | ours, seed 1 | -83.3 | -30.0 | – | -30.0 | 300,000 | 2 | 120 |" in table
    assert "| cheetah_vel | ours, reference preset, seed 0 | -150.0 | -145.0 | – | -140.0 |" in table
    assert "| cheetah_vel | published VariBAD | – | – | – | -27.2 | about 10^8 |" in table
    names = "`cheetah_dir`, `ant_dir`, `ant_goal`, `humanoid_dir`, `walker_params`"
    assert mujoco.missing(tmp_path) == [f"Not yet run: {names}."]
    assert mujoco.commands(tmp_path)[1:4] == [
        "python -m benchmarks.locomotion --families cheetah_vel --seeds 0 1",
        "python -m benchmarks.locomotion --families hopper_params --seeds 4",
        "python -m benchmarks.locomotion --reference --families cheetah_vel --seeds 0",
    ]
    assert "[mujoco_hopper_params-seed4.csv](data/mujoco_hopper_params-seed4.csv)" in "\n".join(mujoco.files(tmp_path))
    assert [axes.get_title() for axes in mujoco.plot(tmp_path).axes] == ["Half-Cheetah-Vel", "Hopper-Params"]


def test_published_curves_end_where_their_files_end() -> None:
    published = read_published(ROOT / "docs/results/data/published", "cheetah_vel")
    assert np.isnan(published.at(200_000))  # before its first point
    assert published.final == pytest.approx(published.returns[-5:].mean())


def test_gymnasium_runs_have_the_gain_of_each_seed(tmp_path: Path) -> None:
    fake_curve(tmp_path / "gym_pendulum-seed1.csv", -300, -200)
    fake_curve(tmp_path / "gym_pendulum-seed0.csv", -300, -250)
    assert gymnasium.finding(tmp_path)[0].startswith("In every run of `gym_pendulum`, the return rises measurably ")
    row = "-300.00 | -250.00 | 2.00 [1.00, 3.00] | 10 % to 90 % | 200,000 | 60 |"
    assert gymnasium.returns(tmp_path)[2] == f"| gym_pendulum | 0 | {row}"
    assert gymnasium.missing(tmp_path) == ["Not yet run: `gym_cartpole`, `metaworld_ml1_reach`."]
    assert [len(axes.lines) for axes in gymnasium.plot(tmp_path).axes] == [4]
