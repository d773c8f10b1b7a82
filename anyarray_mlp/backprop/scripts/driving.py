"""Calls for a script that defines a network and never trains it: its class or function, with made data."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from anyarray_mlp.backprop.scripts.literals import is_update

#: The made data: samples, inputs, hidden units, outputs.
SAMPLES, INPUTS, HIDDEN, OUTPUTS = 6, 3, 4, 2
#: So many parameters that no name explains are tried with other values.
MOST_UNKNOWN = 2
#: What a parameter is called, and the value that it gets.
NAMED: tuple[tuple[str, str], ...] = (
    (r"(layer|node|unit|neuron)s?_?(sizes?|dims?|dimensions?|structure|config)|sizes|dims|layers|architecture|"
     r"topology|shape|structure|network_(size|shape)|layers_dims?", f"[{INPUTS}, {HIDDEN}, {OUTPUTS}]"),
    (r".*(hidden|h_?nodes|n_?h|hid).*", str(HIDDEN)),
    (r".*(input|in_?nodes|inodes|n_?x|in_?dim|in_?features|features|n_?in\b).*", str(INPUTS)),
    (r".*(output|out_?nodes|onodes|n_?y|out_?dim|out_?features|class|n_?out\b).*", str(OUTPUTS)),
    (r".*(lr|learning|alpha|eta|rate|step_?size).*", "0.1"),
    (r".*(epoch|iter|steps|rounds|times|loops).*", "4"),
    (r".*batch.*", str(SAMPLES)),
    (r".*(momentum|beta|decay|lambda|reg|keep|drop).*", "0.5"),
    (r".*(seed|state).*", "0"),
    (r".*(verbose|plot|show|print|debug).*", "False"),
)  # fmt: skip
UNKNOWN = (f"[{INPUTS}, {HIDDEN}, {OUTPUTS}]", str(INPUTS), "0.1", "'sigmoid'")
DATA = re.compile(
    r"(?i)(x|data|inputs?|features|samples?|images?|train_?x|x_?\w*|inputs?_\w+|training_\w+|points)"
)
LABEL = re.compile(
    r"(?i)(y|t|d|targets?|labels?|answers?|expected|outputs?|y_?(?!pred)\w*|targets?_\w+|desired\w*|labels?_\w+)"
)
#: (samples, labels) that are tried in turn.
ROWS = "__rng.standard_normal(({n}, {i}))"
SHAPES = (
    (f"({SAMPLES}, {INPUTS})", f"__np.eye({OUTPUTS})[__ids]"),
    (f"({SAMPLES}, {INPUTS})", "__ids"),
    (f"({INPUTS}, {SAMPLES})", f"__np.eye({OUTPUTS})[__ids].T"),
    (f"({INPUTS}, {SAMPLES})", "__ids"),
    (f"({SAMPLES}, {INPUTS})", "__ids[:, None] * 1.0"),
    (f"({INPUTS},)", f"__np.eye({OUTPUTS})[0]"),
    (f"({INPUTS}, 1)", f"__np.eye({OUTPUTS})[:, :1]"),
)  # fmt: skip
HEAD = (
    "import numpy as __np\n"
    "__rng = __np.random.default_rng(0)\n"
    f"__ids = __np.arange({SAMPLES}) % {OUTPUTS}\n"
)


@dataclass(frozen=True)
class Call:
    """Lines to add to a script, and what they do in words."""

    lines: str
    said: str


def calls(source: str) -> Iterator[Call]:
    """Calls that may train what a source defines, the likeliest first."""
    tree = ast.parse(source)
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from calls_of_class(node)
    for function in trainers([n for n in tree.body if isinstance(n, ast.FunctionDef)]):
        yield from calls_of(function, function.name, "", function.args.args)


def calls_of_class(node: ast.ClassDef) -> Iterator[Call]:
    """The class made with sizes, and its method that trains called with data."""
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
    made = next((m for m in methods if m.name == "__init__"), None)
    for method in trainers([m for m in methods if m is not made]):
        for given in values_of([] if made is None else required(made)):
            line = f"__model = {node.name}({given})\n"
            yield from calls_of(method, f"__model.{method.name}", line, method.args.args[1:])


def calls_of(
    function: ast.FunctionDef, called: str, before: str, parameters: Sequence[ast.arg]
) -> Iterator[Call]:
    """A function with made data for its samples and labels."""
    names = [p.arg for p in parameters]
    data = next((n for n in names if DATA.fullmatch(n)), None)
    label = next((n for n in names if n != data and LABEL.fullmatch(n)), None)
    if data is None or label is None:
        return
    rest = [p for p in required(function) if p not in (data, label, "self")]
    extra = {n: v for n in names if n not in (data, label) and (v := value_of(n))}
    for given in values_of(rest):
        named = ", ".join(f"{n}={v}" for n, v in extra.items() if n not in rest)
        more = "".join(f", {part}" for part in (given, named) if part)
        for shape, targets in SHAPES:
            lines = f"{HEAD}{before}{called}({data}=__rng.standard_normal({shape}), {label}={targets}{more})\n"
            said = f"{before.partition('= ')[2].strip()}.{function.name}({data}, {label})".lstrip(
                "."
            )
            yield Call(lines, said)


def required(function: ast.FunctionDef) -> list[str]:
    """The parameters without a default, but for `self`."""
    plain = [a.arg for a in function.args.args]
    count = len(plain) - len(function.args.defaults)
    return [name for name in plain[:count] if name != "self"]


def value_of(name: str) -> str | None:
    """The value that a parameter's name asks for."""
    return next((value for pattern, value in NAMED if re.fullmatch(f"(?i){pattern}", name)), None)


def values_of(names: Sequence[str]) -> Iterator[str]:
    """Arguments by name, those that no name explains with each of some values."""
    unknown = [n for n in names if value_of(n) is None]
    if len(unknown) > MOST_UNKNOWN:
        return
    for chosen in itertools.product(UNKNOWN, repeat=len(unknown)):
        told = dict(zip(unknown, chosen, strict=True))
        yield ", ".join(f"{n}={told.get(n) or value_of(n)}" for n in names)


def trainers(functions: Sequence[ast.FunctionDef]) -> list[ast.FunctionDef]:
    """The functions that lead to an update of weights and are called by no other of them."""
    updating = {f.name for f in functions if any(is_update(n) for n in ast.walk(f))}
    uses = {f.name: called_in(f) for f in functions}
    while True:
        more = {f.name for f in functions if uses[f.name] & updating} - updating
        if not more:
            break
        updating |= more
    found = [f for f in functions if f.name in updating]
    within = set().union(*(uses[f.name] - {f.name} for f in found)) if found else set()
    outer = [f for f in found if f.name not in within]
    return outer or found


def called_in(function: ast.FunctionDef) -> set[str]:
    """The names of what a function calls."""
    told = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            target = node.func
            told.add(
                target.attr if isinstance(target, ast.Attribute) else getattr(target, "id", "")
            )
    return told
