"""Many options of a verb as one argument."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any


def spread(name: str, options: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Makes a verb's argument `name` one option for each field of `options`, in its place.

    Args:
        name: an argument of the verb.
        options: a dataclass, whose fields are annotated as the arguments of a verb are. The verb gets one.
    """
    fields = dataclasses.fields(options)

    def of(verb: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(verb)
        def spreading(**given: Any) -> None:
            verb(**{name: options(**{field.name: given.pop(field.name) for field in fields})}, **given)

        signature = inspect.signature(verb)
        parameters: list[inspect.Parameter] = []
        for own, parameter in signature.parameters.items():
            parameters += map(_parameter, fields) if own == name else [parameter]
        # As keywords, those without a default may stand behind others.
        by_name = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
        spreading.__signature__ = signature.replace(parameters=by_name)  # type: ignore[attr-defined]
        return spreading

    return of


def _parameter(field: "dataclasses.Field[Any]") -> inspect.Parameter:
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type)
