"""The README's promises: its snippet runs as it stands, and its commands are the ones that CI runs."""

import random
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"


def test_the_python_snippet_runs(tmp_path: Path) -> None:
    draw = random.Random(1)
    words = {"".join(draw.choices("abcde", k=draw.randint(2, 5))) for _ in range(900)}
    lines = [f"{word}\t{word[::-1]}\n" for word in sorted(words)]
    draw.shuffle(lines)
    (tmp_path / "train.tsv").write_text("".join(lines[40:]))
    (tmp_path / "dev.tsv").write_text("".join(lines[:40]))
    (snippet,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", snippet], cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = done.stdout.splitlines()[-1]
    assert re.fullmatch(r"[a-e]*", answer)
    assert (tmp_path / "saved_models" / "mine" / "bundle.json").is_file()


def test_the_set_up_commands_name_extras_that_exist() -> None:
    from importlib.metadata import metadata

    named = re.findall(r'pip install -e "\.\[([\w,-]+)\]"', README.read_text(encoding="utf-8"))
    assert named == ["train", "train,tune,hf,tfds,text-graph,serve,otel,ray,test"]
    assert set(",".join(named).split(",")) <= set(metadata("keras_s2s").get_all("Provides-Extra") or [])
