"""Schedules of learning rates, momenta and loss weights."""

from lightning_dc.schedules.exponential import Exponential
from lightning_dc.schedules.linear import Linear
from lightning_dc.schedules.one_cycle import OneCycle
from lightning_dc.schedules.schedule import Progress, Schedule
from lightning_dc.schedules.step_decay import StepDecay

__all__ = ["Exponential", "Linear", "OneCycle", "Progress", "Schedule", "StepDecay"]
