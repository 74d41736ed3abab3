"""Code in the documentation: Python runs, shell commands and YAML are what the program takes."""

import itertools
import os
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
from filelock import FileLock

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
EXTENSIONS = "onnxruntime_extensions"
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


def python(page: str) -> str:
    """The program that the snippets of a page make."""
    return "\n".join(fences(ROOT / page, "python"))


def run_example(folder: Path, program: str) -> str:
    """Runs a program that begins with the example of the README, and gives its bundle the name on other pages, too."""
    lines = [
        f"{day} {month} {year}\t{year}-{number:02}-{day:02}\n"
        for (month, number), year, day in itertools.product(MONTHS.items(), range(2011, 2014), range(1, 29, 3))
    ]
    (folder / "train.tsv").write_text("".join(line for place, line in enumerate(lines) if place % 35))
    (folder / "dev.tsv").write_text("".join(lines[::35]))
    printed = run(program, folder)
    (folder / "saved_models" / "dates").symlink_to("mine")
    return printed


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example of the README has run, once for all processes of a test run, with its output in `printed`."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "example"
    with FileLock(folder.with_suffix(".lock")):
        if not (folder / "printed").is_file():
            folder.mkdir()
            printed = run_example(folder, python("README.md"))
            (folder / "printed").write_text(printed, encoding="utf-8")
    return folder


def test_the_example_of_the_readme(example: Path) -> None:
    answer = (example / "printed").read_text(encoding="utf-8").splitlines()[-1]
    assert re.fullmatch(r"[-\w ]*", answer)
    assert (example / "saved_models" / "mine" / "bundle.json").is_file()


def test_the_tutorial(example: Path) -> None:
    assert len(run(python("docs/tutorial.md"), example).splitlines()) == 3


def test_students(example: Path) -> None:
    printed = run(f"{python('docs/students.md')}\nprint(chosen.texts, len(pairs) == chosen.pairs)", example)
    assert printed.split() == ["2", "True"]


def test_pruning(tmp_path: Path) -> None:
    assert run(python("docs/pruning.md"), tmp_path).split() == ["2"]


def test_bundles(example: Path) -> None:
    # The library of the text graph's operators does not live with TensorFlow in one process.
    whole = "\n".join(code for code in fences(ROOT / "docs" / "bundles.md", "python") if EXTENSIONS not in code)
    # In fp32, as the SavedModel is: int8 need not say the same. Both stop at 100 tokens: a model of so few epochs need
    # not come to an end.
    options = "beam_size=1, max_length_factor=0, max_length_extra=100"
    of_onnx = f'Generator.load("saved_models/dates", "fp32")(["5 mars 2013"], {options})[0][0].text'
    same = f"print(generator.written([token for token in written if token != 2]))\nprint({of_onnx})"
    *_, tensorflow, onnxruntime = run(f"{whole}\n{same}", example).splitlines()
    assert tensorflow == onnxruntime


def test_a_graph_from_text_to_text(example: Path) -> None:
    (code,) = (code for code in fences(ROOT / "docs" / "bundles.md", "python") if EXTENSIONS in code)
    command = ["text-graph", "saved_models/dates", "dates-text"]
    subprocess.run([sys.executable, "-m", "keras_s2s.cli", *command], cwd=example, capture_output=True, check=True)
    same = 'print(text[0])\nprint(Generator.load("saved_models/dates")(["5 mars 2013"])[0][0].text)'
    graph, generator = run(f"from keras_s2s.runtime import Generator\n{code}\n{same}", example).splitlines()
    assert graph == generator


@pytest.mark.slow
def test_the_guides_to_python_and_to_decoding(tmp_path: Path) -> None:
    run_example(tmp_path, f"{python('README.md')}\n{python('docs/python.md')}")
    run(python("docs/decoding.md"), tmp_path)


def test_every_page_with_python_is_run() -> None:
    run_here = {
        "README.md",
        "docs/python.md",
        "docs/decoding.md",
        "docs/tutorial.md",
        "docs/bundles.md",
        "docs/students.md",
        "docs/pruning.md",
    }
    run_elsewhere = {"CONTRIBUTING.md", "docs/extending.md"}  # by the tests of what they tell to add
    assert {page.id for page in with_fences("python")} - run_elsewhere == run_here


def commands(code: str) -> Iterator[list[str]]:
    """The commands of a shell script, without what surrounds them."""
    words = shlex.shlex(code.replace("\\\n", " "), posix=True, punctuation_chars=";|&<>()\n")
    words.whitespace = " \t"
    words.whitespace_split = True
    for is_end, group in itertools.groupby(words, lambda word: set(word) <= set(";|&()\n")):
        command = list(group)
        while command and (command[0] == "do" or re.match(r"\w+=", command[0])):
            command = command[1:]
        if command and not is_end:
            yield list(itertools.takewhile(lambda word: not set(word) <= set("<>"), command))


def check(command: list[str], extras: set[str], groups: set[str]) -> None:
    """Looks at commands of ours, and at those that install this package."""
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
        case ["python", script, *_] if script.endswith(".py"):
            assert (ROOT / script).is_file(), script
        case ["mkdocs", _, *options]:
            assert options == ["-f", ".mkdocs.yml"] and (ROOT / ".mkdocs.yml").is_file()


@pytest.mark.parametrize("page", with_fences("sh"))
def test_shell_commands(page: Path) -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg")
    groups = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"])
    for command in itertools.chain(*map(commands, fences(page, "sh"))):
        check(command, set(config["options.extras_require"]), groups)


@pytest.mark.parametrize("page", [page for page in with_fences("yaml") if page.id != "docs/extending.md"])
def test_yaml_is_a_recipe_or_a_part_of_one(page: Path) -> None:
    for code in fences(page, "yaml"):
        given = yaml.safe_load(code)
        if not given.keys() >= {"name", "data", "model"}:
            base = yaml.safe_load((ROOT / "pipelines" / "dates" / "recipe.yaml").read_text(encoding="utf-8"))
            given.pop("extends", None)
            given = base | {
                key: base.get(key, {}) | value if isinstance(value, dict) else value for key, value in given.items()
            }
        parse(RecipeConfig, given, page.name)


def test_contributing_has_the_line_that_ci_runs() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert len(re.findall(r"^pip install .* && pytest .*$", text, re.MULTILINE)) == 1
