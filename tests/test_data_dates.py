"""Dates: in which form a column is read, which days its cells are, and which inputs they become."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anyarray_mlp.data import Preprocessor
from anyarray_mlp.data.dates import AMBIGUOUS, FORMS, TEXT_FORMS, days_of_cell, form_of, parts_of
from anyarray_mlp.errors import DataError

EPOCH = datetime.datetime(1970, 1, 1)


def days(*when: int) -> float:
    """Days since 1970 of a date and time."""
    return (datetime.datetime(*when) - EPOCH) / datetime.timedelta(days=1)  # type: ignore[arg-type]


WRITTEN: dict[str, tuple[str, float]] = {
    "2020-01-31": ("y-m-d", days(2020, 1, 31)),
    "2020/1/31 23:59:59.5": ("y-m-d", days(2020, 1, 31, 23, 59, 59, 500_000)),
    "2020-01-31T06:00:00Z": ("y-m-d", days(2020, 1, 31, 6)),
    "2020-01-31T06:00:00+0100": ("y-m-d", days(2020, 1, 31, 6)),
    "20200131T0600": ("y-m-d", days(2020, 1, 31, 6)),
    "31.12.1999": ("d/m/y", days(1999, 12, 31)),
    "31/12/69": ("d/m/y", days(2069, 12, 31)),
    "31/12/70": ("d/m/y", days(1970, 12, 31)),
    "12/31/1999 11:05 PM": ("m/d/y", days(1999, 12, 31, 23, 5)),
    "12/31/1999 12:05 a.m.": ("m/d/y", days(1999, 12, 31, 0, 5)),
    "26-May-17": ("named month", days(2017, 5, 26)),
    "Sat, 3rd March 2001": ("named month", days(2001, 3, 3)),
    "September 3, 2001 14:00": ("named month", days(2001, 9, 3, 14)),
    "2001 Sept 3": ("named month", days(2001, 9, 3)),
    "Jan 2012": ("named month", days(2012, 1, 1)),
    "1958-03": ("year and month", days(1958, 3, 1)),
    "1:02:03 pm": ("time of day", days(1970, 1, 1, 13, 2, 3)),
}


@pytest.mark.parametrize("text", WRITTEN)
def test_a_date_is_read_in_its_form(text: str) -> None:
    form, expected = WRITTEN[text]
    assert form_of([text]) == form
    assert days_of_cell(text, form) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["red"],
        ["1-0", "2-1"],
        ["1.2.3"],
        ["2020-02-30"],
        ["2020-13-01"],
        ["31/02/2020"],
        ["2020-01-31 25:00"],
        ["12:61"],
        ["3 Mai 2001"],
        ["2009-10", "2010-11"],
        ["1999/00", "2000/01"],
        ["2020-01-31", "31.01.2020"],
        ["2020-01-31", "12:30"],
        ["2020-01-31", "unknown"],
        ["(020) 123-4567"],
        ["192.168.0.1"],
    ],
)
def test_what_is_no_date_or_of_two_forms_is_none(texts: list[str]) -> None:
    assert form_of(texts) is None


@given(
    st.lists(st.dates(datetime.date(1971, 1, 1), datetime.date(2068, 1, 1)), min_size=1), st.data()
)
def test_day_and_month_are_told_apart_by_the_whole_column_or_not_at_all(
    dates: list[datetime.date], data: Any
) -> None:
    form = data.draw(st.sampled_from(["d/m/y", "m/d/y"]))
    year = data.draw(st.sampled_from(["%y", "%Y"]))
    pattern = {"d/m/y": f"%d/%m/{year}", "m/d/y": f"%m/%d/{year}"}[form]
    texts = [date.strftime(pattern) for date in dates]
    found = form_of(texts)
    if found == AMBIGUOUS:
        assert all(date.day <= 12 for date in dates)
        return
    # What is read is what was written; where it can only be guessed, the column is ambiguous.
    assert found is not None
    expected = [date.toordinal() - EPOCH.toordinal() for date in dates]
    one_day = (
        len(set(texts)) >= 12
        and len({text[:2] for text in texts}) * len({text[3:5] for text in texts}) <= 12
    )
    assert [days_of_cell(text, found) for text in texts] == expected or one_day


@given(st.datetimes(datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31)))
def test_iso_dates_of_any_year_are_exact(when: datetime.datetime) -> None:
    when = when.replace(microsecond=0)
    found = days_of_cell(when.isoformat(sep=" "), "y-m-d")
    assert round(found * 86_400) == round((when - EPOCH).total_seconds())


def test_months_are_told_by_their_one_day() -> None:
    texts = [f"01-{month:02}-{year}" for year in (2001, 2002) for month in range(1, 13)]
    assert form_of(texts) == "d/m/y"
    assert form_of([f"{text[3:5]}-01-{text[6:]}" for text in texts]) == "m/d/y"
    assert form_of(texts[:11]) == AMBIGUOUS
    assert form_of(["03/03/2001", "04/04/2001"]) == "d/m/y"


def test_parts_are_those_that_can_tell_something() -> None:
    def parts(start: str, periods: int, freq: str) -> tuple[str, ...]:
        index = pandas.date_range(start, periods=periods, freq=freq)
        return parts_of(index.to_numpy().astype("datetime64[s]").astype(float) / 86_400)

    assert parts("2020-01-01", 10, "D") == ("days",)
    assert parts("2020-01-01", 60, "D") == ("days", "weekday")
    assert parts("2015-01-01", 1500, "D") == ("days", "year", "month", "weekday")
    # Monthly figures have no weekday, and two rows a day no hour.
    assert parts("2015-01-01", 60, "MS") == ("days", "year", "month")
    assert parts("2020-01-01", 60, "12h") == ("days", "weekday")
    assert parts("2020-01-01", 600, "h") == ("days", "weekday", "hour")
    assert parts("1970-01-01 08:00", 20, "min") == ("hour",)
    assert parts("2020-01-01", 1, "D") == ()


def column(cells: list[Any]) -> pandas.DataFrame:
    return pandas.DataFrame({"when": cells, "size": np.arange(len(cells)) % 7})


def test_inputs_are_days_and_year_scaled_and_the_rest_on_circles() -> None:
    index = pandas.date_range("2015-01-01", periods=1500, freq="D")
    texts = [*index.strftime("%d/%m/%Y"), None]
    fitted = Preprocessor.fit(column(texts))
    assert fitted.encoded_names[:-1] == (
        "when (days)", "when (year)", "when (month, sine)", "when (month, cosine)",
        "when (weekday, sine)", "when (weekday, cosine)",
    )  # fmt: skip
    encoded = fitted.transform(column(texts))
    np.testing.assert_allclose(encoded[:, :2].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(encoded[:, :2].std(axis=0), 1, atol=1e-12)
    np.testing.assert_allclose(np.hypot(encoded[:-1, 2], encoded[:-1, 3]), 1, atol=1e-5)
    # 5 January 2015 was a Monday, where the week's circle begins.
    np.testing.assert_array_equal(encoded[4, 4:6], [0, 1])
    # A gap is the middle day, and in the middle of the circles.
    np.testing.assert_array_equal(encoded[-1, 2:6], 0)
    assert encoded[-1, 0] == encoded[749, 0]
    assert (
        "column 'when': dates (d/m/y), which become days, year, month and weekday" in fitted.notes
    )
    # The same dates in a type of their own, and read back from a file.
    again = Preprocessor.from_json(fitted.to_json())
    assert again == fitted
    typed = fitted.transform(column([*index, pandas.NaT]))
    np.testing.assert_allclose(typed, encoded, atol=1e-12)


def test_a_column_of_datetimes_is_read_by_its_clock() -> None:
    index = pandas.date_range("2020-01-01", periods=600, freq="h", tz="Europe/Berlin")
    fitted = Preprocessor.fit(column(list(index)))
    plain = Preprocessor.fit(column(list(index.tz_localize(None))))
    assert fitted == plain
    assert fitted.columns[0].form == "datetime"
    texts = column(list(index.strftime("%Y-%m-%d %H:%M")))
    np.testing.assert_allclose(
        fitted.transform(texts), plain.transform(column(list(index))), atol=1e-9
    )


def test_a_cell_that_is_no_date_is_refused_by_its_place() -> None:
    table = column(["2020-01-31", "2020-02-28", "2021-03-01"])
    fitted = Preprocessor.fit(table)
    with pytest.raises(
        DataError, match=r"row 1 \(from 0\), column 'when': '30\.1\.2020' is not a date as in tr"
    ):
        fitted.transform(column(["2020-01-31", "30.1.2020"]))


@pytest.mark.parametrize(
    ("numbers", "form", "first"),
    [
        ([1990, 2001, 2012], "year", days(1990, 1, 1)),
        ([20200131, 20200229, 20210301], "yyyymmdd", days(2020, 1, 31)),
        ([31122019, 1022020, 29022020], "ddmmyyyy", days(2019, 12, 31)),
        ([12312019, 2012020, 1312020], "mmddyyyy", days(2019, 12, 31)),
        ([691231, 700101, 1130], "yymmdd", days(2069, 12, 31)),
        ([311269, 10170, 290220], "ddmmyy", days(2069, 12, 31)),
        ([12588, 123187, 22988], "mmddyy", days(1988, 1, 25)),
        ([1.6e9, 1.61e9, 1.7e9], "seconds", 1.6e9 / 86_400),
        ([1.6e12, 1.61e12, 1.7e12], "milliseconds", 1.6e9 / 86_400),
        ([1.6e15, 1.61e15, 1.7e15], "microseconds", 1.6e9 / 86_400),
        ([1.6e18, 1.61e18, 1.7e18], "nanoseconds", 1.6e9 / 86_400),
    ],
)
def test_numbers_are_dates_only_if_told(numbers: list[float], form: str, first: float) -> None:
    table = column(numbers)
    assert Preprocessor.fit(table).columns[0].kind == "numeric"
    fitted = Preprocessor.fit(table, date=["when"])
    assert (fitted.columns[0].kind, fitted.columns[0].form) == ("date", form)
    restored = fitted.transform(table)[0, 0] * fitted.columns[0].parts[0].scale
    assert restored + fitted.columns[0].parts[0].mean == pytest.approx(first)


@pytest.mark.parametrize(
    ("cells", "date", "message"),
    [
        ([1, 2, 3], "when", "is to be read as dates, and its numbers are no years"),
        (["a", "b", "c"], "when", "not all its texts are dates of one form"),
        (["13", "32", "45"], "when", "its digits are no days in any order"),
        ([None, None, None], "when", "to be read as dates, and no row has a value"),
        ([20168, 30269], "when", "they are ddmmyy as well as mmddyy; say which: when:ddmmyy"),
        (
            [311299, 320199],
            "when:ddmmyy",
            r"row 1 \(from 0\), column 'when': 320199\.0 is not a date",
        ),
        ([20240131, 20240201], "when:d/m/y", "20240131.0 is not a date"),
        (["01/02/2020", "03/04/2021"], "when", "say which: when:d/m/y"),
        (
            ["01/02/2020", "31/04/2021"],
            "when:d/m/y",
            r"'31/04/2021' is not a date as in training \(d/m/y\)",
        ),
        (["2020-01-31", "2021-01-31"], "wehn", r"no column 'wehn' .*did you mean 'when'"),
    ],
)
def test_what_cannot_be_read_as_told_is_refused(cells: list[Any], date: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Preprocessor.fit(column(cells), date=[date])


def test_digits_as_texts_are_the_days_that_they_are_as_numbers() -> None:
    texts = column(["012588", "123187", "022988", None])
    fitted = Preprocessor.fit(texts, date=["when"])
    assert fitted.columns[0].form == "mmddyy"
    assert fitted == Preprocessor.fit(texts, date=["when:mmddyy"])
    numbers = column([12588, 123187, 22988, np.nan])
    assert fitted == Preprocessor.fit(numbers, date=["when"])
    np.testing.assert_array_equal(fitted.transform(texts), fitted.transform(numbers))


def test_ambiguous_dates_are_left_out_aloud_until_told() -> None:
    table = column(["01/02/2020", "03/04/2021", "05/06/2022"] * 5)
    fitted = Preprocessor.fit(table)
    assert fitted.encoded_names == ("size",)
    assert "column 'when': left out: holds dates that are d/m/y as well as m/d/y" in fitted.notes[0]
    for form, month in (("d/m/y", 2), ("m/d/y", 1)):
        told = Preprocessor.fit(table, date=[f"when:{form}"])
        assert told.columns[0].form == form
        assert told.columns[0].median == days(2021, 2 + month, 7 - 2 - month)


def test_every_text_form_is_one_of_the_forms() -> None:
    assert {form for form, _ in WRITTEN.values()} == set(TEXT_FORMS)
    assert set(TEXT_FORMS) < set(FORMS)
