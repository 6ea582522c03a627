"""AdamW as tasks train with it: warm-up, cosine decay, clipped gradients, of several batches."""

from collections.abc import Mapping
from typing import Any

import keras

from tflm.training.fine_tuning import NOT_DECAYED, LayerwiseAdamW
from tflm.training.fused_adam import AdamW
from tflm.training.schedules import PerUpdate


def cosine_adamw(
    peak: float,
    warmup_steps: int,
    total_steps: int,
    *,
    final: float = 0.0,
    weight_decay: float = 0.01,
    beta_2: float = 0.999,
    ema: float = 0.0,
    depths: Mapping[str, int] | None = None,
    layer_decay: float = 1.0,
    accumulate: int = 1,
) -> keras.optimizers.Optimizer:
    """AdamW (Loshchilov & Hutter 2019) with warm-up and cosine decay, gradients clipped to norm 1.

    Args:
        peak: the highest learning rate.
        warmup_steps: updates up to it.
        total_steps: updates until the decay has ended, warm-up included.
        final: what it ends at and stays, as a share of `peak`.
        weight_decay: times the learning rate, what each update takes from a weight; biases and
            normalisation are left alone.
        beta_2: decay of the second moment's average.
        ema: decay of a moving average of the weights, 0 for none.
        depths: of the weights, as `tflm.training.fine_tuning.depths` finds them; with them lower
            layers learn more slowly.
        layer_decay: with `depths`, what the rate is multiplied by from one layer to the one below.
        accumulate: batches to an update, see `averaged`.

    Raises:
        ValueError: `accumulate` is less than 1.
    """
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(total_steps - warmup_steps, 1),
        alpha=final,
        warmup_target=peak,
        warmup_steps=warmup_steps,
    )
    options: dict[str, Any] = {
        "weight_decay": weight_decay,
        "beta_2": beta_2,
        "global_clipnorm": 1.0,
        **averaged(schedule, ema, accumulate),
    }
    if depths is not None:
        return LayerwiseAdamW(depths=depths, layer_decay=layer_decay, **options)
    optimizer = AdamW(**options)
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer


def averaged(schedule: Any, ema: float = 0.0, accumulate: int = 1) -> dict[str, Any]:
    """Options of a Keras optimizer that averages weights over updates, gradients over batches.

    An update of several batches is one of a batch as large as all of them, where their losses are
    over as many tokens; it takes the memory of one. Batches left at the end of training make none.

    Args:
        schedule: the learning rate by the number of updates done.
        ema: from one update to the next, decay of a moving average of the weights; 0 for none.
        accumulate: batches to an update.

    Raises:
        ValueError: `accumulate` is less than 1.
    """
    if accumulate < 1:
        raise ValueError(f"`accumulate` must be at least 1. Received: accumulate={accumulate}")
    # Keras moves the average with every batch.
    options = {"use_ema": True, "ema_momentum": ema ** (1 / accumulate)} if ema else {}
    if accumulate == 1:
        return {"learning_rate": schedule, **options}
    rate = PerUpdate(schedule, accumulate)
    return {"learning_rate": rate, "gradient_accumulation_steps": accumulate, **options}
