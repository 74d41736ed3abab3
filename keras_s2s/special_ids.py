"""The ids that mean something other than a piece of text. Every vocabulary begins with them."""

PADDING = 0
"""Fills rows up to one length, and stands for nothing else."""
BOS = 1
"""Begins what a decoder reads."""
EOS = 2
"""Ends a source and a target."""
UNKNOWN = 3
"""Stands for text that no piece can write."""

FIRST_LABEL = UNKNOWN
"""The first id that a CTC head may write; those before it are classes that no frame has."""
