import pytest
from rich.console import Console

from keras_s2s.bundle import Part
from keras_s2s.cli.model_tree import model_tree

PARTS = [
    Part(name="1/encoder", kind="lstm", shape="(B, S, D)", parameters=10_000_000),
    Part(name="1/decoder", kind="lstm", shape="(R, T, D)", parameters=5_000_000),
    Part(name="2/logits", kind="linear", shape="(R, T, V)", parameters=25_000_000),
]


@pytest.fixture
def drawn() -> list[str]:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(model_tree("model", PARTS))
    return capture.get().splitlines()


def test_a_slash_makes_a_branch(drawn: list[str]) -> None:
    assert [line[:14].rstrip() for line in drawn] == [
        "model",
        "├─ 1",
        "│  ├─ encoder",
        "│  └─ decoder",
        "└─ 2",
        "   └─ logits",
    ]


def test_branches_have_the_sum_of_their_parts(drawn: list[str]) -> None:
    numbers = [next(word for word in line.split() if word.endswith("000")) for line in drawn]
    assert numbers == ["40,000,000", "15,000,000", "10,000,000", "5,000,000", "25,000,000", "25,000,000"]
    assert [word for line in drawn for word in line.split() if "%" in word] == [
        "100%",
        "38%",
        "25%",
        "12%",
        "62%",
        "62%",
    ]


def test_bars_are_as_long_as_the_share(drawn: list[str]) -> None:
    assert [line.count("█") for line in drawn] == [0, 0, 2, 1, 0, 6]


def test_a_narrow_terminal_costs_only_the_bars() -> None:
    console = Console(width=52)
    with console.capture() as capture:
        console.print(model_tree("model", PARTS))
    assert "│  ├─ encoder  lstm    (B, S, D)  10,000,000   25%" in capture.get()


def test_a_model_without_parameters_is_drawn() -> None:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(model_tree("model", [Part(name="bridge", kind="state", shape="B rows", parameters=0)]))
    assert "0%" in capture.get()
