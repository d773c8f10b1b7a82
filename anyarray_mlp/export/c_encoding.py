"""The encoding of a row in C: from numbers, categories and dates to the inputs of a network."""

from __future__ import annotations

import math
from itertools import accumulate, groupby

from anyarray_mlp.data.dates import CYCLES, DIGITS, UNITS
from anyarray_mlp.data.encoding import Column, Part
from anyarray_mlp.data.pieces import BOUND, FAR
from anyarray_mlp.export.c_code import number, numbers, table, texts
from anyarray_mlp.export.contents import Contents, as_unit
from anyarray_mlp.training.saving import PIXEL_SCALE

ROBUST = f"""/* A number by its middle and scale, smoothly clipped, and the share of each piece that lies below it. */
static void robust(double v, double middle, double scale, const double *edges, int pieces, real *x)
{{
    double z = (v - middle) / scale;
    int k;
    z = z < -{FAR!r} ? -{FAR!r} : z > {FAR!r} ? {FAR!r} : z;
    x[0] = (real) (z / sqrt(1.0 + (z / {BOUND!r}) * (z / {BOUND!r})));
    for (k = 0; k < pieces; k++) {{
        const double share = (v - edges[k]) / (edges[k + 1] - edges[k]);
        x[k + 1] = (real) (share < 0.0 ? 0.0 : share > 1.0 ? 1.0 : share);
    }}
}}
"""
CALENDAR = """/* Days from 1970-01-01 to the first day of a year. */
static double days_before(double year)
{
    const double y = year - 1.0;
    return 365.0 * (year - 1970.0) + floor(y / 4.0) - floor(y / 100.0) + floor(y / 400.0) - 477.0;
}

/* Days from the first day of a year to that of a month, which counts from 0. */
static double days_within(double year, int month)
{
    static const int starts[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365};
    const int leap = days_before(year + 1.0) - days_before(year) > 365.5;
    return starts[month] + (month > 1 ? leap : 0);
}
"""
YEAR_OF = """/* The year of a day that counts from 1970-01-01. */
static double year_of(double day)
{
    double year = floor(day / 365.2425) + 1970.0;
    while (days_before(year) > day) year -= 1.0;
    while (days_before(year + 1.0) <= day) year += 1.0;
    return year;
}
"""
MONTH_OF = """/* The month, from 0, of a day that counts from 1970-01-01. */
static double month_of(double day)
{
    const double year = year_of(day), within = day - days_before(year);
    int month = 0;
    while (days_within(year, month + 1) <= within) month++;
    return month;
}
"""
CIRCLE = """/* Sine and cosine, to six decimals, of the place on a circle of so many steps. */
static void circle(double v, double steps, real *x)
{
    const double angle = v * (6.283185307179586 / steps);
    x[0] = (real) (rint(sin(angle) * 1e6) / 1e6);
    x[1] = (real) (rint(cos(angle) * 1e6) / 1e6);
}
"""
OF_DIGITS = """/* Days since 1970-01-01 of a date in digits, NAN of none, by the units of its parts. */
static double days_of_digits(double v, long year_unit, long month_unit, long day_unit, int year_digits)
{
    const long limit = year_digits == 4 ? 100000000L : 1000000L;
    long n, year, month, day;
    if (!(v >= 0.0 && v < limit) || floor(v) < v) return NAN;
    n = (long) v;
    year = n / year_unit % (year_digits == 4 ? 10000L : 100L);
    month = n / month_unit % 100L;
    day = n / day_unit % 100L;
    if (year_digits == 2) year += year >= 70L ? 1900L : 2000L;
    if (year < 1L || month < 1L || month > 12L || day < 1L) return NAN;
    if (day > days_within((double) year, (int) month) - days_within((double) year, (int) month - 1)) return NAN;
    return days_before((double) year) + days_within((double) year, (int) month - 1) + (double) day - 1.0;
}
"""
CATEGORY = """static int same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    if (*b) return 0;
    /* A whole number is often written 3.0. */
    if (*a == '.' && *(a + 1)) {
        do a++; while (*a == '0');
    }
    return !*a;
}

double NAME_category(int column, const char *text)
{
    int k;
    if (column < 0 || column >= COLUMNS || !*text) return NAN;
    for (k = category_starts[column]; k < category_starts[column + 1]; k++)
        if (same(text, categories[k])) return k - category_starts[column];
    return category_rests[column] ? k - category_starts[column] : NAN;
}
"""


def encoding(contents: Contents) -> str:
    """`static int encode(row, x)` and what it needs: 0, or the place from 1 of a column whose value is of no use."""
    if contents.preprocessor.pixels:
        scale = number(as_unit(PIXEL_SCALE, contents.dtype), contents.dtype)
        return (
            "static int encode(const unsigned char *row, real *x)\n{\n    int k;\n"
            f"    for (k = 0; k < COLUMNS; k++) x[k] = (real) row[k] * {scale};\n    return 0;\n}}\n"
        )
    tables: list[str] = []
    lines: list[str] = []
    column = start = 0
    for scaled, group in groupby(contents.columns, lambda column: column.kind == "numeric"):
        run = list(group)
        if scaled:
            lines += numeric_lines(run, column, start, tables)
            column, start = column + len(run), start + len(run)
            continue
        for each in run:
            lines += column_lines(each, column, start, tables)
            column, start = column + 1, start + each.width
    body = "\n".join(f"    {line}" for line in lines)
    functions = needed_functions(contents.columns)
    loops = any(column.kind == "numeric" for column in contents.columns)
    declared = "    int k;\n" if loops else ""
    encode = (
        f"static int encode(const double *row, real *x)\n{{\n{declared}{body}\n    return 0;\n}}\n"
    )
    return "\n".join([*tables, *functions, encode])


def needed_functions(columns: tuple[Column, ...]) -> list[str]:
    """The functions that the encodings of columns call."""
    parts = [part for column in columns for part in column.parts]
    names = {part.name for part in parts}
    forms = {column.form for column in columns if column.kind == "date"}
    digits = not forms.isdisjoint(DIGITS)
    months = "month" in names
    calendar = (digits or months, digits or months or "year" in names or "year" in forms)
    within = CALENDAR if calendar[0] else CALENDAR.split("\n\n")[0] + "\n"
    return [
        function
        for function, is_needed in (
            (ROBUST, any(column.kind == "robust" for column in columns) or any(part.edges for part in parts)),
            (within, calendar[1]),
            (YEAR_OF, months or "year" in names),
            (MONTH_OF, months),
            (CIRCLE, not names.isdisjoint(CYCLES)),
            (OF_DIGITS, digits),
        )
        if is_needed
    ]  # fmt: skip


def numeric_lines(run: list[Column], column: int, start: int, tables: list[str]) -> list[str]:
    """Columns of numbers side by side: a loop over their medians, means and scales."""
    name = f"numeric_{column}"
    moments = [
        value
        for each in run
        for value in (math.nan if each.median is None else each.median, each.mean, each.scale)
    ]
    tables.append(numbers(name, moments))
    return [
        f"for (k = 0; k < {len(run)}; k++) {{",
        f"    const double *c = {name} + 3 * k, v = row[{column} + k];",
        f"    x[{start} + k] = (real) (((isnan(v) ? c[0] : v) - c[1]) / c[2]);",
        f"    if (!isfinite(x[{start} + k])) return {column + 1} + k;",
        "}",
    ]


def column_lines(column: Column, place: int, start: int, tables: list[str]) -> list[str]:
    """A column of another kind, in a block of its own."""
    lines = ["{", f"    double v = row[{place}];"]
    if column.kind in ("categorical", "grouped"):
        lines = [
            "{",
            f"    const double v = row[{place}];",
            "    int n;",
            f"    for (n = 0; n < {column.width}; n++) x[{start} + n] = (real) (v == n);",
            f"    if (!isnan(v) && !(v >= 0.0 && v < {column.width} && floor(v) == v)) return {place + 1};",
        ]
        return [*lines, "}"]
    median = number(column.mean if column.median is None else column.median)
    if column.kind == "date":
        lines += of_form(column.form)
        # The years 1 to 9999, as in Python.
        lines.append(
            f"    if (isnan(v) ? !isnan(row[{place}]) : v < -719162.0 || v >= 2932897.0) return {place + 1};"
        )
    elif column.kind == "robust":
        lines.append(f"    if (isinf(v)) return {place + 1};")
    else:
        lines.append(f"    if (!isnan(v) && v != 0.0 && v != 1.0) return {place + 1};")
    if column.marks_gaps:
        lines.append(f"    x[{start + column.width - 1}] = (real) isnan(v);")
    if column.kind == "date":
        lines += date_lines(column, place, start, median, tables)
        return [*lines, "}"]
    lines.append(f"    if (isnan(v)) v = {median};")
    if column.kind == "robust":
        lines.append(robust_call(column, f"edges_{place}", start, tables))
    else:
        lines.append(
            f"    x[{start}] = (real) ((v - {number(column.mean)}) / {number(column.scale)});"
        )
    return [*lines, "}"]


def robust_call(fitted: Column | Part, name: str, start: int, tables: list[str]) -> str:
    """A number that is clipped and cut into pieces."""
    pieces = max(0, len(fitted.edges or ()) - 1)
    if pieces:
        tables.append(numbers(name, list(fitted.edges or ())))
    middle, scale = number(fitted.mean), number(fitted.scale)
    return f"    robust(v, {middle}, {scale}, {name if pieces else '0'}, {pieces}, x + {start});"


def of_form(form: str) -> list[str]:
    """From a number in the form of the table to days since 1970-01-01."""
    if form in UNITS:
        return [f"    v /= {UNITS[form]!r};"]
    if form == "year":
        return ["    if (floor(v) != v || v < 1.0 || v > 9999.0) v = NAN; else v = days_before(v);"]
    if form in DIGITS:
        units = [10 ** (len(form) - 1 - form.rindex(letter)) for letter in "ymd"]
        given = ", ".join(f"{unit}L" for unit in units)
        return [f"    v = days_of_digits(v, {given}, {form.count('y')});"]
    return []


def date_lines(column: Column, place: int, start: int, median: str, tables: list[str]) -> list[str]:
    """The parts of a date, of days `v`."""
    lines = [
        "    {",
        "        const int gap = isnan(v);",
        f"        const double days = gap ? {median} : v;",
    ]
    if not any(part.name in CYCLES for part in column.parts):
        lines[1:] = [f"        const double days = isnan(v) ? {median} : v;"]
    if any(part.name != "days" for part in column.parts):
        lines.append("        const double day = floor(days);")
    values = {
        "days": "days",
        "year": "year_of(day)",
        "month": "month_of(day)",
        "weekday": "day + 3.0 - 7.0 * floor((day + 3.0) / 7.0)",
        "hour": "(days - day) * 24.0",
    }
    for part in column.parts:
        value = values[part.name]
        if part.name in CYCLES:
            lines.append(f"        circle({value}, {float(CYCLES[part.name])!r}, x + {start});")
            lines.append(f"        if (gap) x[{start}] = x[{start + 1}] = 0;")
        elif part.edges is None:
            mean, scale = number(part.mean), number(part.scale)
            lines.append(f"        x[{start}] = (real) (({value} - {mean}) / {scale});")
            lines.append(f"        if (!isfinite(x[{start}])) return {place + 1};")
        else:
            lines.append(f"        v = {value};")
            lines.append("    " + robust_call(part, f"edges_{place}_{part.name}", start, tables))
        start += part.width
    return [*lines, "    }"]


def category_lookup(contents: Contents) -> str:
    """`NAME_category(column, text)`: the number that stands for a text in a row."""
    columns = contents.columns
    counts = [len(column.categories) for column in columns]
    return "\n".join(
        [
            texts("categories", (text for column in columns for text in column.categories), static=True),
            table("static const int", "category_starts", map(str, accumulate(counts, initial=0))),
            table("static const int", "category_rests", (str(int(column.rest is not None)) for column in columns)),
            CATEGORY.replace("NAME", contents.name),
        ]
    )  # fmt: skip
