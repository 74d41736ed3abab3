"""HTTP over the runtime: requests of many clients share batches. Needs the extra `serve`, and no TensorFlow."""
