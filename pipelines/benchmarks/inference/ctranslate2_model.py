"""One of our Transformer models as a CTranslate2 model, by its public specification."""

from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2.specs import TransformerSpec, common_spec
from ctranslate2.specs.model_spec import LayerSpec
from theirs import SPECIAL, token

from keras_s2s.layers import sinusoids

LONGEST = 512


def write(model: Any, folder: Path, precision: str) -> None:
    """Writes a model for CTranslate2.

    Args:
        model: a Transformer with norms before its parts, sinusoidal positions and ReLU.
        folder: made.
        precision: "float32" or "int8".
    """
    config = model.config
    heads = config.encoder.heads
    spec = TransformerSpec.from_config(
        (config.encoder.layers, config.decoder.layers), heads, pre_norm=True, activation=common_spec.Activation.RELU
    )
    encoder, decoder = model.encoder, model.decoder
    _stack(spec.encoder, encoder, config.width)
    _stack(spec.decoder, decoder, config.width)
    for layer, block, memory in zip(spec.decoder.layer, decoder.blocks, model.bridge.keys_values, strict=True):
        _norm(layer.attention.layer_norm, block.cross_residual.norm)
        _linear(layer.attention.linear[0], block.cross_attention.query)
        _linear(layer.attention.linear[1], memory.key_value)
        _linear(layer.attention.linear[2], block.cross_attention.output_projection)
    spec.encoder.embeddings[0].weight = encoder.source.embedding.table.numpy()
    spec.decoder.embeddings.weight = decoder.embedding.table.numpy()
    tied = model.head.tied
    spec.decoder.projection.weight = tied.table.numpy() if tied else np.ascontiguousarray(model.head.kernel.numpy().T)
    spec.decoder.projection.bias = model.head.bias.numpy()
    spec.register_source_vocabulary([token(number) for number in range(config.source_vocabulary)])
    spec.register_target_vocabulary([token(number) for number in range(config.target_vocabulary)])
    spec.config.add_source_bos = spec.config.add_source_eos = False
    spec.config.decoder_start_token, spec.config.layer_norm_epsilon = SPECIAL[1], 1e-5
    spec.validate()
    spec.optimize(quantization=None if precision == "float32" else precision)
    folder.mkdir(parents=True)
    spec.save(str(folder))


def _stack(spec: LayerSpec, stack: Any, width: int) -> None:
    """What an encoder and a decoder have in common."""
    spec.position_encodings.encodings = np.array(sinusoids(np.arange(LONGEST)[None], width))[0]
    _norm(spec.layer_norm, stack.norm)
    for layer, block in zip(spec.layer, stack.blocks, strict=True):
        _norm(layer.self_attention.layer_norm, block.mixer_residual.norm)
        _linear(layer.self_attention.linear[0], block.mixer.query_key_value)
        _linear(layer.self_attention.linear[1], block.mixer.output_projection)
        _norm(layer.ffn.layer_norm, block.feed_forward_residual.norm)
        _linear(layer.ffn.linear_0, block.feed_forward.up)
        _linear(layer.ffn.linear_1, block.feed_forward.down)


def _linear(spec: LayerSpec, layer: Any) -> None:
    spec.weight, spec.bias = np.ascontiguousarray(layer.kernel.numpy().T), layer.bias.numpy()


def _norm(spec: LayerSpec, layer: Any) -> None:
    spec.gamma, spec.beta = layer.scale.numpy(), layer.offset.numpy()
