"""The sections of a report about one run that look inside: what the columns do, the network, the data."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from anyarray_mlp.checking.messages import counted
from anyarray_mlp.markup import element
from anyarray_mlp.reporting import pictures
from anyarray_mlp.reporting.columns import DataFigures
from anyarray_mlp.reporting.contents import Contents
from anyarray_mlp.reporting.inside import Inside, LayerState
from anyarray_mlp.reporting.missing import Missing
from anyarray_mlp.reporting.parts import Charts, missing, quiet, scrolled, side_by_side
from anyarray_mlp.reporting.words import figure


def columns(found: Contents, page: Charts) -> list[Element]:
    """Which columns the answers rest on, and how."""
    if isinstance(found.effects, Missing):
        return [missing(found.effects)]
    effects = found.effects
    answered = {name for each in effects.dependence for name in each.answers}
    is_value = effects.score == "r2"
    of = (
        next(iter(answered)) if len(answered) == 1 else ("the answer" if is_value else "each class")
    )
    title = f"mean {of}" if is_value else f"mean probability of {of}"
    said = [
        quiet(
            f"Importance: the rise of the loss where the cells of a column are shuffled among {effects.rows:,} "
            f"{effects.which} rows, five times; columns that tell the same share it."
        )
    ]
    if effects.left_out:
        said.append(
            quiet(
                f"{effects.left_out:,} further columns, with smaller weights, were not looked at."
            )
        )
    if effects.dates:
        said.append(missing(Missing(f"the dependence on dates ({', '.join(effects.dates)})")))
    return [
        *said,
        side_by_side(page.draw(pictures.importance_chart(effects), "Permutation importance")),
        element("h3", "Partial dependence of the strongest columns"),
        quiet(f"The {title} over the rows, if all had the same value of one column."),
        side_by_side(
            *(page.draw(pictures.dependence_chart(each, title, is_value), each.column) for each in effects.dependence)
        ),
    ]  # fmt: skip


def network(found: Contents, page: Charts) -> list[Element]:
    """The network as a picture, and the state of its layers."""
    if isinstance(found.inside, Missing):
        return [missing(found.inside)]
    inside: Inside = found.inside
    drawn = len(inside.units)
    of = f" Of {inside.networks} networks, the first." if inside.networks > 1 else ""
    caption = f"The {drawn} of {sum(inside.sizes):,} units with the largest weights, and the largest of these weights."
    return [
        quiet(f"Over {inside.rows:,} rows.{of} A hollow unit answers the same for all of them."),
        page.draw(pictures.network_chart(inside), caption, wide=True),
        scrolled(
            ("layer", "units", "weights", "activations", "dead units", "saturated", "gradient", "update"),
            map(layer_row, inside.layers),
        ),
        side_by_side(
            *(
                page.draw(pictures.histogram_chart(part, ""), f"Layer {layer.number}: {what}")
                for layer in inside.layers
                for part, what in ((layer.weights, "weights"), (layer.activations, f"activations, {layer.activation}"))
            )
        ),
    ]  # fmt: skip


def layer_row(layer: LayerState) -> tuple[str, ...]:
    """The figures of a layer."""
    return (
        f"{layer.number}, {layer.activation}",
        f"{layer.units:,}",
        f"{figure(layer.weight_mean)} \N{PLUS-MINUS SIGN} {figure(layer.weight_std)}",
        f"{figure(layer.mean)} \N{PLUS-MINUS SIGN} {figure(layer.std)}",
        f"{layer.dead:.1%}",
        f"{layer.saturated:.1%}",
        figure(layer.gradient),
        figure(layer.update),
    )


def data(found: Contents, page: Charts) -> list[Element]:
    """The data as they were read."""
    if isinstance(found.data, Missing):
        return [missing(found.data)]
    about: DataFigures = found.data
    parts = [
        f"{rows:,} {'to train on' if name == 'training' else name}"
        for name, rows in about.rows.items()
    ]
    what = about.what or counted(about.width, "column")
    return [
        quiet(
            f"{what[:1].upper()}{what[1:]}, {about.inputs:,} inputs of the network; rows: {', '.join(parts)}."
        ),
        *([element("ul", *(element("li", note) for note in about.notes))] if about.notes else []),
        side_by_side(
            *(
                page.draw(pictures.target_chart(each), f"Target: {each.name}")
                for each in about.targets
            )
        ),
        *(column_table(about) if about.columns else []),
    ]


def column_table(about: DataFigures) -> list[Element]:
    """The columns, one in each line."""
    total = sum(about.rows.values())
    rows = [
        (
            element("span", each.name), each.kind,
            f"{each.gaps:,} ({each.gaps / total:.1%})" if each.gaps else "0",
            f"{each.different:,}", element("span", each.values), f"{each.inputs}", element("span", each.note),
        )
        for each in about.columns
    ]  # fmt: skip
    head = ("column", "taken as", "gaps", "different", "least \N{MIDDLE DOT} median \N{MIDDLE DOT} most",
            "inputs", "note")  # fmt: skip
    left = about.width - len(about.columns)
    return [scrolled(head, rows), *([quiet(f"And {left:,} further columns.")] if left else [])]
