"""CSV files as people bring them, small and invented: each with the names of the inputs that it should have."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd

N = 60


def normal(seed: int = 0, n: int = N) -> np.ndarray:
    return np.random.default_rng(seed).normal(50, 10, n).round(2)


def csv(frame: pd.DataFrame, **arguments: Any) -> str:
    stream = StringIO()
    frame.to_csv(stream, index=arguments.pop("index", False), **arguments)
    return stream.getvalue()


def cycle(*words: str) -> list[str]:
    return [words[i % len(words)] for i in range(N)]


DAYS = pd.Timestamp("2024-06-30") - pd.to_timedelta(np.arange(N)[::-1] * 7, "D")
AGES = [float(7 * i) for i in range(N)][::-1]  # in days before the newest


def ids() -> tuple[str, list[str]]:
    keys = [f"K{i:04d}" for i in np.random.default_rng(0).permutation(N)]
    frame = pd.DataFrame({"key": keys, "customer number": range(1000, 1000 + N), "height": normal(), "email": keys})
    return csv(frame.assign(email=[f"{key}@example.org" for key in keys])), ["height"]


def iso_dates() -> tuple[str, list[str]]:
    text = csv(
        pd.DataFrame({"day": DAYS.strftime("%Y-%m-%d"), "at": DAYS.strftime("%Y-%m-%dT10:00:00Z"), "v": normal()})
    )
    return text, ["day: days before newest", "at: days before newest", "v"]


def german_dates() -> tuple[str, list[str]]:
    return csv(pd.DataFrame({"Datum": DAYS.strftime("%d.%m.%Y"), "v": normal()})), ["Datum: days before newest", "v"]


def categories() -> tuple[str, list[str]]:
    frame = pd.DataFrame({"colour": cycle("red", "green", "blue"), "size": cycle("S", "M"), "v": normal()})
    return csv(frame), ["colour=blue", "colour=green", "colour=red", "size=M", "size=S", "v"]


def gaps() -> tuple[str, list[str]]:
    values = normal().astype(str).tolist()
    words = cycle("a", "b", "c")
    for i, gap in enumerate(["", "NA", "N/A", "-", "null"]):
        values[7 * i] = gap
        words[7 * i + 1] = gap
    return csv(pd.DataFrame({"v": values, "word": words})), ["v", "word=a", "word=b", "word=c"]


def thousands() -> tuple[str, list[str]]:
    values = np.random.default_rng(0).integers(900, 3_000_000, N)
    return csv(pd.DataFrame({"sold": [f"{value:,}" for value in values], "v": normal()})), ["sold", "v"]


def semicolons() -> tuple[str, list[str]]:
    frame = pd.DataFrame({"preis": [f"{value:,.2f}" for value in 100 * normal()], "v": normal()})
    frame["preis"] = [text.translate(str.maketrans(",.", ".,")) for text in frame["preis"]]
    return csv(frame, sep=";", decimal=","), ["preis", "v"]


def flags() -> tuple[str, list[str]]:
    frame = pd.DataFrame(
        {"a": cycle("yes", "no", "No"), "b": cycle("WAHR", "FALSCH"), "c": cycle("0", "1"), "d": cycle("True", "False")}
    )
    names = ["a=no", "a=yes", "b=falsch", "b=wahr", "c=0", "c=1", "d=false", "d=true", "sex=1", "sex=2", "v"]
    return csv(frame.assign(sex=cycle("1", "2"), v=normal())), names


def byte_order_mark() -> tuple[str, list[str]]:
    return "\ufeff" + csv(pd.DataFrame({"größe": normal(), "v": normal(1)})), ["größe", "v"]


def index_column() -> tuple[str, list[str]]:
    return csv(pd.DataFrame({"v": normal(), "w": normal(1)}), index=True), ["v", "w"]


def currency() -> tuple[str, list[str]]:
    frame = pd.DataFrame(
        {
            "price": [f"${value:,.2f}" for value in 100 * normal()],
            "cost": [f"{value:.2f} €" for value in normal(1)],
            "share": [f"{value:.1f}%" for value in normal(2)],
            "profit": [f"({-value:.2f})" if value < 0 else f"{value:.2f}" for value in normal(3) - 50],
        }
    )
    return csv(frame), ["price", "cost", "share", "profit"]


def headers() -> tuple[str, list[str]]:
    frame = pd.DataFrame(
        {"Customer ID": [f"c{i}" for i in range(N)], "Body Mass (kg)": normal(), " Sex ": cycle("m", "F")}
    )
    return csv(frame), ["Body Mass (kg)", " Sex =F", " Sex =m"]


def codes() -> tuple[str, list[str]]:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "plz": [f"{value:05d}" for value in random.integers(1000, 99999, N)],
            "branch": cycle("007", "042", "113"),
            "contact": [f"+49 171 {value}" for value in random.integers(10**6, 10**7, N)],
            "note": [f"the customer number {i} has called us, and asked for a refund" for i in range(N)],
            "nothing": [""] * N,
            "same": ["x"] * N,
            "Species": cycle("setosa", "virginica"),
            "v": normal(),
        }
    )
    return csv(frame), ["branch=007", "branch=042", "branch=113", "v"]


WILD: list[Callable[[], tuple[str, list[str]]]] = [
    *(ids, iso_dates, german_dates, categories, gaps, thousands, semicolons, flags, byte_order_mark, index_column),
    *(currency, headers, codes),
]
