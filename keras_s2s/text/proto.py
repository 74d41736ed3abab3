"""The fields of a SentencePiece model file."""

from typing import Any

MARK = "▁"  # how SentencePiece writes a space


def parsed(model: bytes) -> Any:
    """Returns the `ModelProto` of a serialized model."""
    # Who only encodes does without protobuf.
    from sentencepiece.sentencepiece_model_pb2 import ModelProto  # type: ignore[attr-defined]

    return ModelProto.FromString(model)
