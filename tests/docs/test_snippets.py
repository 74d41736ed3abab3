"""Code in the documentation: Python runs, shell commands and YAML are what the program takes."""

import ast
import itertools
import re
import shlex
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from keras_s2s.cli import app
from keras_s2s.config import parse
from keras_s2s.recipe.schema import RecipeConfig

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "pipelines").rglob("*.md")),
    ROOT / "saved_models" / "README.md",
]
MONTHS = {"janvier": 1, "mars": 3, "March": 3, "April": 4, "mai": 5, "August": 8, "octobre": 10, "December": 12}


def fences(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(code) for _, code in found]


def with_fences(language: str) -> list[Any]:
    return [pytest.param(page, id=page.relative_to(ROOT).as_posix()) for page in PAGES if fences(page, language)]


def run(program: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example of the README and the Python guide has run: its bundle has the names that other pages use."""
    folder = tmp_path_factory.mktemp("documentation")
    lines = [
        f"{day} {month} {year}\t{year}-{number:02}-{day:02}\n"
        for (month, number), year, day in itertools.product(MONTHS.items(), range(2011, 2016), range(1, 29, 2))
    ]
    (folder / "train.tsv").write_text("".join(lines[::5] + lines[1::5] + lines[2::5] + lines[3::5]))
    (folder / "dev.tsv").write_text("".join(lines[4::5][:40]))
    program = "\n".join(code for page in ("README.md", "docs/python.md") for code in fences(ROOT / page, "python"))
    printed = run(program, folder)
    (folder / "printed").write_text(printed)
    for name in ("dates", "mydates"):
        (folder / "saved_models" / name).symlink_to("mine")
    return folder


def test_the_example_and_the_python_guide_run(folder: Path) -> None:
    first = (folder / "printed").read_text().splitlines()[0]
    assert re.fullmatch(r"[-\w ]*", first)
    assert (folder / "saved_models" / "mine" / "bundle.json").is_file()


def test_decoding(folder: Path) -> None:
    run("\n".join(fences(ROOT / "docs" / "decoding.md", "python")), folder)


def test_the_tutorial(folder: Path) -> None:
    printed = run("\n".join(fences(ROOT / "docs" / "tutorial.md", "python")), folder)
    assert len(printed.splitlines()) == 3


def test_bundles(folder: Path) -> None:
    # The library of the text graph's operators does not live with TensorFlow in one process.
    whole = [code for code in fences(ROOT / "docs" / "bundles.md", "python") if "onnxruntime_extensions" not in code]
    run(
        "\n".join([*whole, 'print(generator.written(written[:-1]), generator(["5 mars 2013"], strategy="greedy"))']),
        folder,
    )


def test_a_graph_from_text_to_text(folder: Path) -> None:
    (code,) = (code for code in fences(ROOT / "docs" / "bundles.md", "python") if "onnxruntime_extensions" in code)
    command = ["text-graph", "saved_models/dates", "dates-text"]
    subprocess.run([sys.executable, "-m", "keras_s2s.cli", *command], cwd=folder, capture_output=True, check=True)
    program = f"from keras_s2s.runtime import Generator\n{code}\nprint(text[0])\n"
    program += 'print(Generator.load("saved_models/dates")(["5 mars 2013"])[0][0].text)'
    graph, generator = run(program, folder).splitlines()
    assert graph == generator


def test_every_page_with_python_is_run() -> None:
    ours = {"README.md", "docs/python.md", "docs/decoding.md", "docs/tutorial.md", "docs/bundles.md"}
    assert {page.id for page in with_fences("python")} - {"docs/extending.md"} == ours


def commands(code: str) -> Iterator[list[str]]:
    """The commands of shell lines, without what surrounds them."""
    for line in code.replace("\\\n", " ").splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        for is_end, group in itertools.groupby(words, lambda word: set(word) <= set(";|&")):
            command = list(group)
            while command and (command[0] == "do" or re.match(r"\w+=", command[0])):
                command = command[1:]
            if command and not is_end:
                yield list(itertools.takewhile(lambda word: not set(word) <= set("<>"), command))


def check(command: list[str], extras: set[str], groups: set[str]) -> None:
    match command:
        case ["keras-s2s" | "opentelemetry-instrument", *words]:
            words = words[1:] if words[0] == "keras-s2s" else words
            if words == ["--version"]:
                return
            verb = typer.main.get_command(app).commands[words[0]]
            verb.make_parser(typer.Context(verb)).parse_args(args=words[1:])
        case ["pip", "install", "-e", path, *rest]:
            named = re.fullmatch(r"\.(?:\[([\w,-]+)\])?", path)
            assert named and set(filter(None, (named[1] or "").split(","))) <= extras, path
            assert rest in ([], *(["--group", group] for group in groups)), rest
        case ["python", script, *_]:
            assert (ROOT / script).is_file(), script
        case ["mkdocs", _, *options]:
            assert options == ["-f", ".mkdocs.yml"] and (ROOT / ".mkdocs.yml").is_file()
        case [other, *_]:
            assert other in {"apt-get", "cd", "cp", "curl", "done", "echo", "export", "for", "pytest"}, other


@pytest.mark.parametrize("page", with_fences("sh"))
def test_shell_commands(page: Path) -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    groups = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"])
    for command in itertools.chain(*map(commands, fences(page, "sh"))):
        check(command, set(config["options.extras_require"]), groups)


@pytest.mark.parametrize("page", with_fences("yaml"))
def test_yaml_is_a_recipe_or_a_part_of_one(page: Path) -> None:
    for code in fences(page, "yaml"):
        given = yaml.safe_load(code)
        if "data" not in given or "model" not in given:
            base = yaml.safe_load((ROOT / "pipelines" / "dates" / "recipe.yaml").read_text(encoding="utf-8"))
            given.pop("extends", None)
            given = base | {
                key: base.get(key, {}) | value if isinstance(value, dict) else value for key, value in given.items()
            }
        parse(RecipeConfig, given, page.name)


def test_python_in_the_documentation_has_no_fence_that_is_not_python() -> None:
    for page in PAGES:
        for code in fences(page, "python"):
            ast.parse(code, page.name)


def test_contributing_has_the_line_that_ci_runs() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^pip install .* && pytest .*$", text, re.MULTILINE)) == 1
