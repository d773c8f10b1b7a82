"""One C99 file of a trained model: its tables, the encoding of a row, the network, and the answer."""

from __future__ import annotations

from collections.abc import Iterator

from anyarray_mlp import __version__
from anyarray_mlp.checking.messages import counted
from anyarray_mlp.export.c_code import HELPERS, function, number, numbers, table, texts
from anyarray_mlp.export.c_encoding import category_lookup, encoding
from anyarray_mlp.export.contents import Contents, Layer, Member
from anyarray_mlp.export.formulas import Formula

#: What libm has and need not be made of anything else.
GIVEN = ("erf",)

DENSE = """/* y = x @ w + b, w by rows of inputs. Each output is a sum over the inputs in their order, then the bias. */
static void dense(const real *x, int inputs, const real *restrict w, const real *b, int outputs, real *restrict y)
{
    int i, o;
    for (o = 0; o < outputs; o++) y[o] = 0;
    for (i = 0; i < inputs; i++) {
        const real a = x[i];
        const real *row = w + (long) i * outputs;
        for (o = 0; o < outputs; o++) y[o] += a * row[o];
    }
    if (b) for (o = 0; o < outputs; o++) y[o] += b[o];
}
"""
SOFTMAX = """static void softmax(real *y)
{
    real largest = y[0], sum = 0;
    int k;
    for (k = 1; k < OUTPUTS; k++) if (y[k] > largest) largest = y[k];
    for (k = 0; k < OUTPUTS; k++) sum += y[k] = EXP(y[k] - largest);
    for (k = 0; k < OUTPUTS; k++) y[k] /= sum;
}
"""
MAIN = r"""
#ifdef NAME_MAIN
/* For trying it: rows from stdin, cells between commas in the order of NAME_columns. An empty cell is a gap.NOTE */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char line[1 << 20];

/* The next cell, without its quotes; NULL after the last. */
static char *next_cell(char **rest)
{
    char *from = *rest, *to = from, *cell = from;
    int quoted = 0;
    if (!from) return NULL;
    for (; *from && (quoted || *from != ','); from++) {
        if (*from != '"') *to++ = *from;
        else if (quoted && *(from + 1) == '"') *to++ = *from++;
        else quoted = !quoted;
    }
    *rest = *from ? from + 1 : NULL;
    *to = '\0';
    return cell;
}

READ
int main(void)
{
    long number = 0;
    while (fgets(line, sizeof line, stdin)) {
        CELL row[COLUMNS];
        ANSWER answer[ANSWERS];
        char *rest = line, *cell;
        int k, label;
        number++;
        line[strcspn(line, "\r\n")] = '\0';
        if (number == 1 && !strncmp(line, NAME_columns[0], strlen(NAME_columns[0]))) continue;
        for (k = 0; k < COLUMNS; k++) {
            cell = next_cell(&rest);
            if (!cell || !read_cell(k, cell, row + k)) {
                fprintf(stderr, "line %ld, column %s: %s\n", number, NAME_columns[k], cell ? cell : "no cell");
                return 1;
            }
        }
        label = NAME_predict(row, answer);
        if (label < 0) {
            fprintf(stderr, "line %ld, column %s: no such value\n", number, NAME_columns[-label - 1]);
            return 1;
        }
        PRINT
        for (k = 0; k < ANSWERS; k++) printf("%sFORMAT", SEPARATOR, (double) answer[k]);
        putchar('\n');
    }
    return 0;
}
#endif
"""
READ_PIXEL = r"""static int read_cell(int column, const char *cell, unsigned char *value)
{
    char *end;
    const long number = strtol(cell, &end, 10);
    (void) column;
    *value = (unsigned char) number;
    return end != cell && !*end && number >= 0 && number <= 255;
}
"""
READ_NUMBER = r"""static int read_cell(int column, const char *cell, double *value)
{
    char *end;
    SPECIAL
    *value = *cell ? strtod(cell, &end) : NAN;
    return !*cell || (end != cell && !*end);
}
"""
READ_CATEGORY = r"""if (category_starts[column] < category_starts[column + 1]) {
        *value = NAME_category(column, cell);
        return 1;
    }
    """
READ_DATE = r"""if (is_date[column]) {
        int year, month, day, hour = 0, minute = 0, found;
        double second = 0.0;
        found = sscanf(cell, "%d-%d-%d%*1[ T]%d:%d:%lf", &year, &month, &day, &hour, &minute, &second);
        if (found >= 3 && month >= 1 && month <= 12) {
            *value = days_before(year) + days_within(year, month - 1) + day - 1.0;
            *value += (hour * 3600.0 + minute * 60.0 + second) / 86400.0;
            return 1;
        }
    }
    """


def c_file(contents: Contents) -> str:
    """The text of the file."""
    return "\n".join(parts_of(contents))


def parts_of(contents: Contents) -> Iterator[str]:
    """The parts of the file in turn."""
    name, dtype = contents.name, contents.dtype
    yield heading(contents)
    yield "#include <math.h>\n"
    yield f"typedef {'float' if dtype == 'float32' else 'double'} real;\n"
    yield (
        f"#define COLUMNS {len(contents.columns)}\n#define INPUTS {contents.sizes[0]}\n"
        f"#define OUTPUTS {contents.sizes[-1]}\n#define ANSWERS {answers(contents)}\n"
        f"#define WIDEST {max(contents.sizes)}\n"
    )
    yield prototypes(contents)
    yield texts(f"{name}_columns", (column.name for column in contents.columns), static=False)
    if contents.classes:
        yield texts(f"{name}_classes", contents.classes, static=False)
    if any(column.categories for column in contents.columns):
        yield category_lookup(contents)
    yield encoding(contents)
    yield from functions(contents)
    for number_, member in enumerate(contents.members):
        yield from weights(member, number_, dtype)
        yield network(contents, member, number_)
    yield answer(contents)
    yield main_of(contents)


def answers(contents: Contents) -> int:
    """How many numbers the answer has: probabilities of one output that stands for two classes are two."""
    return 2 if is_binary(contents) else contents.sizes[-1]


def is_binary(contents: Contents) -> bool:
    """Whether one output tells two classes apart."""
    return contents.targets.task == "classification" and contents.sizes[-1] == 1


def answer_type(contents: Contents) -> str:
    """The type of the answer's numbers: values of a regression in their own unit, else what the network computes."""
    real = "float" if contents.dtype == "float32" else "double"
    return "double" if contents.targets.task == "regression" else real


def cell_type(contents: Contents) -> str:
    """The type of a row's numbers."""
    return "unsigned char" if contents.preprocessor.pixels else "double"


def heading(contents: Contents) -> str:
    """What the file is and how it is used."""
    name, task = contents.name, contents.targets.task
    sizes = "-".join(map(str, contents.sizes))
    several = f"{counted(len(contents.members), 'network')} " if len(contents.members) > 1 else ""
    row = "a pixel, from 0 to 255, for each column"
    if not contents.preprocessor.pixels:
        row = "a number for each column, NAN for a gap"
    lines = [
        f"{name}: a model of anyarray-mlp {__version__}, {several}{sizes}, {contents.dtype}.",
        "",
        "C99 and libm; no allocation, no state: every call is on its own. Compile with",
        "    cc -std=c99 -O3 -c FILE",
        f"and to try it on rows of stdin with -D{name}_MAIN and -lm instead of -c.",
        "",
        f"{name}_predict(row, answer) takes {row}, in the order of {name}_columns,",
    ]
    if any(column.categories for column in contents.columns):
        lines.append(f"of a text what {name}_category(column, text) gives;")
    if any(column.kind == "date" for column in contents.columns):
        lines.append(
            "of a date the days since 1970-01-01, or, if it was a number in the table, that number;"
        )
    what = {
        "classification": f"the probability of each of {name}_classes and returns the place of the likeliest",
        "multilabel": "the probability of each label and returns 0; a label is there from 0.5 on",
        "regression": "the values and returns 0",
    }[task]
    lines += [
        f"writes {what}.",
        "A negative result is minus the place, from 1, of a column whose value is of no use.",
    ]
    body = "\n".join(f" * {line}".rstrip() for line in lines)
    return f"/*\n{body}\n */\n"


def prototypes(contents: Contents) -> str:
    """What the file offers."""
    name = contents.name
    lines = [f"extern const char *const {name}_columns[{len(contents.columns)}];"]
    if contents.classes:
        lines.append(f"extern const char *const {name}_classes[{len(contents.classes)}];")
    if any(column.categories for column in contents.columns):
        lines.append(f"double {name}_category(int column, const char *text);")
    lines.append(
        f"int {name}_predict(const {cell_type(contents)} *row, {answer_type(contents)} *answer);"
    )
    return "\n".join(lines) + "\n"


def functions(contents: Contents) -> Iterator[str]:
    """The activations and the output, and what they are made of."""
    formulas: dict[str, Formula] = {}
    for layer in contents.members[0].layers:
        if layer.function is not None:
            formulas[f"activation_{layer.activation}"] = layer.function
    if contents.output_function is not None:
        formulas["output_function"] = contents.output_function
    for operation, helper in HELPERS.items():
        if any(operation in formula.operations for formula in formulas.values()):
            yield helper
    for name, formula in formulas.items():
        yield function(name, formula, contents.dtype)
    yield DENSE
    if contents.output == "softmax":
        yield SOFTMAX.replace("EXP", "expf" if contents.dtype == "float32" else "exp")


def weights(member: Member, place: int, dtype: str) -> Iterator[str]:
    """The tables of a network."""
    if member.scales is not None:
        yield numbers(f"scales_{place}", member.scales, dtype)
    for number_, layer in enumerate(member.layers):
        yield numbers(f"weights_{place}_{number_}", layer.weights, dtype)
        if layer.bias is not None:
            yield numbers(f"biases_{place}_{number_}", layer.bias, dtype)
        if layer.alphas is not None:
            yield numbers(f"alphas_{place}_{number_}", layer.alphas, dtype)


def network(contents: Contents, member: Member, place: int) -> str:
    """`static void network_K(x, y)`: outputs of inputs."""
    hidden = len(member.layers) - 1
    buffers = ["a[WIDEST]", "b[WIDEST]"][:hidden]
    lines, source = [], "x"
    if member.scales is not None:
        buffers.append("scaled[INPUTS]")
        lines.append(f"    for (k = 0; k < INPUTS; k++) scaled[k] = x[k] * scales_{place}[k];")
        source = "scaled"
    for number_, layer in enumerate(member.layers):
        target = "y" if number_ == hidden else "ab"[number_ % 2]
        lines += layer_lines(layer, f"{place}_{number_}", source, target)
        source = target
    if contents.output == "softmax":
        lines.append("    softmax(y);")
    elif contents.output_function is not None:
        lines.append("    for (k = 0; k < OUTPUTS; k++) y[k] = output_function(y[k]);")
    if any("k++" in line for line in lines):
        lines.insert(0, "    int k;")
    if buffers:
        lines.insert(0, f"    real {', '.join(buffers)};")
    body = "\n".join(lines)
    return f"static void network_{place}(const real *x, real *y)\n{{\n{body}\n}}\n"


def layer_lines(layer: Layer, places: str, source: str, target: str) -> Iterator[str]:
    """A dense layer and what follows it."""
    inputs, outputs = layer.weights.shape
    bias = "0" if layer.bias is None else f"biases_{places}"
    yield f"    dense({source}, {inputs}, weights_{places}, {bias}, {outputs}, {target});"
    if layer.function is None:
        return
    value = f"activation_{layer.activation}({target}[k])"
    if layer.alphas is not None:
        value = f"{target}[k] + alphas_{places}[k] * ({value} - {target}[k])"
    yield f"    for (k = 0; k < {outputs}; k++) {target}[k] = {value};"


def answer(contents: Contents) -> str:
    """`NAME_predict`: the encoding, the networks, and what the answer is."""
    task, k = contents.targets.task, len(contents.members)
    head = f"int {contents.name}_predict(const {cell_type(contents)} *row, {answer_type(contents)} *answer)"
    lines = ["    real x[INPUTS], y[OUTPUTS];", "    const int wrong = encode(row, x);"]
    if k > 1:
        lines.append("    real one[OUTPUTS];")
    lines += ["    int n, label = 0;", "    if (wrong) return -wrong;", "    network_0(x, y);"]
    for place in range(1, k):
        lines += [
            f"    network_{place}(x, one);",
            "    for (n = 0; n < OUTPUTS; n++) y[n] += one[n];",
        ]
    if k > 1:
        lines.append(f"    for (n = 0; n < OUTPUTS; n++) y[n] /= {k};")
    if task == "regression":
        lines += values_lines(contents)
    elif is_binary(contents):
        most = contents.targets.width - 1
        lines += [
            "    answer[0] = 1 - y[0];",
            "    answer[1] = y[0];",
            f"    n = y[0] >= {number(0.5, contents.dtype)};",
            "    label = n" + (";" if most else " * 0;"),
        ]
    else:
        lines.append("    for (n = 0; n < OUTPUTS; n++) answer[n] = y[n];")
        if task == "classification":
            lines.append("    for (n = 1; n < OUTPUTS; n++) if (y[n] > y[label]) label = n;")
    body = "\n".join([*lines, "    return label;"])
    return f"{head}\n{{\n{body}\n}}\n"


def values_lines(contents: Contents) -> list[str]:
    """The values of a regression in their own unit, within their bounds."""
    targets = contents.targets
    pairs = ", ".join(
        f"{{{number(mean)}, {number(scale)}}}"
        for mean, scale in zip(targets.mean, targets.scale, strict=True)
    )
    lines = [
        f"    static const double units[OUTPUTS][2] = {{{pairs}}};",
        "    for (n = 0; n < OUTPUTS; n++) answer[n] = (double) y[n] * units[n][1] + units[n][0];",
    ]
    low, high = getattr(targets, "low", ()), getattr(targets, "high", ())
    for place, (least, most) in enumerate(zip(low, high, strict=True)):
        value = f"answer[{place}]"
        lines += [
            f"    if ({value} < {number(least)}) {value} = {number(least)};",
            f"    if ({value} > {number(most)}) {value} = {number(most)};",
        ]
    return lines


def main_of(contents: Contents) -> str:
    """`main`, where the file is compiled with `NAME_MAIN`."""
    columns, special, dates = contents.columns, "", ""
    if any(column.categories for column in columns):
        special += READ_CATEGORY
    if any(column.kind == "date" for column in columns):
        special += READ_DATE
        dates = table(
            "static const int", "is_date", (str(int(column.kind == "date")) for column in columns)
        )
    note = " Dates are 2024-01-31 or 2024-01-31 13:45:00." if dates else ""
    read = READ_NUMBER.replace("SPECIAL", special or "(void) column;")
    if contents.preprocessor.pixels:
        read = READ_PIXEL
    of_classes = bool(contents.classes)
    classes = f"fputs({contents.name}_classes[label], stdout);"
    digits = ".9g" if answer_type(contents) == "float" else ".17g"
    replacements = {
        "NOTE": note,
        "READ": f"{dates}{read}",
        "CELL": cell_type(contents),
        "ANSWER ": f"{answer_type(contents)} ",
        "PRINT": classes if of_classes else "(void) label;",
        "SEPARATOR": '","' if of_classes else 'k ? "," : ""',
        "FORMAT": f"%{digits}",
        "NAME": contents.name,
    }
    text = MAIN
    for old, new in replacements.items():
        text = text.replace(old, new)
    return text
