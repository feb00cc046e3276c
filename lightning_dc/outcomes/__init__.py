"""Clusters against what became of their samples: tables, tests and survival curves."""

from lightning_dc.outcomes.survival import check_lifelines, concordance, kaplan_meier_figure
from lightning_dc.outcomes.table import OutcomeTable, outcome_tables

__all__ = ["OutcomeTable", "check_lifelines", "concordance", "kaplan_meier_figure", "outcome_tables"]
