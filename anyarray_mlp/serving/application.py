"""The routes: /predict, /model, /health, /metrics."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from anyarray_mlp import __version__
from anyarray_mlp.backends import Backend
from anyarray_mlp.errors import AnyArrayMLPError, DataError, OutOfMemoryError, UsageError
from anyarray_mlp.pipeline.answers import answers_of, as_csv, as_rows, probabilities
from anyarray_mlp.pipeline.trained_model import TrainedModel
from anyarray_mlp.serving.batching import Batcher
from anyarray_mlp.serving.counts import Counts
from anyarray_mlp.serving.questions import Question, question_of
from anyarray_mlp.typing import Host

CSV, JSON = "text/csv", "application/json"
#: Values of the query's `proba`.
SWITCH = {"": False, "0": False, "false": False, "1": True, "true": True}


@dataclass(frozen=True)
class Limits:
    """How large a body may be, in bytes; how long a request may take, in seconds; how many rows one pass takes."""

    body: int = 10_000_000
    seconds: float = 30.0
    rows: int = 4096


def application(trained: TrainedModel, backend: Backend, limits: Limits) -> Starlette:
    """The server of a model as an ASGI application."""
    service = Service(trained, backend, limits)
    routes = [
        Route("/predict", service.predict, methods=["POST"]),
        Route("/model", service.model),
        Route("/health", service.health),
        Route("/metrics", service.metrics),
    ]
    return Starlette(
        routes=routes, lifespan=service.lifespan, exception_handlers={HTTPException: told}
    )


async def told(request: Request, error: Exception) -> Response:
    """A refusal as JSON."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


class Service:
    """A model, and what is known of its requests."""

    def __init__(self, trained: TrainedModel, backend: Backend, limits: Limits) -> None:
        self.trained = trained
        self.backend = backend
        self.limits = limits
        self.counts = Counts()

    @contextlib.asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        """Answer questions as long as the server runs."""
        self.batcher = Batcher(self.outputs, self.limits.rows, self.counts.passes.observe)
        async with self.batcher.running():
            yield

    def outputs(self, x: Host, scale: float | None) -> Host:
        """The network's outputs (n, k) of inputs (n, i)."""
        return self.trained.predictor(self.backend, scale)(x)

    async def health(self, request: Request) -> Response:
        """That it answers."""
        return JSONResponse({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        """The figures for Prometheus."""
        return Response(self.counts.text(), media_type=self.counts.content_type)

    async def model(self, request: Request) -> Response:
        """What the model takes and gives."""
        trained = self.trained
        classes = trained.targets.classes
        return JSONResponse(
            {
                "task": trained.targets.task,
                "columns": list(trained.preprocessor.used_names),
                "targets": list(trained.target_names),
                "classes": None if classes is None else classes.tolist(),
                "version": __version__,
            }
        )

    async def predict(self, request: Request) -> Response:
        """Predictions for the rows of the body."""
        began = time.perf_counter()
        status = 500
        with self.counts.present.track_inprogress():
            try:
                response = await refused_in_words(self.answer, request)
                status = response.status_code
                return response
            except HTTPException as error:
                status = error.status_code
                raise
            finally:
                self.counts.requests.labels(str(status)).inc()
                self.counts.seconds.observe(time.perf_counter() - began)

    async def answer(self, request: Request) -> Response:
        """The answer to a request, within its time."""
        is_json, as_json = forms_of(request)
        proba = switch_of(request)
        if proba and self.trained.targets.task == "regression":
            raise UsageError("proba is for classes; this model predicts numbers.")
        body, late = b"", 408
        try:
            async with asyncio.timeout(self.limits.seconds):
                body = await self.body_of(request)
                late = 503
                question = await asyncio.to_thread(
                    question_of, self.trained, body, is_json, self.backend.dtype
                )
                outputs = await self.batcher.answer(question)
                return await asyncio.to_thread(self.response, question, outputs, proba, as_json)
        except TimeoutError:
            raise HTTPException(
                late, f"The request took longer than {self.limits.seconds:g} seconds."
            ) from None

    async def body_of(self, request: Request) -> bytes:
        """The body; 413 as soon as it is known to be too large."""
        too_large = HTTPException(
            413,
            f"The body has more than {self.limits.body:,} bytes: send fewer rows at a time.",
            {"Connection": "close"},
        )
        length = request.headers.get("content-length", "0")
        if length.isdecimal() and int(length) > self.limits.body:
            raise too_large
        parts, size = [], 0
        async for part in request.stream():
            size += len(part)
            if size > self.limits.body:
                raise too_large
            parts.append(part)
        return b"".join(parts)

    def response(self, question: Question, outputs: Host, proba: bool, as_json: bool) -> Response:
        """Outputs (n, k) as predictions."""
        answers = answers_of(self.trained, outputs)
        if proba:
            answers |= probabilities(self.trained, outputs)
        columns = {name: column.tolist() for name, column in answers.items()}
        self.counts.rows.inc(len(outputs))
        self.counts.unknown.inc(len(question.warnings))
        if as_json:
            warnings = list(question.warnings)
            return JSONResponse({"predictions": as_rows(columns), "warnings": warnings})
        headers = {"X-Warnings": str(len(question.warnings))}
        return Response(as_csv(columns), media_type=CSV, headers=headers)


async def refused_in_words(
    answer: Callable[[Request], Awaitable[Response]], request: Request
) -> Response:
    """An answer; what the package refuses is told with the status that it has in HTTP."""
    try:
        return await answer(request)
    except (DataError, UsageError) as error:
        raise HTTPException(400, str(error)) from error
    except ClientDisconnect:
        raise HTTPException(400, "The body ended too early.") from None
    except OutOfMemoryError as error:
        raise HTTPException(503, str(error)) from error
    except AnyArrayMLPError as error:
        raise HTTPException(500, str(error)) from error


def forms_of(request: Request) -> tuple[bool, bool]:
    """Whether the body is JSON, and whether the answer is to be; 415 for what is neither that nor CSV."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (CSV, JSON):
        raise HTTPException(
            415, f"The content type is {kind or 'not given'!r}: send {JSON} or {CSV}."
        )
    accepted = request.headers.get("accept", "").lower()
    wanted: dict[str, bool] = {CSV: False, JSON: True}
    named = [as_json for name, as_json in wanted.items() if name in accepted]
    return kind == JSON, named[0] if len(named) == 1 else kind == JSON


def switch_of(request: Request) -> bool:
    """The query's `proba`; `UsageError` for a value that is none, or another name."""
    other: Any = next((name for name in request.query_params if name != "proba"), None)
    if other is not None:
        raise UsageError(f"The query has no {other!r}: there is proba=true.")
    value = request.query_params.get("proba", "").lower()
    if value not in SWITCH:
        raise UsageError(f"proba is true or false, got {value!r}.")
    return SWITCH[value]
