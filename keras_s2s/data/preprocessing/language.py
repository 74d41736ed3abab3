"""The languages of the texts."""

import difflib
from functools import cache
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from keras_s2s.data.preprocessing import PIECES, PairFilter
from keras_s2s.errors import UserError


@PIECES.register
class Language(PairFilter):
    """Leaves out pairs with a text in another language, which py3langid identifies (Lui and Baldwin 2012).

    A text passes if its language is not much less probable than the most probable one. So a short text, of which many
    languages are about as probable, is left out only if it looks like another language, and one that tells nothing,
    as `OK`, a number or `:-)`, never.

    Args:
        kind: its name.
        source: the language of the sources, as ISO 639 calls it: `en`, `de`, `zh`; not looked at if not given.
        target: the same of the targets.
        minimum: the least probability of that language, as a share of the most probable one's. More finds more of what
            is wrong, and loses more of what is right.
    """

    kind: Literal["language"] = "language"
    source: str | None = None
    target: str | None = None
    minimum: float = Field(default=0.2, gt=0, le=1)

    @model_validator(mode="after")
    def _known(self) -> Self:
        if self.source is None and self.target is None:
            raise ValueError("expected 'source', 'target' or both, such as source: en")
        for side, language in (("source", self.source), ("target", self.target)):
            if language is not None and language not in (known := _identifier().labels):
                near = difflib.get_close_matches(language, known, n=1, cutoff=0.5)
                hint = f"did you mean '{near[0]}'?" if near else "expected its code in ISO 639, such as 'en' or 'zh'"
                raise ValueError(f"{side}: no language '{language}'; {hint}")
        return self

    def reason(self, source: str, target: str) -> str | None:
        """Names the side, and the language found."""
        for side, text, language in (("source", source, self.source), ("target", target, self.target)):
            if language is not None and (found := self._other(text, language)) is not None:
                return f"{side} in '{found}', not '{language}'"
        return None

    def _other(self, text: str, language: str) -> str | None:
        """The language that a text seems to be in, if it is another one."""
        found, probability = _identifier().classify(text)
        if found == language or (found, probability) == _nothing_known():
            return None
        is_near = dict(_identifier().rank(text))[language] >= self.minimum * probability
        return None if is_near else found


@cache
def _identifier() -> Any:
    """All languages, with probabilities."""
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier
    except ImportError:
        raise UserError("preprocessing: language: needs py3langid; pip install 'keras_s2s[train]'") from None
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@cache
def _nothing_known() -> tuple[str, float]:
    """What is said of a text in which the model knows nothing."""
    return _identifier().classify("")
