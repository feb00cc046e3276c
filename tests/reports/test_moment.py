"""Tests of what a progress bar tells."""

from __future__ import annotations

from lightning_dc.reports.moment import Moment

FIGURES = ("loss 0.123", "changed 4.1%")


def test_a_bar_has_short_figures_first() -> None:
    moment = Moment(62, 100, "clustering, epoch 2/4", FIGURES, 24.4, 75.0)
    assert moment.in_a_bar == "0:24<1:15, loss 0.123, changed 4.1%, clustering, epoch 2/4"
    assert Moment(0, 100, "fit", (), 0.0, None).in_a_bar == "0:00<?, fit"


def test_a_line_says_what_its_figures_are() -> None:
    moment = Moment(62, 100, "clustering, epoch 2/4", FIGURES, 24.4, 75.0)
    expected = " 62% clustering, epoch 2/4, loss 0.123, changed 4.1%, 0:24 elapsed, 1:15 left"
    assert moment.as_line == expected
    assert Moment(9, 9, "predict", (), 4_000.0, 0.0).as_line == "100% predict, 1:06:40 elapsed"
    assert Moment(9, None, "predict", (), 4.0, None).as_line == "9 steps predict, 0:04 elapsed"
    assert Moment(0, 0, "predict", (), 0.0, None).as_line == "  0% predict, 0:00 elapsed"
