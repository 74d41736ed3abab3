"""A decoder's state: `memory` holds one row a sentence, `rows` one a hypothesis.

A bridge makes the first state, of one row a sentence, from an encoder's outputs, `encoded` (B, S, D) and `mask` (B, S);
for a language model from `position` (B,), zeros.
"""

from keras import ops

from keras_s2s.typing import Tensor


def first_position(given: dict[str, Tensor]) -> Tensor:
    """The number of tokens that rows have seen, (B,) int32, from what a bridge is given."""
    if "position" in given:
        return given["position"]
    return ops.zeros((ops.shape(given["mask"])[0],), dtype="int32")
