"""Pure functions of tensors, without modules and Lightning."""

from lightning_dc.functional.assignment import (
    assignment_entropy,
    distance_margin,
    mutual_information,
    nearest_centroids,
    size_statistics,
    soft_frequencies,
    squared_distances,
    student_t_assignment,
    target_distribution,
    zipf_shares,
)
from lightning_dc.functional.contingency import (
    adjusted_rand_index,
    agreement_scores,
    clustering_accuracy,
    contingency_table,
    normalized_mutual_information,
)
from lightning_dc.functional.cox import Ties, cox_loss
from lightning_dc.functional.differences import standardized_differences
from lightning_dc.functional.divergence import disagreement, kl_divergence, mean_squared_error
from lightning_dc.functional.evidence import input_evidence, permutations
from lightning_dc.functional.gaussian import gaussian_mixture_log_joint
from lightning_dc.functional.matching import match_clusters
from lightning_dc.functional.neighbours import NeighbourMetric, nearest_neighbours
from lightning_dc.functional.norms import (
    InputGroups,
    Norm,
    check_norm,
    group_norms,
    group_penalty,
    project_to_bound,
    proximal_step,
    size_weights,
)
from lightning_dc.functional.supervised import (
    class_loss,
    known_targets,
    multilabel_loss,
    null_residuals,
    supervised_losses,
    value_loss,
)
from lightning_dc.functional.transport import balanced_assignment

__all__ = [
    "InputGroups",
    "NeighbourMetric",
    "Norm",
    "Ties",
    "adjusted_rand_index",
    "agreement_scores",
    "assignment_entropy",
    "balanced_assignment",
    "check_norm",
    "class_loss",
    "clustering_accuracy",
    "contingency_table",
    "cox_loss",
    "disagreement",
    "distance_margin",
    "gaussian_mixture_log_joint",
    "group_norms",
    "group_penalty",
    "input_evidence",
    "kl_divergence",
    "known_targets",
    "match_clusters",
    "mean_squared_error",
    "multilabel_loss",
    "mutual_information",
    "nearest_centroids",
    "nearest_neighbours",
    "normalized_mutual_information",
    "null_residuals",
    "permutations",
    "project_to_bound",
    "proximal_step",
    "size_statistics",
    "size_weights",
    "soft_frequencies",
    "squared_distances",
    "standardized_differences",
    "student_t_assignment",
    "supervised_losses",
    "target_distribution",
    "value_loss",
    "zipf_shares",
]
