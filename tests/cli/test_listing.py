"""Tests of commands that only print."""

from __future__ import annotations

from importlib.metadata import version

import pytest

from lightning_dc.cli import main
from lightning_dc.configs import shipped_configs


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--version"])
    assert capsys.readouterr().out == f"lightning-dc {version('lightning_dc')}\n"


def test_every_shipped_configuration_is_listed_with_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    main(["configs"])
    listed = capsys.readouterr().out
    for name in shipped_configs():
        assert f"\n{name} " in listed
    assert "\ndec_digits              DEC on the 1,797 digits that scikit-learn ships" in listed
    assert "Q from augmented ones.\n" in listed, "a sentence over two lines is whole"


def test_no_argument_is_a_question_for_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code in (0, None)
    printed = " ".join(capsys.readouterr().out.split())
    assert all(word in printed for word in ("lightning-dc select", "lightning-dc configs", "{fit,validate"))
