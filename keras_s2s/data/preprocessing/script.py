"""The scripts that the texts are written in."""

from contextlib import suppress
from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from keras_s2s.data.preprocessing import PIECES, PairFilter


def _as_list(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


Scripts = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


@PIECES.register
class Script(PairFilter):
    """Leaves out pairs with a text in another script.

    A text passes if enough of its letters are of the script, by Unicode's Script_Extensions (Standard Annex 24). One
    without letters, as a number or `:-)`, passes.

    Args:
        kind: its name.
        source: the script of the sources, as Unicode calls it: `Latin`, `Cyrillic`, `Han`; several are a list, such as
            `[Han, Hiragana, Katakana]` of Japanese. Not looked at if not given.
        target: the same of the targets.
        minimum: the least share of letters of the script.
    """

    kind: Literal["script"] = "script"
    source: Scripts = ()
    target: Scripts = ()
    minimum: float = Field(default=0.5, gt=0, le=1)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if not (self.source or self.target):
            raise ValueError("expected 'source', 'target' or both, such as source: Latin")
        for side, scripts in (("source", self.source), ("target", self.target)):
            for script in scripts:
                _check(side, script)
        return self

    def reason(self, source: str, target: str) -> str | None:
        """Names the side."""
        for side, text, scripts in (("source", source, self.source), ("target", target, self.target)):
            if scripts and _share(text, scripts) < self.minimum:
                return f"{side} under {self.minimum:.0%} {', '.join(scripts)}"
        return None


def _share(text: str, scripts: tuple[str, ...]) -> float:
    """The share of letters that are of these scripts; 1 if there is no letter."""
    of_scripts = "".join(rf"\p{{scx={script}}}" for script in scripts)
    others = len(_pattern(rf"[\p{{L}}--[{of_scripts}]]").findall(text))
    return 1 - others / len(_pattern(r"\p{L}").findall(text)) if others else 1.0


def _check(side: str, script: str) -> None:
    import regex

    with suppress(regex.error):
        if script.isidentifier() and _pattern(rf"\p{{scx={script}}}"):
            return
    raise ValueError(f"{side}: no script '{script}'; expected its name in Unicode, such as Latin, Cyrillic or Han")


@cache
def _pattern(pattern: str) -> Any:
    import regex

    return regex.compile(pattern, regex.V1)
