"""Pure tensor maths: no modules, no Lightning."""

from lightning_dc.functional.assignment import (
    assignment_entropy,
    nearest_centroids,
    size_statistics,
    soft_frequencies,
    squared_distances,
    student_t_assignment,
    target_distribution,
)
from lightning_dc.functional.contingency import (
    adjusted_rand_index,
    agreement_scores,
    clustering_accuracy,
    contingency_table,
    normalized_mutual_information,
)
from lightning_dc.functional.cox import Ties, cox_loss
from lightning_dc.functional.divergence import kl_divergence, mean_squared_error
from lightning_dc.functional.matching import match_clusters
from lightning_dc.functional.norms import (
    InputGroups,
    Norm,
    adaptive_weights,
    check_norm,
    group_norms,
    group_penalty,
    project_to_bound,
    proximal_step,
    size_weights,
)

__all__ = [
    "Ties",
    "cox_loss",
    "InputGroups",
    "Norm",
    "adaptive_weights",
    "check_norm",
    "group_norms",
    "group_penalty",
    "project_to_bound",
    "proximal_step",
    "size_weights",
    "adjusted_rand_index",
    "agreement_scores",
    "assignment_entropy",
    "clustering_accuracy",
    "contingency_table",
    "kl_divergence",
    "match_clusters",
    "mean_squared_error",
    "nearest_centroids",
    "normalized_mutual_information",
    "size_statistics",
    "soft_frequencies",
    "squared_distances",
    "student_t_assignment",
    "target_distribution",
]
