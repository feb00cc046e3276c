"""Tests of dates that are written as text, against pandas."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from datamodules.tables.date_text import guess_date_format, read_dates

DAYS = pd.Timestamp("2019-03-01") + pd.to_timedelta(np.random.default_rng(0).integers(0, 2000, 50), "D")
FORMATS = [
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%d-%m-%Y", "%d.%m.%y", "%Y%m%d"),
    *("%d %b %Y", "%d-%b-%Y", "%b %d, %Y", "%B %d, %Y"),
]


@pytest.mark.parametrize("date_format", FORMATS)
@pytest.mark.parametrize("time", ["", " 10:30", "T23:59:59.123Z", " 11:05 PM", " 10:30:00+02:00"])
def test_the_format_is_guessed_and_the_days_are_those_of_pandas(date_format: str, time: str) -> None:
    texts = [day.strftime(date_format) + time for day in DAYS]
    assert guess_date_format(texts) == date_format
    np.testing.assert_array_equal(read_dates(texts, date_format), [day.toordinal() for day in DAYS])


@pytest.mark.parametrize(
    "texts", [["1.5", "2.75"], ["10:30"], ["1234"], ["2020"], ["May"], [""], ["192.168.10.12"], ["99999999"]]
)
def test_other_texts_are_no_dates(texts: list[str]) -> None:
    assert guess_date_format(texts) is None


def test_a_day_above_twelve_tells_day_and_month_apart() -> None:
    assert guess_date_format(["01/02/2020", "13/02/2020"]) == "%d/%m/%Y"
    assert guess_date_format(["01/02/2020", "02/13/2020"]) == "%m/%d/%Y"


def test_what_stands_for_no_date_is_missing() -> None:
    found = read_dates(["9999-12-31", "2020-02-30", "2020-02-29", "0001-01-01"], "%Y-%m-%d")
    assert np.isnan(found).tolist() == [True, True, False, True]
