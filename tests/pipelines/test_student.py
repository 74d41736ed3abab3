"""The workflow from a teacher to a student."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

SNAKEFILE = Path(__file__).parents[2] / "pipelines" / "student" / "Snakefile"
RULES = ["held_out", "teacher", "distilled", "student", "pruned", "smaller", "smaller", "report"]


def command(*arguments: str) -> list[str]:
    return ["snakemake", "--snakefile", str(SNAKEFILE), *arguments]


def planned(folder: Path, *arguments: str) -> list[str]:
    done = subprocess.run([*command(*arguments), "-n"], cwd=folder, capture_output=True, text=True, check=True)
    return [
        line.split()[1].rstrip(":") for line in done.stdout.splitlines() if line.startswith(("rule ", "localrule "))
    ]


@pytest.mark.parametrize("where", [("--cores", "2"), ("--executor", "slurm", "--jobs", "10")], ids=["here", "slurm"])
@pytest.mark.parametrize("data", ["multi30k", "dates"])
def test_the_plan(tmp_path: Path, where: tuple[str, ...], data: str) -> None:
    assert sorted(planned(tmp_path, *where, "--config", f"data={data}")) == sorted([*RULES, "all"])


@pytest.mark.slow
def test_a_whole_run_that_is_killed_once(tmp_path: Path) -> None:
    run = command("--cores", "2", "--config", "data=dates")
    outputs = tmp_path / "student" / "dates" / "distilled" / "teacher" / "outputs.tsv"
    with subprocess.Popen(run, cwd=tmp_path, start_new_session=True, stderr=subprocess.DEVNULL) as first:
        while first.poll() is None and not (outputs.exists() and outputs.stat().st_size):
            os.sched_yield()
        os.killpg(first.pid, signal.SIGKILL)
    assert not (tmp_path / "saved_models" / "dates-student").exists()
    subprocess.run(run, cwd=tmp_path, check=True)
    report = (tmp_path / "student" / "dates" / "report.md").read_text(encoding="utf-8")
    names = [line.split("|")[1].strip() for line in report.splitlines() if line.startswith("| ")]
    assert names[2:] == [
        "teacher, greedy",
        "student",
        "student, 8 bits a weight",
        "student, 4 bits a weight",
        "student, pruned",
        "student, pruned, 4 bits a weight",
    ]
    assert (tmp_path / "student" / "dates" / "variants.png").stat().st_size > 1000
    assert "Nothing to be done" in subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True).stderr
