"""HTML as a tree: what is text stays text."""

from anyarray_mlp.markup import clean, element, html, table


def test_texts_are_escaped_and_elements_closed():
    made = element("p", "a < b & ", element("b", '"c"'), " > d", title='x"y<z', class_="quiet")
    assert html(made) == (
        '<p title="x&quot;y<z" class="quiet">a &lt; b &amp; <b>"c"</b> &gt; d</p>'
    )


def test_attributes_have_dashes_and_none_is_left_out():
    assert html(element("td", 3, aria_label="n", class_=None)) == '<td aria-label="n">3</td>'


def test_control_characters_and_bytes_that_are_no_text_are_shown():
    assert clean("a\x00b\x1b") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"
    assert clean(b"r\xffn".decode("utf-8", "surrogateescape")) == "r\\xffn"


def test_cells_of_figures_are_marked():
    page = html(table(("name", "value"), [("a", "1,234.5"), ("b", "\N{EN DASH}"), ("c", "text")]))
    assert page.count('<td class="figure">') == 2
    assert "<td>text</td>" in page
    assert '<th scope="col">name</th>' in page
