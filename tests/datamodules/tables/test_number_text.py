"""Tests of numbers that are written for people."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.tables.number_text import guess_decimal, read_numbers


@given(st.floats(-1e12, 1e12, allow_subnormal=False), st.integers(0, 4))
def test_a_number_is_read_as_it_was_written(value: float, digits: int) -> None:
    written = f"{value:,.{digits}f}"
    assert read_numbers([written], ".")[0] == float(f"{value:.{digits}f}")
    swapped = written.translate(str.maketrans(",.", ".,"))
    assert read_numbers([swapped], ",")[0] == float(f"{value:.{digits}f}")
    assert read_numbers([written.replace(",", "'")], ".")[0] == float(f"{value:.{digits}f}")


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("$1,234.50", ".", 1234.5),
        ("-$5", ".", -5),
        ("$ -5", ".", -5),
        ("1 234,5 €", ",", 1234.5),
        ("CHF 1'234.50", ".", 1234.5),
        ("12 %", ".", 12),
        ("(1,234)", ".", -1234),
        ("\u22123", ".", -3),
        ("1e3", ".", 1000),
        ("1,5e3", ",", 1500),
        (".5", ".", 0.5),
        ("+7", ".", 7),
        ("-inf", ",", -math.inf),
        ("1.234", ",", 1234),
        ("1.234", ".", 1.234),
        ("0.123", ",", math.nan),
        ("1,5", ".", math.nan),
        ("12,34,567", ".", math.nan),
        ("1.2.2020", ".", math.nan),
        ("(5", ".", math.nan),
        ("ten", ".", math.nan),
        ("12:30", ".", math.nan),
        ("5 kg", ".", math.nan),
        ("", ".", math.nan),
    ],
)
def test_signs_and_separators(text: str, decimal: str, number: float) -> None:
    np.testing.assert_equal(read_numbers([text, "$0"], decimal)[0], number)


@pytest.mark.parametrize(
    ("texts", "decimal"),
    [
        (["12,5"], ","),
        (["12.5"], "."),
        (["1.234", "1.234.567"], ","),
        (["1,234", "1,234,567"], "."),
        (["0,125"], ","),
        (["1.234,5", "1.5", "2,5"], ","),
        (["1,234", "1.234"], None),
        (["7", "x,5", "1.2.3"], None),
    ],
)
def test_the_decimal_sign_follows_from_numbers_that_can_be_read_in_one_way(texts: list[str], decimal: str) -> None:
    assert guess_decimal(texts) == decimal


def test_long_texts_take_no_time() -> None:
    text = "1" + " 1" * 50_000 + "x"
    start = time.perf_counter()
    assert math.isnan(read_numbers([text], ".")[0])
    assert time.perf_counter() - start < 1
