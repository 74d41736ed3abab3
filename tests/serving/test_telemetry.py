"""Traces of OpenTelemetry, sent to a collector on this machine."""

import shutil
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@pytest.fixture
def collector() -> Iterator[tuple[str, list[Any]]]:
    """Where spans are sent, and those that came."""
    spans: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = ExportTraceServiceRequest.FromString(self.rfile.read(int(self.headers["content-length"])))
            spans.extend(span for group in sent.resource_spans for scope in group.scope_spans for span in scope.spans)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{receiver.server_port}", spans
        receiver.shutdown()


def test_a_request_is_a_span_that_does_not_tell_the_text(
    stepwise_bundle: Path, serving: Callable[..., Any], collector: tuple[str, list[Any]]
) -> None:
    url, spans = collector
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
    }
    program = shutil.which("opentelemetry-instrument")
    assert program is not None
    with serving(stepwise_bundle, program=[program], **environment) as server:
        trace = "0af7651916cd43dd8448eb211c80319c"
        headers = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
        assert server.post("/v1/generate", {"text": "quetzalcoatl"}, headers=headers).status_code == 200
        assert server.stop() == 0
    (span,) = [span for span in spans if span.name == "POST /v1/generate"]
    assert span.trace_id.hex() == trace
    attributes = {attribute.key: attribute.value for attribute in span.attributes}
    assert attributes["http.route"].string_value == "/v1/generate"
    assert attributes["http.response.status_code"].int_value == 200
    assert "quetzalcoatl" not in str(spans)
