"""A cache of plans: most requests have the same options."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from keras_s2s.runtime import Generator
from keras_s2s.runtime.generator import Plan
from keras_s2s.search_options import OwnValues

_HASHABLE: Mapping[type, Callable[[Any], Any]] = {list: tuple, dict: OwnValues}


class PlanCache:
    """A cache of `Generator.plan` for the options of requests, which never cut a text that is too long."""

    def __init__(self, generator: Generator) -> None:
        self._plan = functools.lru_cache(maxsize=256)(functools.partial(_plan, generator))

    def __call__(self, options: Mapping[str, Any], prefixed: bool) -> Plan:
        """The plan.

        Args:
            options: of a call of a `Generator`; lists may stand for tuples, and dicts for values of a model's own.
            prefixed: as `Generator.plan`.

        Raises:
            UserError: as `Generator.plan`.
        """
        hashable = {name: _HASHABLE.get(type(value), lambda same: same)(value) for name, value in options.items()}
        return self._plan(tuple(sorted({**hashable, "strict": True}.items())), prefixed)


def _plan(generator: Generator, options: tuple[tuple[str, Any], ...], prefixed: bool) -> Plan:
    return generator.plan(dict(options), prefixed)
