"""Checks of a bundle before its graphs are used."""

from keras_s2s.runtime import loading as module


def test_releases_are_compared_as_numbers() -> None:
    assert module._release("1.9") < module._release("1.10.0") == module._release("1.10")
    assert module._release("1.31.1.dev20260101") == module._release("1.31.1")
