"""Terms of texts: words, and n-grams of characters where a script has no spaces between words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

_PAIRS = (
    "\u3040-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_TRIPLES = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19df\u1a20-\u1aaf"
_TERM = re.compile(rf"(?P<pairs>[{_PAIRS}]+)|(?P<triples>[{_TRIPLES}]+)|(?P<word>[^\W{_PAIRS}{_TRIPLES}]{{2,}})")
_UNSPACED = re.compile(f"[{_PAIRS}{_TRIPLES}]")
_SHARE = 0.05


def need_ngrams(texts: Sequence[str]) -> bool:
    """Tell whether at least one text in twenty has letters of a script without spaces.

    These are Chinese and Japanese characters, and the scripts of Thai, Lao, Burmese, Khmer and their relatives. Korean
    has spaces.

    Example:
        >>> need_ngrams(["oil prices"]), need_ngrams(["石油价格"])
        (False, True)
    """
    return sum(bool(_UNSPACED.search(text)) for text in texts) >= max(1, _SHARE * len(texts))


def terms(text: str) -> list[str]:
    """Return the terms of a text, in lower case, without English stop words.

    A term is a word of at least two letters or digits, as scikit-learn finds them; a character or a pair of
    neighbouring ones of Chinese and Japanese; or three neighbouring characters of the other scripts without spaces.

    Example:
        >>> terms("The Oil 石油价")
        ['oil', '石', '油', '价', '石油', '油价']
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    found: list[str] = []
    for match in _TERM.finditer(text.lower()):
        if match["pairs"]:
            found += [*match["pairs"], *_ngrams(match["pairs"], 2)]
        elif match["triples"]:
            found += _ngrams(match["triples"], 3) if len(match[0]) > 3 else [match[0]]
        elif match[0] not in ENGLISH_STOP_WORDS:
            found.append(match[0])
    return found


def _ngrams(run: str, n: int) -> Iterator[str]:
    return (run[i : i + n] for i in range(len(run) - n + 1))
