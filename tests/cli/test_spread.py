from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from keras_s2s.cli.spread import spread


@dataclass(frozen=True)
class Colours:
    ink: Annotated[str | None, typer.Option(help="Of the letters.")] = None
    paper: Annotated[int, typer.Option(help="Of the rest.")] = 7


@pytest.fixture
def app() -> tuple[typer.Typer, list[object]]:
    calls: list[object] = []
    app = typer.Typer()

    @app.command()
    @spread("colours", Colours)
    def write(
        text: Annotated[str, typer.Argument()], colours: Colours, pen: Annotated[str, typer.Option()] = "thin"
    ) -> None:
        """Writes something."""
        calls.append((text, colours, pen))

    return app, calls


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a"], ("a", Colours(None, 7), "thin")),
        (["a", "--paper", "3", "--pen", "thick", "--ink", "red"], ("a", Colours("red", 3), "thick")),
    ],
)
def test_the_verb_gets_them_together(app: tuple, arguments: list[str], expected: tuple) -> None:
    verb, calls = app
    assert CliRunner().invoke(verb, arguments).exit_code == 0
    assert calls == [expected]


def test_help_has_them_where_the_argument_was(app: tuple) -> None:
    out = CliRunner().invoke(app[0], ["--help"]).output
    assert "Writes something." in out
    places = [out.index(name) for name in ("--ink", "--paper", "--pen")]
    assert places == sorted(places)
    assert "--colours" not in out
