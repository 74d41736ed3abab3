"""The options of a search as a table, from the configs that check them."""

import recipe_keys

from keras_s2s.bundle import Decoding
from keras_s2s.runtime import Options


def markdown() -> str:
    """The options that a bundle has defaults for, and those of a call alone."""
    of_bundle = list(Decoding.model_fields)
    of_call = [name for name in Options.model_fields if name not in of_bundle]
    return "\n\n".join(
        [
            "Each has a default in the bundle; here are those that apply where the bundle's recipe says nothing.",
            recipe_keys.table(Decoding, of_bundle, {}, "option"),
            "These are options of a call, and a bundle has no defaults for them:",
            recipe_keys.table(Options, of_call, {}, "option"),
        ]
    )
