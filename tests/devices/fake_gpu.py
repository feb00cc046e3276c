"""A stand-in for a GPU: its numbers are in main memory, but it has rules of CUDA and NCCL.

A tensor of the device wraps a tensor in main memory. Each operation of PyTorch is carried out with the wrapped tensors,
after these rules were checked:

- no operation has tensors of two devices, except for numbers without a dimension, copies, and indices in main memory;
- random numbers are drawn by a generator of the device that they are drawn on;
- a tensor of the device gives NumPy no array;
- collectives of the default group take contiguous tensors of the device; a group of gloo takes those in main memory.

A rule that is broken raises :class:`RuleBrokenError`. Importing this module changes PyTorch in the whole process, so it
belongs into a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed as dist
import torch.utils.backend_registration as registration
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.plugins.environments import TorchElasticEnvironment
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

_ATEN = torch.ops.aten
_CPU = torch.device("cpu")
_COPIES = {_ATEN.copy_.default, _ATEN._to_copy.default}
_INDEXING = {_ATEN.index.Tensor, _ATEN.index_put.default, _ATEN.index_put_.default, _ATEN._index_put_impl_.default}


class RuleBrokenError(AssertionError):
    """An error that a real GPU would have raised."""


class _Backend(registration._DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


registration._setup_privateuseone_for_python_backend("gpu", backend_module=_Backend())
GPU = torch.device("gpu:0")


def is_gpu(device: Any) -> bool:
    return device is not None and torch.device(device).type == "gpu"


class GPUTensor(torch.Tensor):
    """Tensor of the device, around a tensor in main memory."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor, requires_grad: bool = False) -> GPUTensor:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=GPU,
            requires_grad=requires_grad,
        )
        made.inner = inner
        return made

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise RuleBrokenError("numpy() of a tensor of the device")

    __array__ = numpy

    def tolist(self) -> Any:
        return self.detach().inner.tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> GPUTensor:
        return memo.setdefault(id(self), GPUTensor(self.inner.clone(), self.requires_grad))

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _run(func, args, kwargs or {})


class Rules(TorchDispatchMode):
    """Mode in which new tensors can be made on the device, and the rules hold."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        concerns_gpu = is_gpu(kwargs.get("device")) or any(
            isinstance(t, GPUTensor) for t in tree_leaves((args, kwargs))
        )
        return _run(func, args, kwargs) if concerns_gpu or kwargs.get("generator") else func(*args, **kwargs)


def _run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Check the rules, and carry out an operation with the tensors in main memory."""
    own = [t for t in tree_leaves((args, kwargs)) if isinstance(t, GPUTensor)]
    is_made_there = is_gpu(kwargs.get("device"))
    _check_devices(func, args, kwargs, own, is_made_there)
    plain_kwargs = {**kwargs, **({"device": _CPU} if is_made_there else {})}
    if "pin_memory" in plain_kwargs:
        plain_kwargs["pin_memory"] = False
    result = func(*tree_map(_unwrapped, args), **tree_map(_unwrapped, plain_kwargs))
    if func is _ATEN._to_copy.default:
        leaves = own and kwargs.get("device") is not None and not is_made_there
        return result if leaves else GPUTensor(result.clone() if not own else result)
    if not own and not is_made_there:
        return result
    written = _written(func, args, kwargs)
    if written is not None and isinstance(result, torch.Tensor):
        return written
    known = {id(t.inner): t for t in own}

    def wrap(value: Any) -> Any:
        if not isinstance(value, torch.Tensor):
            return value
        return known[id(value)] if id(value) in known else GPUTensor(value)

    wrapped = tree_map(wrap, result)
    return wrapped if written is not None else return_and_correct_aliasing(func, args, kwargs, wrapped)


def _check_devices(func: Any, args: Any, kwargs: dict[str, Any], own: list[GPUTensor], is_made_there: bool) -> None:
    generator = kwargs.get("generator")
    if generator is not None and (generator._cdata in _generators_of_gpu) != bool(own or is_made_there):
        raise RuleBrokenError(f"{func} has a generator of another device")
    if not own or func in _COPIES:
        return
    if func not in _INDEXING:
        others = [
            t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor) and not isinstance(t, GPUTensor)
        ]
        if any(t.ndim > 0 for t in others):
            raise RuleBrokenError(f"{func} has tensors of two devices")
        return
    if not isinstance(args[0], GPUTensor) and any(isinstance(index, GPUTensor) for index in args[1]):
        raise RuleBrokenError("a tensor in main memory has an index of the device")
    if func is not _ATEN.index.Tensor and not isinstance(args[2], GPUTensor) and args[2].ndim > 0:
        raise RuleBrokenError("values in main memory are put into a tensor of the device")


def _unwrapped(value: Any) -> Any:
    return value.inner if isinstance(value, GPUTensor) else value


def _written(func: Any, args: Any, kwargs: dict[str, Any]) -> torch.Tensor | None:
    """Return the tensor that an operation writes to; None if it writes to none."""
    for i, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[i] if i < len(args) else kwargs.get(argument.name)
            if isinstance(value, torch.Tensor):
                return value
    return None


@torch.library.impl("aten::empty.memory_format", "PrivateUse1")
def _empty(size: Any, dtype: Any = None, **kwargs: Any) -> GPUTensor:
    return GPUTensor(torch.empty(size, dtype=dtype))


@torch.library.impl("aten::empty_strided", "PrivateUse1")
def _empty_strided(size: Any, stride: Any, dtype: Any = None, **kwargs: Any) -> GPUTensor:
    return GPUTensor(torch.empty_strided(size, stride, dtype=dtype))


@torch.library.impl("aten::_copy_from", "PrivateUse1")
def _copy_from(source: torch.Tensor, target: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    _unwrapped(target).copy_(_unwrapped(source))
    return target


_MainMemoryGenerator = torch.Generator
_generators_of_gpu: set[int] = set()  # by address, since an operation gets another object of Python


class _Generator(_MainMemoryGenerator):
    """Generator that knows the device that it was made for."""

    def __new__(cls, device: Any = "cpu") -> _Generator:
        made: _Generator = _MainMemoryGenerator.__new__(cls, "cpu")  # type: ignore[assignment]
        _generators_of_gpu.discard(made._cdata)
        if is_gpu(device):
            _generators_of_gpu.add(made._cdata)
        return made

    def __init__(self, device: Any = "cpu") -> None:
        pass

    @property
    def device(self) -> torch.device:
        return GPU if self._cdata in _generators_of_gpu else _CPU

    def manual_seed(self, seed: int) -> _Generator:
        super().manual_seed(seed)
        return self


def _tensor(data: Any, *, dtype: Any = None, device: Any = None, **kwargs: Any) -> torch.Tensor:
    made = _make_tensor(data, dtype=dtype, device=None if is_gpu(device) else device, **kwargs)
    return GPUTensor(made) if is_gpu(device) else made


def _collective(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("group") not in (None, dist.group.WORLD):
            if any(isinstance(t, GPUTensor) for t in tree_leaves((args, kwargs))):
                raise RuleBrokenError(f"{function.__name__} of a group of gloo has a tensor of the device")
            return function(*args, **kwargs)
        for tensor in tree_leaves((args, kwargs)):
            if isinstance(tensor, torch.Tensor) and not (isinstance(tensor, GPUTensor) and tensor.is_contiguous()):
                raise RuleBrokenError(f"{function.__name__} needs contiguous tensors of the device")
        args, kwargs = tree_map(_unwrapped, (args, kwargs))
        return function(*args, **kwargs)

    return call


_make_tensor = torch.tensor
_all_reduce = dist.all_reduce
torch.Generator = _Generator  # type: ignore[misc]
torch.tensor = _tensor
for _name in ("all_reduce", "broadcast"):
    _wrapped = _collective(getattr(dist, _name))
    setattr(dist, _name, _wrapped)


class _GPUAccelerator(Accelerator):
    def setup_device(self, device: torch.device) -> None: ...

    def teardown(self) -> None: ...

    def get_device_stats(self, device: Any) -> dict[str, Any]:
        return {}

    @staticmethod
    def parse_devices(devices: Any) -> list[int]:
        return [0]

    @staticmethod
    def get_parallel_devices(devices: Any) -> list[torch.device]:
        return [GPU]

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def name() -> str:
        return "gpu"


class _DDP(DDPStrategy):
    """DDP without its reducer in C++, which takes no such tensors: gradients are averaged after the backward pass."""

    @property
    def root_device(self) -> torch.device:
        return GPU

    def _setup_model(self, model: Any) -> Any:
        return model

    def configure_ddp(self) -> None: ...

    def _register_ddp_hooks(self) -> None: ...

    def pre_backward(self, loss: Any) -> None: ...

    def setup_distributed(self) -> None:
        self.set_world_ranks()
        if not dist.is_initialized():
            dist.init_process_group("gloo")

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        dist.barrier()

    def post_backward(self, loss: Any) -> None:
        for parameter in self.lightning_module.parameters():
            if parameter.grad is not None:
                _all_reduce(parameter.grad.inner)
                parameter.grad.inner.div_(dist.get_world_size())


def trainer(world_size: int, **options: Any) -> pl.Trainer:
    """Return a Trainer on the device, on one process or on several that torchrun has started."""
    strategy = SingleDeviceStrategy(device=GPU)
    if world_size > 1:
        strategy = _DDP(parallel_devices=[GPU] * world_size, cluster_environment=TorchElasticEnvironment())  # type: ignore[assignment]
    arguments: dict[str, Any] = {
        "accelerator": _GPUAccelerator(),
        "strategy": strategy,
        "devices": world_size,
        "max_epochs": -1,
        "precision": "64-true",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
        "inference_mode": False,
    }
    return pl.Trainer(**{**arguments, **options})
