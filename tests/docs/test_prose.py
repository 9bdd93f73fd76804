"""The linter of prose finds what breaks a rule, with its place, and nothing in the code of the repository."""

from __future__ import annotations

from pathlib import Path

import passages
import prose
import pytest
import vocabulary

TABLE = """# Words

| term | meaning | do not write |
|---|---|---|
| arena | a slot | `match` (except `must match`, `/derk/`), `planet` |
| custom | the user's | `own` (except `its own`, `'s own`) |
| resume | | `go on` |
| reward | a number | |
"""


def long_sentence(length: int) -> str:
    """A sentence of some words, three of which are code."""
    return "Read `pearl fit quickly` " + " ".join(["word"] * (length - 4)) + ".\n"


def found_in(text: str, path: str = "docs/page.md") -> list[str]:
    reader = passages.read_markdown if path.endswith(".md") else passages.read_python
    return prose.findings(reader(text, path), vocabulary.banned(TABLE))


def texts_in(text: str, path: str = "docs/page.md") -> list[tuple[int, str]]:
    reader = passages.read_markdown if path.endswith(".md") else passages.read_python
    return [(each.line, each.text) for each in reader(text, path)]


def split(text: str) -> list[str]:
    return [each.text for each in prose.sentences(passages.Passage("page.md", 1, text, True))]


def test_a_sentence_of_41_words_is_found_where_it_begins() -> None:
    short = "A short sentence. " * 9
    assert found_in(short + "\n\n- An item.\n- One more.\n  " + long_sentence(40)) == []
    [line] = found_in(short + "\n\n- An item.\n- One more.\n  " + long_sentence(41))
    assert line.startswith("docs/page.md:5: 41 words, at most 40: Read `pearl fit quickly` word")


@pytest.mark.parametrize("word", ["Of", "Its", "Whose", "Who", "What"])
def test_a_docstring_or_an_entry_that_starts_with_a_fragment_is_found(word: str) -> None:
    module = f'"""{word} reads.\n\nArgs:\n    name: {word} writes.\n    other: The writer {word.lower()} writes.\n"""\n'
    lines = found_in(module, "room/a.py")
    assert lines == [
        f"room/a.py:1: a docstring must not start with '{word}': {word} reads.",
        f"room/a.py:4: a docstring must not start with '{word}': {word} writes.",
    ]
    assert found_in(f"{word} reads.\n") == []  # a page


def test_the_median_is_that_of_a_page_or_of_a_folder_of_code() -> None:
    page = long_sentence(18) + "\n" + long_sentence(19)
    assert found_in(page) == ["docs/page.md:1: median 18.5 words, at most 18"]
    assert found_in(page + "\nShort.\n") == []
    files = {
        "room/a.py": f'"""{long_sentence(19)}"""',
        "room/b.py": f'"""{long_sentence(19)}"""',
        "c/d.py": '"""Short."""',
    }
    found = [each for path, text in files.items() for each in passages.read_python(text, path)]
    assert prose.findings(found, []) == ["room:1: median 19 words, at most 18"]


@pytest.mark.parametrize("text", ["# " + long_sentence(25), f"| a |\n|---|\n| {long_sentence(25).strip()} |\n"])
def test_headings_and_tables_do_not_count_in_the_median(text: str) -> None:
    assert found_in(text) == []


@pytest.mark.parametrize(
    ("text", "phrase"),
    [
        ("Several matches run side by side.", "match"),
        ("The training\ngoes here, and may go\non tomorrow.", "go on"),
        ("Plug in your own encoder.", "own"),
        ("A *planet* is drawn.", "planet"),
        ("## Planets", "planet"),
        ("| a |\n|---|\n| planets |", "planet"),
        ("Read [a planet](page.md).", "planet"),
    ],
)
def test_a_word_of_the_last_column_is_found_with_its_endings(text: str, phrase: str) -> None:
    [line] = found_in(text)
    assert f", not '{phrase}': " in line


@pytest.mark.parametrize(
    "text",
    [
        "The widths must match.",
        "Each process has its own generator, and Gymnasium's own limit.",
        "It shows `a planet`, planetary data and rematches.",
        "```text\na planet\n```",
        "Read [this](planet.md), <b title='planet'>now</b>.",
        "---\ntitle: A planet\n---\n\nText.",
    ],
)
def test_exceptions_code_and_markup_are_not_searched(text: str) -> None:
    assert found_in(text) == []


def test_a_word_may_be_allowed_in_files() -> None:
    text = '"""Plays a match."""'
    assert found_in(text, "pearl_lightning/derk/env.py") == []
    assert len(found_in(text, "pearl_lightning/envs/env.py")) == 1


def test_the_page_of_the_vocabulary_finds_each_of_its_words_unless_excepted() -> None:
    entries = vocabulary.banned(vocabulary.PAGE.read_text(encoding="utf-8"))
    assert {"world", "pay", "told", "goes on", "own", "match"} <= {entry.phrase for entry in entries}
    for entry in entries:
        assert entry.is_in(f"So a {entry.phrase} stands here.", "pearl_lightning/envs/a.py"), entry
        assert not entry.is_in(f"So a `{entry.phrase}` stands here.", "pearl_lightning/envs/a.py"), entry
        for phrase in entry.exceptions:
            assert not entry.is_in(f"So {phrase} stands here.", "pearl_lightning/envs/a.py"), entry
        for place in entry.places:
            assert not entry.is_in(f"So a {entry.phrase} stands here.", f"a{place}b.py"), entry


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("# No table\n", "do not write"),
        ("| term | meaning | other |\n|---|---|---|\n", "do not write"),
        (TABLE + "| task | x | world |\n", "task: .* got 'world'"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(page: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vocabulary.banned(page)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("See metrics.csv, e.g. of a run. Then stop.", ["See metrics.csv, e.g. of a run.", "Then stop."]),
        ("Use e.g. No. 5, i.e. the last. End.", ["Use e.g. No. 5, i.e. the last.", "End."]),
        (
            "Rakelly et al. 2019, sec. 4.1 vs. Haarnoja et al. 2018. Both.",
            ["Rakelly et al. 2019, sec. 4.1 vs. Haarnoja et al. 2018.", "Both."],
        ),
        ("Version 1.1.1 needs 0.5 s. Others need more!", ["Version 1.1.1 needs 0.5 s.", "Others need more!"]),
        (
            "It is eq. 5, cf. App. 2. Read `a. B c`. Why? So.",
            ["It is eq. 5, cf. App. 2.", "Read `a. B c`.", "Why?", "So."],
        ),
        ("One line\nand another.\nThe next.", ["One line and another.", "The next."]),
    ],
)
def test_abbreviations_numbers_and_names_of_files_do_not_end_a_sentence(text: str, expected: list[str]) -> None:
    assert split(text) == expected


def test_signs_are_not_words() -> None:
    assert prose.words("The gain — 1.5 ± 0.2 % — is `a b`.") == 7


def test_what_a_page_contains_is_read_with_its_lines() -> None:
    page = """---
title: x
---
# Head

Text with `code`
and [a link](x.md).

!!! note "Title"

    Inside.

<details markdown>
<summary>More</summary>

* One
* Two
  lines

</details>

    code
"""
    assert texts_in(page) == [
        (4, "Head"),
        (6, "Text with `code`\nand a link."),
        (11, "Inside."),
        (16, "One"),
        (17, "Two\nlines"),
    ]


def test_what_a_python_file_contains_is_read_with_its_lines() -> None:
    module = '''"""Head."""

LIMIT = 3  # a limit
"""Largest number."""


def play(name: str) -> None:
    """Play.

    Args:
        name: A name,
            on two lines.

    Returns:
        A result.
    """
    # why this
    # is so
    raise ValueError(f"name must be short, got {name!r}")
'''
    expected = [
        (1, "Head."),
        (3, "a limit"),
        (4, "Largest number."),
        (8, "Play."),
        (11, "A name,\non two lines."),
        (15, "A result."),
        (17, "why this\nis so"),
        (19, "name must be short, got …"),
    ]
    assert sorted(texts_in(module, "room/a.py")) == expected


def test_the_comments_of_a_config_are_read_with_their_lines() -> None:
    config = "# Family: a\n# long one.\nlr: 0.1  # of the actor\nname: a#b\n"
    found = [(each.line, each.text) for each in passages.read_yaml(config, "configs/a.yaml")]
    assert found == [(1, "Family: a\nlong one."), (3, "of the actor")]


def test_the_command_prints_the_findings_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    monkeypatch.setattr(prose, "pages", lambda: [page])
    monkeypatch.setattr(prose, "code_files", list)
    page.write_text("All is well.\n", encoding="utf-8")
    assert prose.main() == 0
    page.write_text("The world.\n", encoding="utf-8")
    capsys.readouterr()
    assert prose.main() == 1
    assert capsys.readouterr().out == "page.md:1: write 'environment (`env`)', not 'world': The world.\n"


def test_the_repository_has_no_findings() -> None:
    files = [*passages.code_files(), *passages.pages()]
    assert len(files) > 250
    assert prose.check(files) == []
