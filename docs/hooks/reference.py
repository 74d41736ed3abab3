"""Parts of pages that are made from the code: a line `<!-- NAME -->` stands where a part goes."""

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import command_line
import recipe_keys
import search_options

PARTS = {
    "commands": command_line.summary,
    "command line": command_line.markdown,
    "recipe keys": recipe_keys.markdown,
    "search options": search_options.markdown,
}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts the parts into a page."""
    for name, part in PARTS.items():
        place = f"<!-- {name} -->"
        if place in markdown:
            markdown = markdown.replace(place, part())
    return markdown
