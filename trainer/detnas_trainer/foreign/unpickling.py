"""Reads what torch.save wrote, without running anything that the file asks for.

torch's own restricted unpickler does the work. It accepts names of mmengine and numpy in addition
to its own, but never gets what they name: each becomes an object that keeps nothing.
"""

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from detnas_trainer.weights import WeightsError, listed

_BESIDE_THE_WEIGHTS = (
    "argparse.Namespace",  # the options of a training script
    "builtins.getattr",  # how the next two name their methods
    "mmengine.logging.history_buffer.HistoryBuffer",
    "mmengine.optim.scheduler.param_scheduler.OneCycleParamScheduler",
    "numpy.dtype",
    "numpy.ndarray",
    "numpy._core.multiarray._reconstruct",
    "numpy._core.multiarray.scalar",
    "numpy.core.multiarray._reconstruct",  # numpy 1
    "numpy.core.multiarray.scalar",
)
"""All that mmengine's Runner and the scripts of timm and torchvision save beside tensors and plain
values: logs, schedulers, options."""

_SETTINGS = "mmengine.config.config.ConfigDict"

_TRUST = "only where you trust it, write its weights alone: "
_OF_A_CHECKPOINT = (
    "c = torch.load(old, weights_only=False); "
    'torch.save({"state_dict": c["state_dict"], '
    '"meta": {"dataset_meta": (c.get("meta") or {}).get("dataset_meta")}}, new)'
)
_OF_A_MODEL = (
    "m = torch.load(old, weights_only=False); "
    'torch.save({"state_dict": m.state_dict(), '
    '"meta": {"dataset_meta": getattr(m, "dataset_meta", None)}}, new)'
)


class _Nothing:
    """Accepts any arguments and any state, and keeps neither."""

    def __new__(cls, *_: object) -> "_Nothing":
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        """Drop it."""


def load_pickled(path: Path) -> Any:
    """What a file of torch.save holds: tensors on the CPU and plain values.

    Raises:
        WeightsError: the file asks for anything else, is damaged, or is not torch.save's.
        OSError: the file cannot be read.
    """
    allowed = [(_Nothing, name) for name in _BESIDE_THE_WEIGHTS]
    with safe_globals([*allowed, (dict, _SETTINGS)]):
        try:
            with path.open("rb") as file:
                return torch.load(file, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise _refusal(path, str(error)) from error
        except (OSError, MemoryError):
            raise
        except Exception as error:  # a damaged file can raise anything
            said = str(error).partition("\n")[0] or type(error).__name__
            raise WeightsError(
                f"{path} cannot be read ({said})",
                "if it is truncated or altered, fetch it again",
            ) from error


def _refusal(path: Path, said: str) -> WeightsError:
    names = _foreign_names(path, said)
    if any(name.startswith("torch.nn.modules.") for name in names):
        return WeightsError(
            f"{path} is refused: it is a pickled model, which runs code when it is read",
            _TRUST + _OF_A_MODEL,
        )
    if names:
        problem = f"it holds more than tensors and plain values: {listed(names)}"
    elif "Unsupported operand" in said:
        problem = (
            "its pickle has instructions that cannot be read safely, such as those of protocol 4 "
            "(torch.save writes protocol 2 unless asked)"
        )
    else:
        problem = "it cannot be read safely, or is damaged"
    return WeightsError(f"{path} is refused: {problem}", _TRUST + _OF_A_CHECKPOINT)


def _foreign_names(path: Path, said: str) -> list[str]:
    """What a refused file asks for; of files before PyTorch 1.6, the first name only."""
    try:
        return sorted(get_unsafe_globals_in_checkpoint(path))
    except OSError:
        raise
    except Exception:  # noqa: BLE001 - of another form or protocol, or damaged
        found = re.search(r"GLOBAL (\S+)", said)
        return [found[1]] if found else []
