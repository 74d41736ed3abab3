"""Length penalties in words, as the command line takes them. Their formulas are in `decoding.length_penalties`."""

from keras_s2s.errors import UserError

EXAMPLES = "0.6, gnmt:0.6, average or none"

_WORDS = {
    "average": {"length_penalty": 1.0, "length_penalty_base": 0.0},
    "none": {"length_penalty": 0.0},
}
_BASES = {"gnmt": 5.0}
"""The bases that have a name; an exponent follows it."""


def length_penalty_options(word: str) -> dict[str, float]:
    """The options of the search that a word stands for: `0.6`, `gnmt:0.6`, `average` or `none`.

    Raises:
        UserError: it is something else.
    """
    if word in _WORDS:
        return dict(_WORDS[word])
    name, colon, exponent = word.rpartition(":")
    try:
        found = {"length_penalty": float(exponent)}
    except ValueError:
        found = {}
    if not found or (colon and name not in _BASES):
        raise UserError(f"expected a number such as {EXAMPLES}, got {word!r}")
    return found | ({"length_penalty_base": _BASES[name]} if colon else {})
