"""Refresh of the penalty factors of the inputs."""

from __future__ import annotations

import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lightning_dc.callbacks.refresh import Refresh
from lightning_dc.distributed import sum_
from lightning_dc.errors import InputError
from lightning_dc.functional import input_evidence, null_residuals, permutations, size_weights
from lightning_dc.losses import InputSparsity, TaskLoss
from lightning_dc.randomness import mix_seed
from lightning_dc.schedules import Progress
from lightning_dc.training import ClusteringModule, read_owned, read_targets, training_loader

_N_PERMUTATIONS = 100


class EvidenceRefresh(Refresh):
    r"""Callback that weights the adaptive group lasso by marginal evidence when a phase with sparsity begins.

    .. math:: \omega_g = n_g^{1 - 1/p}\, e_g^{-\gamma}

    Inputs that tell the same classes apart are redundant, and a group lasso keeps few of them. The adaptive lasso (Zou
    2006, https://doi.org/10.1198/016214506000000735) penalises an input less if its coefficient in a first estimate is
    larger. With more inputs than samples, marginal regression is a first estimate that makes it consistent, provided
    that relevant and irrelevant inputs are nearly uncorrelated (Huang, Ma and Zhang 2008, Statistica Sinica 18:1603).
    Here e_g is the larger of the input's associations with the targets and, if there are any, with the clusters, in
    units of what chance gives to the best of all inputs (:func:`~lightning_dc.functional.input_evidence`). The factor
    of n_g, the number of weights of the group, has the effect that for an input at the level of chance, alpha = 1
    outweighs the usual Adam step of about the learning rate (:class:`~lightning_dc.callbacks.ProximalStep`).

    Clusters do not depend on inputs whose weights are zero by then, so for those inputs evidence from clusters is not
    circular. An input that acts only together with another has no marginal evidence and is dropped. If no input has
    enough evidence for alpha, a warning says so.

    Args:
        gamma: exponent with which the penalty falls with the evidence, positive.
        term: name of the :class:`~lightning_dc.losses.InputSparsity` term; the callback ignores phases without it.
        task: name of the :class:`~lightning_dc.losses.TaskLoss` term.

    Raises:
        InputError: gamma is not positive, or the training data have no targets.
    """

    def __init__(self, gamma: float = 2.0, term: str = "sparsity", task: str = "task") -> None:
        if gamma <= 0:
            raise InputError(f"gamma={gamma} of the adaptive weights must be positive")
        super().__init__()
        self.gamma = gamma
        self.term = term
        self.task = task

    def applies(self, module: ClusteringModule) -> bool:
        return self.term in module.phase.config.loss_weights

    @torch.no_grad()
    def refresh(self, module: ClusteringModule, *, is_first: bool) -> None:
        task, sparsity = module.losses[self.task], module.losses[self.term]
        assert isinstance(task, TaskLoss)
        assert isinstance(sparsity, InputSparsity)
        targets = read_targets(module, training_loader(module))
        if targets is None:
            raise InputError(f"{type(module).__name__} learns targets, but the training data have none")
        outcomes = [null_residuals(targets, task.kind, task.ties)]
        if module.state.assignments is not None:
            outcomes.append(null_residuals(module.state.assignments.labels.long(), "class"))
        evidence = torch.stack([self._evidence(module, outcome, sparsity) for outcome in outcomes]).amax(0)
        best, n_steps = float(evidence.max()), module.progress.n_steps
        alpha = module.phase.loss_weights(Progress(n_steps, n_steps))[self.term]
        if best <= 1.0 and alpha >= best**self.gamma:  # with a smaller alpha an input could be kept
            rank_zero_warn(
                f"Phase {module.phase.name!r}: no input is associated with the targets or clusters beyond chance "
                f"(largest evidence {best:.2f}, chance is 1), so all may be dropped. Inputs that act "
                "only together with others can't be seen this way; penalise all inputs alike with gamma=null, or lower "
                f"loss_weights.{self.term}"
            )
        n_hidden = len(module.model.network.input_layer.weight)
        groups = sparsity.groups._replace(sizes=sparsity.groups.sizes * n_hidden)
        factors = size_weights(sparsity.norm, groups) * evidence.clamp_min(1e-6) ** -self.gamma
        sparsity.group_weights.copy_(factors)

    @staticmethod
    def _evidence(module: ClusteringModule, residuals: Tensor, sparsity: InputSparsity) -> Tensor:
        """Return the evidence of each group of inputs, (G,), from residuals without inputs, (N, T), by two passes."""
        loader = training_loader(module)
        generator = torch.Generator().manual_seed(mix_seed(module.state.seed, module.global_step))
        n_inputs, n_samples = len(sparsity.of_input), loader.n_samples
        orders = permutations(n_samples, _N_PERMUTATIONS, generator)
        moments = residuals.new_zeros(2, n_inputs)
        for _, batch in read_owned(module, loader):
            x = batch.x.flatten(1).double()
            moments += torch.stack([x.sum(0), x.square().sum(0)])
        mean, square = sum_(moments) / n_samples
        variance = square - mean.square()
        usable = variance > 1e-12 * square
        scale = torch.where(usable, variance, 1.0).rsqrt() * usable
        products = residuals.new_zeros(2, n_inputs, orders.shape[0] * residuals.shape[1])
        fourth = torch.zeros_like(mean)
        for rows, batch in read_owned(module, loader):
            z = (batch.x.flatten(1).double() - mean) * scale
            # (n, (P + 1) T): one matrix product for all permutations; their residuals of all samples are never held
            columns = residuals[orders[:, rows].T.to(residuals.device)].flatten(1)
            products[0].addmm_(z.T, columns)
            products[1].addmm_(z.square().T, columns)
            fourth += z.pow(4).sum(0)
        variances = torch.stack([usable.double(), sum_(fourth) / n_samples - usable.double()])
        products = sum_(products).view(2, n_inputs, len(orders), -1)
        return input_evidence(products, variances, n_samples, sparsity.groups)
