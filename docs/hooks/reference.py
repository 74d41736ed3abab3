"""Parts of pages that are made from the code: a line `<!-- NAME -->` stands where a part goes.

`<!-- file PATH -->` stands where a page shows a file of docs/.
"""

import re
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


LANGUAGES = {".py": "python", ".mjs": "javascript"}


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Puts the parts into a page."""
    for name, part in PARTS.items():
        place = f"<!-- {name} -->"
        if place in markdown:
            markdown = markdown.replace(place, part())
    return re.sub(r"<!-- file (\S+) -->", _shown, markdown)


def _shown(place: re.Match[str]) -> str:
    path = Path(__file__).parents[1] / place[1]
    return f"```{LANGUAGES[path.suffix]}\n{path.read_text(encoding='utf-8')}```"
