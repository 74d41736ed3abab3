"""Decodes a file of lines, on this machine or on a cluster, and shows how far it is."""

from typing import TYPE_CHECKING, Protocol

from keras_s2s.cli.lines_done import lines_done
from keras_s2s.cli.output_form import Tally
from keras_s2s.cli.work import Work

if TYPE_CHECKING:
    from keras_s2s.runtime import Generator


class Sink(Protocol):
    """What an output is written to.

    Attributes:
        lines: of the input, whose output is there already.
        tally: of all outputs that are written.
    """

    lines: int
    tally: Tally

    def write(self, text: bytes, lines: int, tally: Tally) -> None: ...


def decode(work: Work, generator: "Generator", sink: Sink, cores: int | None, ray: bool, shown: bool) -> None:
    """Writes the outputs of all lines that are not done yet.

    Args:
        work: what to decode, and how.
        generator: of its bundle.
        sink: where to.
        cores: of the cluster; None is all.
        ray: whether it is done on the cluster that `on_ray.connect` has found.
        shown: whether a terminal shows how far it is.

    Raises:
        UserError: as `Work.done_here`.
    """
    total = None if work.content is None else work.content.lines
    with lines_done(total, sink.lines, shown) as done:
        if ray:
            from keras_s2s.cli import on_ray

            parts = on_ray.done(work, sink.lines, cores)
        else:
            parts = work.done_here(generator, sink.lines)
        for part in parts:
            sink.write(*part)
            done(part.lines)
