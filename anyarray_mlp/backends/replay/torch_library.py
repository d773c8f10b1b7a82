"""How PyTorch computes into given buffers, for `anyarray_mlp.backends.replay.binding`."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.optim.adam import adam

from anyarray_mlp.backends.replay.recording import Node, Spec, Value

Call = Callable[[], Any]

#: Functions of the standard, and others of PyTorch, that take `out=`.
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "abs": torch.abs,
    "add": torch.add,
    "bitwise_and": torch.bitwise_and,
    "bitwise_left_shift": torch.bitwise_left_shift,
    "bitwise_or": torch.bitwise_or,
    "bitwise_right_shift": torch.bitwise_right_shift,
    "bitwise_xor": torch.bitwise_xor,
    "cos": torch.cos,
    "divide": torch.div,
    "equal": torch.eq,
    "erf": torch.special.erf,
    "exp": torch.exp,
    "expm1": torch.expm1,
    "floor": torch.floor,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "log": torch.log,
    "log1p": torch.log1p,
    "logistic": torch.sigmoid,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "multiply": torch.mul,
    "negative": torch.neg,
    "not_equal": torch.ne,
    "round": torch.round,
    "sign": torch.sign,
    "sin": torch.sin,
    "sqrt": torch.sqrt,
    "square": torch.square,
    "subtract": torch.sub,
    "tanh": torch.tanh,
    "where": torch.where,
}
REDUCTIONS: dict[str, Callable[..., Any]] = {"sum": torch.sum, "max": torch.amax, "min": torch.amin}
#: Fused operations; see `TorchLibrary.fuse`.
FUSED = ("relu_vjp", "add_scaled", "add_product")
#: Warm-up runs before a capture, so that the libraries allocate what they need.
WARM_UPS = 3
#: Entries of a block per thread: PyTorch does not split smaller operations.
GRAIN = 32_768
#: MKL is slow at products with fewer columns than this, but not at the transposed product with as few rows: 1.4 ms
#: against 0.45 ms for (1024, 1024) @ (1024, 10), and 3.3 ms against 0.45 ms if the first operand is transposed.
NARROW = 16
#: Below this many multiplications the extra call costs more than that saves.
NARROW_WORK = 32_768
#: From this many parameters on, one pass of Adam's kernel makes up for its call, which costs about 20 us more than
#: the eight operations that it replaces.
FEW_PARAMETERS = 65_536
#: A number of steps after which the bias corrections of PyTorch's Adam are 1: ours are part of the learning rate.
MANY_STEPS = 2.0**60


class TorchLibrary:
    """See `library.Library`."""

    elementwise = frozenset({*FUNCTIONS, *FUSED, "astype", "shrink"})

    fuses_groups = False

    def __init__(self, device: torch.device, *, fuses: bool = True) -> None:
        """fuses: whether operations may be joined into one that rounds once."""
        self.device = device
        self.fuses = fuses
        self.captures = device.type == "cuda"
        self.ahead_bytes = 1 << (26 if device.type == "cuda" else 18)
        self.numbers: dict[Any, Any] = {}
        self.scratches: dict[Any, Any] = {}

    @property
    def block(self) -> int:
        """Entries of one block: enough for every thread."""
        return GRAIN * int(torch.get_num_threads())

    def is_array(self, value: Any) -> bool:
        """Whether a result is a tensor."""
        return isinstance(value, torch.Tensor)

    def spec(self, array: Any) -> Spec:
        """Shape, dtype and strides."""
        return Spec(tuple(array.shape), array.dtype, array.stride())

    def share_memory(self, a: Any, b: Any) -> bool:
        """Whether one is a view of the other."""
        return bool(a.untyped_storage().data_ptr() == b.untyped_storage().data_ptr() and a.numel())

    def stand_in(self, array: Any) -> Any:
        """Zeros if they may be indices, else uninitialised memory.

        On the CPU the zeros are NumPy's, which the system provides without touching memory.
        """
        if not array.dtype.is_floating_point:
            if array.device.type == "cpu":
                return torch.from_numpy(
                    np.zeros(array.shape, str(array.dtype).removeprefix("torch."))
                )
            return torch.zeros(array.shape, dtype=array.dtype, device=array.device)
        return torch.empty_strided(
            array.shape, array.stride(), dtype=array.dtype, device=array.device
        )

    def quietly(self) -> AbstractContextManager[Any]:
        """PyTorch does not warn of arithmetic."""
        return nullcontext()

    def running(self) -> AbstractContextManager[Any]:
        """Without autograd's bookkeeping, which takes a tenth of the time of a small operation."""
        context: AbstractContextManager[Any] = torch.inference_mode()
        return context

    def is_writable(self, array: Any) -> bool:
        """Whether a tensor may be written to; one that requires gradients may not."""
        return not array.requires_grad

    def out_of_range(self, index: Any, n: int) -> bool:
        """PyTorch checks every index itself."""
        return False

    def fuse(
        self, node: Node, only_use: Callable[[Any], Node | None]
    ) -> tuple[str, tuple[Any, ...]] | None:
        """relu's derivative; a + b c with a number c; a + b c number. All of them save passes over memory."""
        if not self.fuses:
            return None
        if node.op == "where" and is_zero(node.args[2]):
            mask = only_use(node.args[0])
            if mask is not None and mask.op == "greater" and is_zero(mask.args[1]):
                return "relu_vjp", (node.args[1], mask.args[0])
        if node.op not in ("add", "subtract") or not all(isinstance(a, Value) for a in node.args):
            return None
        a, term = node.args
        product = only_use(term)
        if product is None or product.op != "multiply" or term.spec != a.spec:
            return None
        sign = 1 if node.op == "add" else -1
        b, c = product.args
        if not is_number(c):
            return "add_product", (a, b, c, sign)
        inner = only_use(b)
        if inner is not None and inner.op == "multiply" and isinstance(inner.args[1], Value):
            return "add_product", (a, *inner.args, sign * c)
        return "add_scaled", (a, b, sign * c)

    def empty(self, spec: Spec, steps: int | None = None) -> Any:
        """Zeros, so that an index that is not yet filled in is in range."""
        shape = spec.shape if steps is None else (steps, *spec.shape)
        return torch.zeros(shape, dtype=spec.dtype, device=self.device)

    def memory(self, size: int, dtype: Any) -> Any:
        """A flat tensor (size,)."""
        return torch.empty(size, dtype=dtype, device=self.device)

    def lay_out(self, memory: Any, offset: int, spec: Spec) -> Any:
        """The view of a flat tensor that has a spec."""
        return torch.as_strided(memory, spec.shape, spec.strides, offset)

    def copy(self, source: Any, out: Any) -> Call:
        """A call that copies."""
        return partial(out.copy_, source)

    def copy_now(self, source: Any, out: Any) -> None:
        """Copy."""
        out.copy_(source)

    def copied(self, array: Any) -> Any:
        """A copy."""
        return array.clone()

    def emit_group(self, nodes: list[Node], outputs: list[Value], array: Any) -> list[Call]:
        """Groups are emitted node by node."""
        raise NotImplementedError

    def kernel_length(self, nodes: list[Node]) -> int:
        """The length of Adam if the nodes end with it and it has enough parameters to pay for the call, else 0."""
        if self.device.type != "cpu" or math.prod(nodes[-1].out.spec.shape) < FEW_PARAMETERS:
            return 0
        step = AdamStep.ending(nodes)
        return 0 if step is None else len(step.nodes)

    def emit_whole(
        self, nodes: list[Node], outputs: list[Value], array: Callable[[Value], Any]
    ) -> list[Call] | None:
        """Adam in one pass if it is the whole group and works in place, else None."""
        if self.kernel_length(nodes) != len(nodes):
            return None
        step = AdamStep.ending(nodes)
        if step is None or set(outputs) != set(step.after):
            return None
        before, after = ([array(v) for v in values] for values in (step.before, step.after))
        if any(old is not new for old, new in zip(before, after, strict=True)):
            return None
        p, m, v = before
        return [
            partial(
                adam,
                [p],
                [array(step.gradient)],
                [m],
                [v],
                [],
                [torch.tensor(MANY_STEPS, dtype=torch.float32)],
                fused=True,
                amsgrad=False,
                beta1=step.beta_1,
                beta2=step.beta_2,
                lr=array(step.rate),
                weight_decay=0.0,
                eps=step.epsilon,
                maximize=False,
            )
        ]

    def capture(self, calls: list[Call]) -> Call:
        """A CUDA graph of the calls; `benchmarks/gpu_graphs.py` tests it on a GPU."""
        with torch.cuda.device(self.device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream), self.running():
                for _ in range(WARM_UPS):
                    for call in calls:
                        call()
            torch.cuda.current_stream().wait_stream(stream)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph), self.running():
                for call in calls:
                    call()
        replay: Call = graph.replay
        return replay

    def emit(  # noqa: C901 - one branch for each call of PyTorch
        self, op: str, function: Callable[..., Any], args: Any, kwargs: Any, out: Any
    ) -> list[Call]:
        """Calls that compute function(*args, **kwargs) into `out`."""
        if op == "divide" and is_number(args[0]):
            # PyTorch divides a number by a tensor like this; a real division would round differently.
            inverse = partial(torch.reciprocal, args[1], out=out)
            return [inverse] if args[0] == 1 else [inverse, partial(out.mul_, args[0])]
        if op == "relu_vjp":
            return [partial(relu_vjp, *args, 0, grad_input=out)]
        if op == "add_scaled":
            return [partial(torch.add, args[0], args[1], alpha=args[2], out=out)]
        if op == "add_product":
            return [partial(torch.addcmul, *args[:3], value=args[3], out=out)]
        if op in FUNCTIONS and not kwargs:
            return [partial(FUNCTIONS[op], *self.as_tensors(args), out=out)]
        if op in REDUCTIONS and can_reduce(op, args, kwargs, out):
            dim, keep = kwargs.get("axis"), kwargs.get("keepdims", False)
            return [partial(REDUCTIONS[op], args[0], dim, keep, out=out)]
        if op == "matmul" and out.ndim == 2:
            if self.is_narrow(args[0], out):
                turned = self.turned(*args)
                return [turned, partial(out.copy_, turned.keywords["out"].T)]
            return [partial(torch.mm, *args, out=out)]
        if op == "matmul" and all(a.ndim == 3 and len(a) == len(out) for a in args):
            return [partial(torch.bmm, *args, out=out)]
        if op == "affine" and out.ndim <= 3:
            x, w, b = args
            if out.ndim == 3:
                x, w = (each.expand(len(out), -1, -1) for each in (x, w))
                return [partial(torch.baddbmm, b[:, None, :], x, w, out=out)]
            if self.is_narrow(x, out):
                turned = self.turned(x, w)
                return [turned, partial(torch.add, turned.keywords["out"].T, b, out=out)]
            return [partial(torch.addmm, b, x, w, out=out)]
        if op == "gather":
            source, index = args
            flat = out.view(index.numel(), *source.shape[1:])
            return [partial(torch.index_select, source, 0, index.reshape(-1), out=flat)]
        if op == "astype" and len(args) == 2 and set(kwargs) <= {"copy"}:
            return [partial(out.copy_, args[0])]
        if op == "shrink":
            return [partial(hardshrink, *args, out=out)]
        return [lambda: out.copy_(function(*args, **kwargs))]

    def is_narrow(self, x: Any, out: Any) -> bool:
        """Whether a product x @ w has so few columns that the transposed product is faster."""
        columns, work = int(out.shape[1]), int(x.shape[1] * out.numel())
        return self.device.type == "cpu" and 1 < columns < NARROW and work >= NARROW_WORK

    def turned(self, x: Any, w: Any) -> partial[Any]:
        """The call that computes w^T @ x^T."""
        key = (w.shape[1], x.shape[0], x.dtype)
        if key not in self.scratches:
            self.scratches[key] = torch.empty(key[:2], dtype=x.dtype)
        return partial(torch.mm, w.T, x.T, out=self.scratches[key])

    def as_tensors(self, args: Any) -> list[Any]:
        """Python numbers as 0-d tensors of the other operand's dtype: the same values, at half the cost."""
        dtype = next((a.dtype for a in reversed(args) if isinstance(a, torch.Tensor)), None)
        return [self.number(a, dtype) if is_number(a) else a for a in args]

    def number(self, value: float, dtype: Any) -> Any:
        """A number as a 0-d tensor, made once; unchanged if the dtype is an integer that cannot hold it."""
        if not dtype.is_floating_point and isinstance(value, float):
            return value
        key = (value, str(value), dtype)
        if key not in self.numbers:
            self.numbers[key] = torch.tensor(value, dtype=dtype, device=self.device)
        return self.numbers[key]


@dataclass(frozen=True)
class AdamStep:
    """`optimizers.adam` as it was recorded: p, m and v before and after, and the numbers in their updates."""

    nodes: tuple[Node, ...]
    before: tuple[Value, Value, Value]
    after: tuple[Value, Value, Value]
    gradient: Value
    rate: Value
    beta_1: float
    beta_2: float
    epsilon: float

    @classmethod
    def ending(cls, group: list[Node]) -> AdamStep | None:
        """The Adam step that the last nodes of a group form, or None."""
        size = len(ADAM)
        nodes = group[-size:]
        if tuple(node.op for node in nodes) != ADAM:
            return None
        decay_v, new_v, decay_m, new_m, root, scale, quotient, new_p = nodes
        v, beta_2 = decay_v.args
        m, beta_1 = decay_m.args
        g, epsilon = new_m.args[1], scale.args[1]
        p, rate = new_p.args[0], new_p.args[2]
        expected = (
            (v, beta_2),
            (decay_v.out, g, g, 1.0 - beta_2 if is_number(beta_2) else None),
            (m, beta_1),
            (decay_m.out, g, 1.0 - beta_1 if is_number(beta_1) else None),
            (new_v.out,),
            (root.out, epsilon),
            (new_m.out, scale.out),
            (p, quotient.out, rate, -1),
        )
        if (
            tuple(node.args for node in nodes) != expected
            or not is_number(epsilon)
            or not isinstance(rate, Value)
            or rate.spec.shape
            or any(value.spec != p.spec for value in (g, m, v))
            or p.spec.dtype not in (torch.float32, torch.float64)
        ):
            return None
        after = new_p.out, new_m.out, new_v.out
        return cls(tuple(nodes), (p, m, v), after, g, rate, beta_1, beta_2, epsilon)


#: The operations of Adam in the order of `optimizers.adam`, joined by `TorchLibrary.fuse`.
ADAM = (
    "multiply", "add_product", "multiply", "add_scaled", "sqrt", "add", "divide", "add_product",
)  # fmt: skip

hardshrink = torch.ops.aten.hardshrink.out
relu_vjp = torch.ops.aten.threshold_backward.grad_input


def can_reduce(op: str, args: Any, kwargs: Any, out: Any) -> bool:
    """Whether PyTorch's reduction equals the standard's: no change of dtype, and max needs an axis."""
    plain = len(args) == 1 and set(kwargs) <= {"axis", "keepdims"}
    return plain and args[0].dtype == out.dtype and (op == "sum" or kwargs.get("axis") is not None)


def is_zero(value: Any) -> bool:
    """Whether an operand is the number zero."""
    return is_number(value) and value == 0


def is_number(value: Any) -> bool:
    """Whether an operand is a Python number, which takes the dtype of the other operand."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
