"""How fast a corpus is prepared, in how much memory, and how soon training begins: now, before, and with spm_encode.

Usage: python pipelines/benchmarks/data/benchmark.py [--pairs 10000000] [--before COMMIT] [--rounds 3] [--folder DIR]

Needs the Tatoeba pairs below KERAS_S2S_DATA, about 8 GB in DIR, and, for two of the lines, a git checkout that has
COMMIT and the program spm_encode (on Debian, `apt-get install sentencepiece`). What is compared runs in alternation.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import synthetic
import typer

HERE = Path(__file__).parent
SMALL, MIDDLE = 10_000, 1_000_000
RECIPE = """
name: corpus
task: translation
data:
  train: {{tsv: {train}}}
  dev: {{tsv: {small}}}
  test: {{tsv: {small}}}
tokenizer: {{kind: bpe, vocabulary_size: 8000, joint: true}}
model: {{width: 64, encoder: {{kind: gru}}, decoder: {{kind: gru}}}}
training: {{epochs: 1, tokens: 4096}}
decoding: {{strategy: greedy, beam_size: 1}}
metrics: [exact_match]
"""


def main(
    pairs: Annotated[int, typer.Option(help="Of the large corpus.")] = 10_000_000,
    before: Annotated[str, typer.Option(help="The commit that is compared with.")] = "f8720e3",
    rounds: Annotated[int, typer.Option(help="Of each comparison.")] = 3,
    folder: Annotated[Path, typer.Option(help="For texts and maps.")] = Path("benchmark-data"),
) -> None:
    """Prints a line for each measurement, and all of them as JSON at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    files = {count: folder / f"{count}.tsv" for count in (SMALL, MIDDLE, pairs)}
    for count, file in files.items():
        if not file.exists():
            synthetic.write(file, count)
    models = folder / "models"
    models.mkdir(exist_ok=True)
    form("tokenizers", files[MIDDLE], models)
    found: dict[str, Any] = {}
    with earlier(before, folder) as old:
        found |= speeds(files[MIDDLE], models, folder, old, rounds)
    found |= growth(files, models, folder)
    found |= starts(files, folder, pairs)
    print(json.dumps(found))


def speeds(file: Path, models: Path, folder: Path, old: Path, rounds: int) -> dict[str, Any]:
    """Pairs and batches a second, in alternation."""
    rates: dict[str, list[float]] = {name: [] for name in ("encode before", "shards", "spm_encode", "lists", "maps")}
    for _ in range(rounds):
        rates["encode before"].append(_rate(form("encode_before", file, models, code=old), "pairs"))
        shutil.rmtree(folder / "run", ignore_errors=True)
        rates["shards"].append(_rate(form("shards", file, models, folder / "run"), "pairs"))
        rates["spm_encode"].append(MIDDLE / spm_encode(file, models, folder))
        rates["lists"].append(_rate(form("batches_before", file, models, code=old), "batches"))
        rates["maps"].append(_rate(form("batches", folder / "run", models), "batches"))
    for name, values in rates.items():
        print(f"{name}: {median(values):,.0f} a second ({min(values):,.0f} to {max(values):,.0f})", flush=True)
    ratios = {
        "shards over encode before": ("shards", "encode before"),
        "shards over spm_encode": ("shards", "spm_encode"),
        "batches from maps over lists": ("maps", "lists"),
    }
    found = {}
    for name, (one, other) in ratios.items():
        of_rounds = [a / b for a, b in zip(rates[one], rates[other], strict=True)]
        found[name] = median(of_rounds)
        print(f"{name}: {median(of_rounds):.2f} ({min(of_rounds):.2f} to {max(of_rounds):.2f})", flush=True)
    return found


def growth(files: dict[int, Path], models: Path, folder: Path) -> dict[str, Any]:
    """What a pair costs in a large corpus over one in a small one, and how long an epoch takes to plan."""
    sizes = sorted(files)[1:]
    cost = {count: [] for count in sizes}
    for _ in range(2):
        for count in sizes:
            run = folder / f"run-{count}"
            shutil.rmtree(run, ignore_errors=True)
            made = form("shards", files[count], models, run)
            cost[count].append(made["processor"] / made["pairs"])
    small, large = (min(cost[count]) for count in sizes)
    print(f"processor time of a pair, {sizes[1]:,} over {sizes[0]:,} pairs: {large / small:.2f}", flush=True)
    plan = form("plan", folder / f"run-{sizes[1]}", models)
    print(f"planning an epoch of {plan['pairs']:,} pairs: {plan['seconds']:.1f} s", flush=True)
    shutil.rmtree(folder / f"run-{sizes[1]}")
    return {"growth": large / small, "plan": plan["seconds"]}


def starts(files: dict[int, Path], folder: Path, pairs: int) -> dict[str, Any]:
    """Memory and time of a run up to its first training step, begun anew and once more, above those of a small one."""
    memory, times = {}, {}
    for count in (SMALL, pairs):
        below = folder / f"start-{count}"
        shutil.rmtree(below, ignore_errors=True)
        below.mkdir()
        (below / "recipe.yaml").write_text(RECIPE.format(train=files[count], small=files[SMALL]))
        for start in ("first", "second"):
            done = form("first_step", below / "recipe.yaml", cwd=below)
            memory[count, start], times[count, start] = done["anonymous"], done["seconds"]
            print(
                f"{count:,} pairs, {start} start: {done['anonymous'] / 1e9:.2f} GB of anonymous memory, "
                f"{done['prepared']:.1f} s to the data, {done['seconds']:.1f} s to the end of the first step",
                flush=True,
            )
    found = {
        "memory above": max(memory[pairs, start] - memory[SMALL, start] for start in ("first", "second")),
        "second start above": times[pairs, "second"] - times[SMALL, "second"],
    }
    print(f"memory above that of {SMALL:,} pairs: {found['memory above'] / 1e9:.2f} GB")
    print(f"second start above that of {SMALL:,} pairs: {found['second start above']:.1f} s", flush=True)
    return found


def form(name: str, *arguments: Path, code: Path | None = None, cwd: Path | None = None) -> dict[str, Any]:
    """Runs a form in a process, and adds the most anonymous memory of it and its children."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **({} if code is None else {"PYTHONPATH": str(code)})}
    command = [sys.executable, str(HERE / "forms.py"), name, *map(str, arguments)]
    process = subprocess.Popen(command, env=environment, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    most = [0]
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, most, ended))
    watch.start()
    output, _ = process.communicate()
    ended.set()
    watch.join()
    if process.returncode:
        raise SystemExit(f"{name}: ended with exit code {process.returncode}")
    return {**json.loads(output.splitlines()[-1]), "anonymous": most[0]}


def spm_encode(file: Path, models: Path, folder: Path) -> float:
    """Seconds of two processes of `spm_encode`, each for half the pairs, first all sources, then all targets."""
    halves = [folder / f"half-{side}-{half}" for side in ("source", "target") for half in (0, 1)]
    if not all(half.exists() for half in halves):
        lines = file.read_text("utf-8").splitlines()
        for column, side in enumerate(("source", "target")):
            for half in (0, 1):
                some = lines[half * len(lines) // 2 : (half + 1) * len(lines) // 2]
                texts = "".join(line.split("\t")[column] + "\n" for line in some)
                (folder / f"half-{side}-{half}").write_text(texts, encoding="utf-8")
    began = time.monotonic()
    for side in ("source", "target"):
        running = []
        for half in (0, 1):
            path = folder / f"half-{side}-{half}"
            command = ["spm_encode", f"--model={models / side}.model", "--output_format=id", str(path)]
            with path.with_suffix(".ids").open("wb") as output:
                running.append(subprocess.Popen(command, stdout=output))
        if any(process.wait() for process in running):
            raise SystemExit("spm_encode failed")
    return time.monotonic() - began


class earlier:
    """A checkout of another commit, while the block lasts."""

    def __init__(self, commit: str, folder: Path) -> None:
        self._commit, self._path = commit, folder / "before"

    def __enter__(self) -> Path:
        _git("worktree", "add", "--force", "--detach", str(self._path), self._commit)
        return self._path

    def __exit__(self, *exception: object) -> None:
        _git("worktree", "remove", "--force", str(self._path))


def _git(*arguments: str) -> None:
    subprocess.run(["git", "-C", str(HERE), *arguments], check=True, capture_output=True)


def _rate(done: dict[str, Any], what: str) -> float:
    return done[what] / done["seconds"]


def _watch(pid: int, most: list[int], ended: threading.Event) -> None:
    while not ended.wait(0.02):
        most[0] = max(most[0], sum(map(_anonymous, _tree(pid))))


def _tree(pid: int) -> list[int]:
    """A process and all below it."""
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        for tasks in Path(f"/proc/{found[-1]}/task").glob("*/children"):
            try:
                waiting += map(int, tasks.read_text().split())
            except OSError:
                continue
    return found


def _anonymous(pid: int) -> int:
    """Bytes of memory of a process that are no pages of files."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


if __name__ == "__main__":
    typer.run(main)
