"""Writes the dev and test data of a recipe as files of lines: `python held_out.py RECIPE FOLDER`.

`dev.source`, `dev.target`, `test.source` and `test.target` are for commands that read texts and their references.
"""

import argparse
from pathlib import Path

from keras_s2s import recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("folder", type=Path)
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    for split, pairs in recipe.held_out_pairs(recipe.load(given.recipe)).items():
        for side, texts in (("source", pairs.sources), ("target", pairs.targets)):
            (given.folder / f"{split}.{side}").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")


if __name__ == "__main__":
    main()
