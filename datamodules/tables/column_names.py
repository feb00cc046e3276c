"""What the name of a column tells of its values."""

from __future__ import annotations

import re
from collections.abc import Sequence

_TOKEN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^\W\d_a-zA-Z]+")
_LABELS = {
    *("label", "labels", "class", "classes", "cluster", "clusters", "cluster_id", "cluster_label", "class_label"),
    *("target", "targets", "segment", "segments", "species", "y", "y_true", "true_label", "ground_truth"),
}
_KEYS = {"id", "ids", "uuid", "guid"}
_ROW_KEYS = _KEYS | {"key", "nr", "no", "num", "number", "index", "idx", "row"}
_CODES = {
    *("zip", "zipcode", "plz", "postal", "postcode", "postleitzahl", "phone", "telephone", "tel", "telefon", "mobile"),
    *("fax", "iban", "ssn", "isbn", "ean", "barcode"),
}


def is_label_name(name: str, names: Sequence[str]) -> bool:
    """Tell whether a column is named like one of classes or clusters; ``y`` beside ``x`` is a coordinate.

    Example:
        >>> [is_label_name(name, ["x", "y"]) for name in ("Species", "trueLabel", "y", "class_size")]
        [True, True, False, False]
    """
    plain = "_".join(_tokens(name))
    return plain in _LABELS and not (plain == "y" and any(other.strip().casefold() == "x" for other in names))


def is_key_name(name: str) -> bool:
    """Tell whether a column is named like one of keys, whose values may come more than once.

    Example:
        >>> [is_key_name(name) for name in ("store_id", "storeID", "Id", "humidity", "paid")]
        [True, True, True, False, False]
    """
    return bool(_KEYS & set(_tokens(name)))


def is_row_key_name(name: str) -> bool:
    """Tell whether a column is named like one that numbers or names the rows."""
    return bool(_ROW_KEYS & set(_tokens(name)))


def is_code_name(name: str) -> bool:
    """Tell whether a column is named like one of codes of digits, which are no quantity.

    Example:
        >>> [is_code_name(name) for name in ("ZIP code", "phone", "zipped")]
        [True, True, False]
    """
    return bool(_CODES & set(_tokens(name)))


def _tokens(name: str) -> list[str]:
    return [token.casefold() for token in _TOKEN.findall(name)]
