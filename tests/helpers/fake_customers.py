"""Invented customers in four segments, as a company exports them: numbers, money, dates, ids, words and gaps."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np

_NEWEST = date(2026, 10, 31)


class _Segment(NamedTuple):
    share: float
    age: tuple[float, float]
    income: tuple[float, float]
    orders: float
    basket: float
    days: float
    tickets: float
    returns: float
    channel: tuple[float, float, float]
    plan: tuple[float, float, float]


_SEGMENTS = (
    _Segment(0.30, (23, 3), (14e3, 3e3), 14, 18, 20, 0.6, 0.05, (0.85, 0.1, 0.05), (0.9, 0.08, 0.02)),
    _Segment(0.35, (41, 6), (52e3, 9e3), 30, 65, 12, 1.2, 0.18, (0.4, 0.35, 0.25), (0.3, 0.6, 0.1)),
    _Segment(0.22, (69, 6), (28e3, 6e3), 8, 40, 60, 2.5, 0.03, (0.05, 0.15, 0.8), (0.6, 0.35, 0.05)),
    _Segment(0.13, (46, 8), (95e3, 20e3), 55, 310, 6, 4.0, 0.10, (0.3, 0.65, 0.05), (0.02, 0.18, 0.8)),
)
_GAPS = {"annual_income": 0.12, "age": 0.04, "channel": 0.06, "return_rate": 0.08}


def customers(n_rows: int, seed: int) -> tuple[list[dict[str, Any]], np.ndarray]:
    """Return rows, and the segment of each, (N,)."""
    random = np.random.default_rng(seed)
    segments = random.choice(len(_SEGMENTS), n_rows, p=[one.share for one in _SEGMENTS])
    rows = [{"customer_id": f"C{seed}{i:06d}", **_customer(_SEGMENTS[k], random)} for i, k in enumerate(segments)]
    for column, share in _GAPS.items():
        for i in np.flatnonzero(random.random(n_rows) < share):
            rows[i][column] = ""
    return rows, segments


def _customer(one: _Segment, random: np.random.Generator) -> dict[str, Any]:
    return {
        "name": f"{random.choice(['Ann', 'Bo', 'Cy', 'Di', 'Ed'])} {random.choice(list('ABCDEFG'))}.",
        "age": round(random.normal(*one.age)),
        "annual_income": round(max(random.normal(*one.income), 0.0), 2),
        "orders_12m": random.poisson(one.orders),
        "avg_basket": round(random.gamma(6, one.basket / 6), 2),
        "support_tickets": random.poisson(one.tickets),
        "return_rate": round(random.beta(2, 2 / one.returns - 2), 3),
        "channel": random.choice(["app", "web", "shop"], p=one.channel),
        "plan": random.choice(["basic", "plus", "pro"], p=one.plan),
        "country": random.choice(["DE", "AT", "CH", "FR", "NL"], p=[0.5, 0.15, 0.15, 0.1, 0.1]),
        "newsletter": random.choice(["yes", "no"], p=[0.4, 0.6]),
        "joined": date(2019, 1, 1) + timedelta(int(random.integers(0, 2300))),
        "last_order": _NEWEST - timedelta(int(random.exponential(one.days))),
        "zip": f"{random.integers(1000, 99999):05d}",
    }
