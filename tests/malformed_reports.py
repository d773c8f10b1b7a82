"""Malformed model files that people reported to other projects, each as it would be in this one's format.

A report is a repository and a number, or a CVE. `HELD_OUT` were looked up once the reader was finished.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np

from tests import fuzzing

Change = Callable[[dict[str, Any], dict[str, np.ndarray]], None]
Raw = Callable[[bytes], bytes]


def header_changed(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The file with its header changed and its length made to fit, the rest as it was."""
    stop = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:stop])
    change(header)
    text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + content[stop:]


def entry(**change: Any) -> Raw:
    """A change of one array's entry in the header."""
    return lambda content: header_changed(
        content, lambda header: header["weights.0"].update(change)
    )


def at(*path: Any, value: Any) -> Raw:
    """A change of one value in the tree, the file sealed anew."""

    def changed(content: bytes) -> bytes:
        tree, arrays = fuzzing.opened(content)
        holder: Any = tree
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value
        return fuzzing.sealed(tree, arrays)

    return changed


def without(*path: Any) -> Raw:
    """The file without one value of the tree, sealed anew."""

    def changed(content: bytes) -> bytes:
        tree, arrays = fuzzing.opened(content)
        holder: Any = tree
        for key in path[:-1]:
            holder = holder[key]
        del holder[path[-1]]
        return fuzzing.sealed(tree, arrays)

    return changed


ESTIMATOR = ("metadata", "estimator")
CODE = {
    "module": "builtins",
    "class_name": "function",
    "config": "eval",
    "registered_name": "function",
}

#: What the reader was built against; the base is an estimator of three texts.
SEEN: dict[str, Raw] = {
    "google-ai-edge/LiteRT#9255": entry(shape=[2**32, 2**32]),
    "ollama/ollama#17149, length": lambda c: (2**63 + 1).to_bytes(8, "little") + c[8:],
    "ollama/ollama#17149, offsets": entry(data_offsets=[]),
    "kekzl/imp#1603": entry(dtype="Q4_K", data_offsets=[2**63, 2**64 - 1]),
    "ml-explore/mlx#3363": entry(shape=[1000, 1000]),
    "ztxz16/fastllm#713": lambda c: (2**64 - 4).to_bytes(8, "little") + c[8:],
    "gomlx/go-huggingface#57": entry(data_offsets=[-16, 56]),
    "leejet/stable-diffusion.cpp#1754": entry(data_offsets=[72, 0]),
    "ggml-org/ggml#709": entry(shape=[1] * 5000),
    "antirez/gguf-tools#25": entry(shape=[3, 3, 1, 1, 1, 1, 1, 1, 1]),
    "zackshen/gguf#15": entry(shape=[2**64 - 1, 2, 1, 1]),
    "ggml-org/llama.cpp#25378": entry(shape=[4194304, 4194304, 4194304]),
    "ggml-org/ggml#1516": at(*ESTIMATOR, "labels", "dtype", value="<U1073741824"),
    "huggingface/huggingface.js#2028": at(*ESTIMATOR, "parameters", "alpha", value=[[[[[[[[[1]]]]]]]]]),
    "CVE-2025-1550": at(*ESTIMATOR, "class", value=CODE),
    "CVE-2025-9906": at(*ESTIMATOR, "parameters", "safe_mode", value=False),
    "CVE-2025-32434": lambda c: b"\x80\x04cos\nsystem\n(S'true'\ntR." + c,
    "CVE-2026-0897": at("config", "sizes", value=[10**6, 10**6, 10**6]),
    "CVE-2026-34445": at(*ESTIMATOR, "figures", "__class__", value="x"),
    "onnx/onnx#3991": lambda c: header_changed(
        c, lambda h: h.update({"../../../etc/passwd": h.pop("weights.0")})
    ),
    "microsoft/onnxruntime#4585": entry(dtype=77),
    "joblib/joblib#1582": at(*ESTIMATOR, "labels", "dtype", value="O"),
    "huggingface/tokenizers#2151": at("config", "sizes", value=[3, 0, 3]),
    "numpy/numpy#22393": at(*ESTIMATOR, "labels", "dtype", value="[" * 100_000),
    "numpy/numpy#14142": at(*ESTIMATOR, "labels", "dtype", value="[('id', '|V16'), ('', '|V8')]"),
    "dmlc/xgboost#6936": at(*ESTIMATOR, "labels", "values", value=None),
    "EricLBuehler/mistral.rs#2307": at(*ESTIMATOR, "labels", "values", 1, value=["a", "b"]),
    "tensorflow/tensorflow#60622": at("preprocessing", "columns", 0, "scale", value=0),
    "huggingface/tokenizers#1506": lambda c: b"404: Not Found",
}  # fmt: skip
HELD_OUT: dict[str, Raw] = {
    "pytorch/executorch#7663": entry(shape=[-3, 3]),
    "pytorch/executorch#19270": entry(shape=[65536, 65537]),
    "pytorch/executorch#17163": entry(shape=[300, 3], data_offsets=[0, 7200]),
    "pytorch/executorch#19102": lambda c: header_changed(
        c, lambda h: h["weights.1"].update(data_offsets=h["weights.0"]["data_offsets"])
    ),
    "pytorch/executorch#2533": lambda c: b"X\x00\x00\x00ET99" + c[8:],
    "OAID/Tengine#1450": entry(data_offsets=[2**31, 2**31 + 72]),
    "catboost/catboost#442": at(*ESTIMATOR, "parameters", "loss", value=None),
    "catboost/catboost#235": lambda c: header_changed(
        c, lambda h: h["__metadata__"].update(format_version="0")
    ),
    "apple/coremltools#195": without(*ESTIMATOR, "class"),
    "apple/coremltools#189": without("config", "activation"),
}
