"""The exception that becomes an error response."""

from collections.abc import Mapping


class HTTPProblem(Exception):
    """A request that is rejected, or fails: its status and message are the response.

    Args:
        status: of HTTP, 4xx or 5xx.
        message: one line: what, what was expected, what to do.
        retry_after: seconds after which it may be tried again.
        headers: of the answer, beside `Retry-After`.
    """

    def __init__(
        self, status: int, message: str, retry_after: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after = status, message, retry_after
        self.headers = dict(headers or {}) | ({} if retry_after is None else {"retry-after": str(retry_after)})
