"""Where a token stands, as a vector."""

import numpy as np
from keras import ops

from keras_s2s.layers.fused import Tensor


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Sines and cosines of geometric wavelengths (Vaswani et al. 2017, section 3.5), sines first.

    Args:
        positions: (N, T) whole numbers, from 0; no largest one.
        width: D, even.

    Returns:
        (N, T, D) float32.
    """
    frequencies = np.exp(np.arange(width // 2) * (-np.log(10000.0) / (width // 2 - 1))).astype("float32")
    angles = ops.cast(positions, "float32")[:, :, None] * frequencies  # (N, T, D/2)
    return ops.concatenate([ops.sin(angles), ops.cos(angles)], axis=-1)
