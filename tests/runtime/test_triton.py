"""Models of Triton: their folders, their configuration, and the graphs that they describe."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from keras_s2s import UserError
from keras_s2s.runtime.triton import write_triton_model

TYPES = {"TYPE_BOOL": "tensor(bool)", "TYPE_INT32": "tensor(int32)", "TYPE_FP32": "tensor(float)"}
FIELD = descriptor_pb2.FieldDescriptorProto
STRING, INT32, INT64 = FIELD.TYPE_STRING, FIELD.TYPE_INT32, FIELD.TYPE_INT64
# As Triton's model_config.proto has them; in text only names and types count.
ENUMS = {"DataType": ["TYPE_INVALID", *TYPES], "Kind": ["KIND_AUTO", "KIND_GPU", "KIND_CPU"]}
TENSOR = {"name": STRING, "data_type": "DataType", "dims": [INT64]}
MESSAGES: dict[str, dict[str, Any]] = {
    "ModelInput": TENSOR,
    "ModelOutput": TENSOR,
    "ModelInstanceGroup": {"kind": "Kind", "count": INT32},
    "ModelParameter": {"string_value": STRING},
    "Parameter": {"key": STRING, "value": "ModelParameter"},
    "ModelConfig": {
        "name": STRING,
        "backend": STRING,
        "default_model_filename": STRING,
        "max_batch_size": INT32,
        "input": ["ModelInput"],
        "output": ["ModelOutput"],
        "instance_group": ["ModelInstanceGroup"],
        "parameters": ["Parameter"],
    },
}


def model_config() -> Any:
    """An empty message of Triton's for the configuration of a model."""
    file = descriptor_pb2.FileDescriptorProto(name="model_config.proto", package="triton", syntax="proto3")
    for name, values in ENUMS.items():
        enum = file.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            one = kind[0] if isinstance(kind, list) else kind
            label = FIELD.LABEL_REPEATED if isinstance(kind, list) else FIELD.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if isinstance(one, str):
                added.type, added.type_name = FIELD.TYPE_ENUM if one in ENUMS else FIELD.TYPE_MESSAGE, f".triton.{one}"
            else:
                added.type = one
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("triton.ModelConfig"))()


def read(model: Path) -> Any:
    return text_format.Parse((model / "config.pbtxt").read_text(), model_config())


def sizes(shape: list[Any]) -> list[int]:
    """Of a tensor, as Triton counts: -1 is any, and a scalar has one."""
    return [size if isinstance(size, int) else -1 for size in shape] or [1]


@pytest.mark.parametrize("graph", ["greedy", "beam", "sample", "greedy-constrained", "score"])
def test_a_model_is_described_as_it_is(many_graphs_bundle: Path, tmp_path: Path, graph: str) -> None:
    model = write_triton_model(many_graphs_bundle, tmp_path, graph, "fp32", threads=2)
    assert model == tmp_path / f"many-{graph}"
    assert os.listdir(tmp_path) == [model.name]
    assert sorted(path.relative_to(model).as_posix() for path in model.rglob("*.*")) == [
        "1/model.onnx",
        "1/weights.bin",
        "config.pbtxt",
    ]
    config = read(model)
    assert (config.name, config.backend, config.default_model_filename) == (model.name, "onnxruntime", "model.onnx")
    assert config.max_batch_size == 0
    assert [(group.kind, group.count) for group in config.instance_group] == [(ENUMS["Kind"].index("KIND_CPU"), 1)]
    assert {entry.key: entry.value.string_value for entry in config.parameters} == {"intra_op_thread_count": "2"}
    session = onnxruntime.InferenceSession(str(model / "1/model.onnx"), providers=["CPUExecutionProvider"])
    for described, there in ((config.input, session.get_inputs()), (config.output, session.get_outputs())):
        found = [(tensor.name, TYPES[ENUMS["DataType"][tensor.data_type]], list(tensor.dims)) for tensor in described]
        assert found == [(tensor.name, tensor.type, sizes(tensor.shape)) for tensor in there]


def test_the_weights_come_along(many_graphs_bundle: Path, tmp_path: Path) -> None:
    model = write_triton_model(many_graphs_bundle, tmp_path, "greedy", "fp32")
    session = onnxruntime.InferenceSession(str(model / "1/model.onnx"), providers=["CPUExecutionProvider"])
    inputs = {"source_ids": [[5, 6, 2]], "max_length_factor": 1.0, "max_length_extra": 0}
    kinds = {"source_ids": "int32", "max_length_factor": "float32", "max_length_extra": "int32"}
    tokens, _, scores = session.run(None, {name: np.array(value, kinds[name]) for name, value in inputs.items()})
    assert (tokens.tolist(), scores.tolist()) == ([[[5, 6, 0]]], [[-2.0]])


def test_the_defaults_of_the_bundle_are_told(echo_bundle: Path, tmp_path: Path) -> None:
    lines = (write_triton_model(echo_bundle, tmp_path, precision="fp32") / "config.pbtxt").read_text().splitlines()
    assert lines[0] == 'name: "echo-beam"'
    (line,) = (line for line in lines if '"length_penalty"' in line)
    assert line == 'input { name: "length_penalty" data_type: TYPE_FP32 dims: [1] }  # in the bundle 0.5'


def test_an_output_has_no_default(echo_bundle: Path, tmp_path: Path) -> None:
    lines = (write_triton_model(echo_bundle, tmp_path, precision="fp32") / "config.pbtxt").read_text().splitlines()
    (line,) = (line for line in lines if '"scores"' in line)
    assert line.startswith("output ")
    assert "in the bundle" not in line


def test_a_model_that_is_there_stays(echo_bundle: Path, tmp_path: Path) -> None:
    model = write_triton_model(echo_bundle, tmp_path, "greedy", "fp32")
    (model / "config.pbtxt").write_text("mine")
    with pytest.raises(UserError, match="echo-greedy: is there already; remove it or choose another repository"):
        write_triton_model(echo_bundle, tmp_path, "greedy", "fp32")
    assert (model / "config.pbtxt").read_text() == "mine"


@pytest.mark.parametrize(
    ("graph", "precision", "message"),
    [
        ("sample", "fp32", "no graph 'sample' in fp32, which has greedy, beam; export the bundle with 'sample'"),
        ("greedy", "int8", "no graphs of precision 'int8'; it has fp32"),
    ],
)
def test_a_graph_that_is_not_there(echo_bundle: Path, tmp_path: Path, graph: str, precision: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_triton_model(echo_bundle, tmp_path / "models", graph, precision)
    assert not (tmp_path / "models").exists()


def test_spoilt_weights(own_bundle: Path, tmp_path: Path) -> None:
    (own_bundle / "onnx/fp32/weights.bin").write_bytes(b"1234")
    with pytest.raises(UserError, match=r"weights\.bin: its SHA-256 is not the one"):
        write_triton_model(own_bundle, tmp_path / "models", "greedy", "fp32")
    assert not [*tmp_path.glob("models/*")]
