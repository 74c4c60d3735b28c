from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from mslaunet._shared.errors import ResourceError
from mslaunet.predict.memory import choose_batch


def test_the_batch_shrinks_to_the_limit() -> None:
    assert choose_batch(None, int(1e8), 200, int(1e9), None) == 8
    assert choose_batch(None, int(1e8), 200, int(1e9), 1.35) == 3
    assert choose_batch(4, int(1e8), 200, int(1e9), 1.35) == 4  # as asked
    assert choose_batch(None, int(1e8), 2, int(1e9), None) == 2


def test_a_slice_that_does_not_fit_is_refused_before_the_work() -> None:
    with pytest.raises(ResourceError, match=r"one slice needs about 1.1 GB in all, the limit is 1.0 GB"):
        choose_batch(None, int(1e8), 200, int(1e9), 1.0)


_MEASURE = """
import json, sys
import numpy as np, torch
from mslaunet.data.loading import LoadedCase
from mslaunet.model import MSLAUNet
from mslaunet.predict import Predictor
from mslaunet.predict.memory import resident_bytes
from mslaunet.preprocess import Preprocessing
torch.set_num_threads(1)
classes, depth, side = 60, 24, 320
model = MSLAUNet.variant("tiny", num_classes=classes, in_channels=1).eval()
plan = Preprocessing(intensity="window", num_channels=1)
predictor = Predictor(model, plan, {i: str(i) for i in range(classes)}, {}, torch.device("cpu"), batch_size=2)
image = np.zeros((1, depth, side, side), np.float32)
before = resident_bytes()
result = predictor.segment(LoadedCase(image, None, (1.0, 1.0, 1.0), None))
print(json.dumps({"before": before, "estimate": result.estimated_bytes, "peak": result.peak_bytes}))
"""


@pytest.mark.slow
def test_the_class_volume_never_exists_and_the_estimate_holds() -> None:
    """Measured in a process of its own: the scores of all slices together would take 590 MB more, in float32."""
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    measured = json.loads(done.stdout)
    volume = 60 * 24 * 320 * 320 * 4
    rise = measured["peak"] - measured["before"]
    assert rise < measured["estimate"] - measured["before"] + 0.1e9
    assert measured["estimate"] < 2.5 * measured["peak"]
    assert rise < 0.8 * volume
