"""Reports about a run for its users, during the run and at its end."""

from lightning_dc.reports.annotated_copy import AnnotatedCopy
from lightning_dc.reports.baseline import Baseline
from lightning_dc.reports.baseline_result import BaselineResult
from lightning_dc.reports.calibration import Calibration
from lightning_dc.reports.calibration_result import CalibrationResult
from lightning_dc.reports.contributor import Contributor
from lightning_dc.reports.document_table import DocumentTable
from lightning_dc.reports.feature_table import FeatureTable
from lightning_dc.reports.outcome_tables import OutcomeTables
from lightning_dc.reports.prediction_writer import PredictionWriter
from lightning_dc.reports.progress_bar import ClusteringProgressBar
from lightning_dc.reports.reliability import ReliabilityBin, agreement_of_runs, calibration_error, reliability_bins
from lightning_dc.reports.report import Report
from lightning_dc.reports.run_summary import RunSummary
from lightning_dc.reports.silhouettes import Silhouettes

__all__ = [
    "AnnotatedCopy",
    "Baseline",
    "BaselineResult",
    "Calibration",
    "CalibrationResult",
    "ClusteringProgressBar",
    "Contributor",
    "DocumentTable",
    "FeatureTable",
    "OutcomeTables",
    "PredictionWriter",
    "ReliabilityBin",
    "Report",
    "RunSummary",
    "Silhouettes",
    "agreement_of_runs",
    "calibration_error",
    "reliability_bins",
]
