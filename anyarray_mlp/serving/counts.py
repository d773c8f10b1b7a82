"""What a server counts, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
ROWS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 30000)


class Counts:
    """The figures of one server."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name = "anyarray_mlp"
        common = {"registry": self.registry, "namespace": name}
        self.requests = Counter("requests", "Answers, by HTTP status.", ["status"], **common)
        self.seconds = Histogram(
            "request_seconds", "From a request to its answer.", buckets=SECONDS, **common
        )
        self.present = Gauge("requests_in_progress", "Requests without an answer yet.", **common)
        self.rows = Counter("rows", "Rows that were predicted.", **common)
        self.unknown = Counter(
            "unknown_categories",
            "Columns of requests with categories not seen in training.",
            **common,
        )
        self.passes = Histogram(
            "pass_rows", "Rows that one pass of the network predicts.", buckets=ROWS, **common
        )

    def text(self) -> bytes:
        """All figures in the text format of Prometheus."""
        return bytes(generate_latest(self.registry))
