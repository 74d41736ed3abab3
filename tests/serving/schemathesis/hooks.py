"""What schemathesis cannot know from the OpenAPI document; it imports this file."""

import json
import re
import struct
from typing import Any

import schemathesis
from hypothesis import strategies

LENGTH = "Inference-Header-Content-Length"
BINARY = "application/octet-stream"

RULES = (
    r"n_best: expected (at most the beam size|1 with strategy)",
    r"beam_size: expected (1|at least 2) with strategy",
    r"min_length: expected at most the maximum length",
    r"strategy '\w+' does not look at it",
    r"strategy: no strategy '\w+'",
    r"own: the bundle has no options of its own",
    r"no graph '[\w-]+' in int8",
    r"hypotheses a text, at most",
    r"source tokens with its end, at most",
    r"target: \d+ tokens, at most",
    r"tokens could come out, at most",
    r"a prefix of \d+ tokens, but at most",
    r"\d+ prefixes for \d+ texts",
    r"\d+ sources and \d+ targets",
    r"\d+ texts, at most \d+ are taken",
    r"inputs: (text|prefix): (given twice|shape .* for \d+ values|shape .*, expected|expected either 'data', or)",
    r"inputs: (text|prefix): binary_data_size \d+, but",
    r"inputs: 'text' is missing",
    r"outputs: (text|score): wanted twice",
)
"""Rules between fields, and of this model: no schema says them. Everything else that a schema allows is answered."""


@strategies.composite
def _bodies(draw: Any) -> bytes:
    """A request with its texts after the JSON."""
    texts = draw(strategies.lists(strategies.text(max_size=9), min_size=1, max_size=9))
    raw = b"".join(struct.pack("<I", len(one)) + one for one in map(str.encode, texts))
    size = {"binary_data_size": len(raw)}
    tensor = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "parameters": size}
    outputs = draw(
        strategies.lists(
            strategies.fixed_dictionaries(
                {"name": strategies.sampled_from(["text", "score"])},
                optional={"parameters": strategies.fixed_dictionaries({"binary_data": strategies.booleans()})},
            ),
            unique_by=lambda output: output["name"],
        )
    )
    parameters = {"binary_data_output": draw(strategies.booleans())}
    return json.dumps({"inputs": [tensor], "outputs": outputs, "parameters": parameters}).encode() + raw


schemathesis.openapi.media_type(BINARY, _bodies())


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    """Says in a header how long the JSON of a valid body is."""
    if not _is_valid(case) or not case.path.endswith("/infer"):
        return
    case.headers.pop(LENGTH, None)
    if case.media_type == BINARY:
        _, end = json.JSONDecoder().raw_decode(case.body.decode("latin-1"))
        case.headers[LENGTH] = str(end)


@schemathesis.check
def valid_requests_are_refused_by_a_known_rule_only(context: Any, response: Any, case: Any) -> None:
    """Where `positive_data_acceptance` lets a refusal pass, its reason must be one that no schema can say."""
    if _is_valid(case) and response.status_code in (413, 422):
        error = response.json()["error"]
        assert re.search("|".join(RULES), error), f"valid, but refused: {error}"


def _is_valid(case: Any) -> bool:
    """Whether a body is meant to be valid; fields of an answer in a body of bytes, as links put them there, are not."""
    is_mixed = case.media_type == BINARY and not isinstance(case.body, bytes)
    return case.meta is not None and case.meta.generation.mode.is_positive and not is_mixed
