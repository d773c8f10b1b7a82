"""Requests that wait at the same time are predicted together: one pass of the network for all of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import numpy as np

from anyarray_mlp.serving.questions import Question
from anyarray_mlp.typing import Host

#: Predicts inputs (n, i) of a scale.
Predict = Callable[[Host, float | None], Host]


@dataclass
class Waiting:
    """A question, and where its outputs (n, k) go."""

    question: Question
    outputs: asyncio.Future[Host] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Batcher:
    """One pass at a time. While it runs, further questions wait, and are taken together when it is done.

    So nothing waits for company: a question that comes alone is answered at once.
    most_rows: how many rows a pass takes, except for a question that has more by itself.
    """

    def __init__(self, predict: Predict, most_rows: int, note: Callable[[int], object]) -> None:
        self.predict = predict
        self.most_rows = most_rows
        self.note = note
        self.waiting: asyncio.Queue[Waiting] = asyncio.Queue()

    async def answer(self, question: Question) -> Host:
        """The outputs (n, k) of a question."""
        asked = Waiting(question)
        self.waiting.put_nowait(asked)
        return await asked.outputs

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Answer questions as long as this lasts."""
        worker = asyncio.create_task(self.work())
        try:
            yield
        finally:
            worker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await worker

    async def work(self) -> None:
        """Pass after pass."""
        taken = None
        while True:
            batch = [taken or await self.waiting.get()]
            taken = None
            rows = len(batch[0].question.x)
            while not self.waiting.empty():
                other = self.waiting.get_nowait()
                rows += len(other.question.x)
                if rows > self.most_rows or other.question.scale != batch[0].question.scale:
                    taken = other
                    break
                batch.append(other)
            # Those whose time was over while they waited are not computed.
            batch = [each for each in batch if not each.outputs.done()]
            if batch:
                await self.pass_of(batch)

    async def pass_of(self, batch: list[Waiting]) -> None:
        """Predict a batch and hand out its parts."""
        questions = [each.question for each in batch]
        sizes = [len(question.x) for question in questions]
        self.note(sum(sizes))
        try:
            outputs = await asyncio.to_thread(
                lambda: self.predict(
                    np.concatenate([question.x for question in questions]), questions[0].scale
                )
            )
        except Exception as error:
            parts: list[Host | Exception] = [error] * len(batch)
        else:
            parts = [*np.split(outputs, np.cumsum(sizes)[:-1])]
        for each, part in zip(batch, parts, strict=True):
            if each.outputs.done():
                continue
            if isinstance(part, Exception):
                each.outputs.set_exception(part)
            else:
                each.outputs.set_result(part)
