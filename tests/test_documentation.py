"""The documentation is true: its snippets run, and every file and public name explains itself."""

import ast
import doctest
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import minnet as mn

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FOLDERS = ("minnet", "tests", "examples", "benchmarks")
SOURCES = [
    *ROOT.glob("*.py"),
    *sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")),
]
FENCE = re.compile(r"^```(?P<language>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
# A snippet in any other language would be skipped without a word.
LANGUAGES = {"python", "sh", "text"}
OUTPUT = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def name_of(file: Path) -> str:
    """A file's name in the output of pytest."""
    return str(file.relative_to(ROOT))


def explainable(name: str) -> bool:
    """Tell whether a public name can carry a docstring; constants and aliases of types can't."""
    thing = getattr(mn, name)
    return inspect.ismodule(thing) or inspect.isroutine(thing) or inspect.isclass(thing)


def snippets(page: str) -> Iterator[tuple[str, str, int]]:
    """Yield each block of a page: its language, its code and the number of its first line."""
    for match in FENCE.finditer(page):
        yield match["language"], match["code"], page.count("\n", 0, match.start("code"))


def run_snippet(code: str, namespace: dict[str, Any], page: str, line: int) -> None:
    """Run one block: as a doctest if it shows its output, else as it stands."""
    if not re.search(r"^\s*>>> ", code, re.MULTILINE):
        exec(compile("\n" * line + code, page, "exec"), namespace)
        return
    test = doctest.DocTestParser().get_doctest(code, {}, page, page, line)
    test.globs = namespace
    report: list[str] = []
    doctest.DocTestRunner(optionflags=OUTPUT).run(test, out=report.append, clear_globs=False)
    if report:
        pytest.fail("".join(report), pytrace=False)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_snippet_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")  # snippets may read the data there
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    if page.name == "gpu.md":
        request.getfixturevalue("standin_cupy")
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for language, code, line in snippets(page.read_text(encoding="utf-8")):
        if language == "python":
            run_snippet(code, namespace, name_of(page), line)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_snippet_says_its_language(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = list(snippets(text))
    assert {language for language, _, _ in found} <= LANGUAGES
    assert len(re.findall(r"^\s*```", text, re.MULTILINE)) == 2 * len(found)


@pytest.mark.parametrize(
    "code", ["1 / 0\n", ">>> 1 + 1\n3\n", ">>> 1 / 0\n"], ids=["statement", "output", "error"]
)
def test_a_wrong_snippet_fails(code: str) -> None:
    with pytest.raises((ZeroDivisionError, pytest.fail.Exception)):
        run_snippet(code, {}, "page.md", 3)


def test_snippets_share_their_names() -> None:
    page = "```python\nthree = 3\n```\ntext\n```python\n>>> six = 2 * three\n>>> six\n6\n```\n"
    namespace: dict[str, Any] = {}
    for _, code, line in snippets(page):
        run_snippet(code, namespace, "page.md", line)
    assert namespace["six"] == 6


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("file", SOURCES, ids=name_of)
def test_every_file_says_what_it_is_for_and_is_short(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "its first line is no docstring"
    assert text.count("\n") <= 400


@pytest.mark.parametrize("name", [name for name in mn.__all__ if explainable(name)])
def test_every_public_name_is_explained(name: str) -> None:
    thing = getattr(mn, name)
    assert thing.__doc__, "it has no docstring"
    is_error = inspect.isclass(thing) and issubclass(thing, BaseException)
    if not (inspect.ismodule(thing) or is_error):
        assert re.search(r"^ *Examples\n *--------$", thing.__doc__, re.MULTILINE)
        assert ">>> " in thing.__doc__
