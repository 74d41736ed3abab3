"""The package has types for its users: mypy checks a program of theirs against the package as it is installed."""

import subprocess
import sys
from pathlib import Path

RIGHT = """\
import keras_s2s
from keras_s2s import Generator, ModelConfig, UserError, build

generator = Generator.load("saved_models/dates", "fp32", threads=2, providers=["cpu"])
try:
    texts: list[str] = [best.text for best, *_ in generator(["5 mars 2013"], beam_size=4)]
    likely: float = generator.score(["5 mars 2013"], texts)[0].perplexity
except UserError as error:
    print(error)
steps = keras_s2s.runtime.Steps.load("saved_models/dates", "beam")
model = build(ModelConfig.model_validate({}))
"""
# Each line, and what mypy must say of it.
TOLD = {
    "reveal_type(generator)": 'Revealed type is "keras_s2s.runtime.generator.Generator"',
    "reveal_type(keras_s2s.text.train)": 'Revealed type is "def (lines: ',
    'Generator.load("a", threads="two")': 'Argument "threads" to "load" of "Generator" has incompatible type "str"',
    'Generator.load("a", provider="cuda")': 'Unexpected keyword argument "provider" for "load" of "Generator"',
    "print(generator.bundel)": '"Generator" has no attribute "bundel"',
    "print(keras_s2s.Generatorr)": "Module has no attribute",
    'number: int = generator(["a"])': "Incompatible types in assignment (expression has type",
}


def test_a_program_has_types_and_mistakes_are_found(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(RIGHT + "\n".join(TOLD) + "\n")
    command = [sys.executable, "-m", "mypy", "--strict", "--hide-error-context", "--config-file=", "program.py"]
    # What is found by PYTHONPATH counts as installed, so that its types are read only with py.typed.
    environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "PATH": "", "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stderr == ""
    told = [line for line in done.stdout.splitlines() if ": error: " in line or "Revealed type" in line]
    found = [line.split(":", 3) for line in told]
    first = RIGHT.count("\n") + 1
    assert [int(line) for _, line, *_ in found] == list(range(first, first + len(TOLD))), done.stdout
    for (*_, message), expected in zip(found, TOLD.values(), strict=True):
        assert message.strip().startswith(expected)
