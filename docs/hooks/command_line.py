"""The verbs of the command line with their arguments and options, from the application itself."""

from typing import Any

import typer

from keras_s2s.cli import app


def markdown() -> str:
    """A section for each verb."""
    verbs = typer.main.get_command(app).commands
    return "\n\n".join(_verb(name, command) for name, command in verbs.items())


def summary() -> str:
    """A table of the verbs, each with the first sentence of its help."""
    verbs = typer.main.get_command(app).commands
    rows = [f"| [`keras-s2s {name}`](#{name}) | {_sentence(command.help)} |" for name, command in verbs.items()]
    return "\n".join(["| command | |", "|---|---|", *rows])


def _sentence(text: str) -> str:
    return _escaped(text.partition("\n\n")[0].partition(". ")[0].rstrip("."))


def _verb(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=f"keras-s2s {name}")
    usage = " ".join(command.collect_usage_pieces(context)).translate({ord(brace): None for brace in "{}"})
    panels: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.params:
        if record := parameter.get_help_record(context):
            is_argument = parameter.param_type_name == "argument"
            panel = parameter.rich_help_panel or ("Arguments" if is_argument else "Options")
            panels.setdefault(panel, []).append(record)
    tables = [_table(title, rows) for title, rows in panels.items()]
    text = (command.help or "").replace("\f", "").strip()
    return "\n\n".join([f"## {name}", f"`keras-s2s {name} {usage}`", text, *tables])


def _table(title: str, rows: list[tuple[str, str]]) -> str:
    lines = [f"| `{names}` | {_escaped(explained)} |" for names, explained in rows]
    return "\n".join([f"| {title} | |", "|---|---|", *lines])


def _escaped(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())
