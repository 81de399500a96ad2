"""`pytest --device`: some of what it runs on the stand-in, so that all of it stays in order."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from gpu_samples import NO_COMPILER

HERE = Path(__file__).parent
# Some of each family, in seconds; the option itself runs all.
SOME = (
    "test_ops_conv.py", "test_ops_index.py", "test_ops_linear.py", "test_ops_pool.py",
    "test_ops_shape.py", "test_ops_windows.py", "test_layers_behaviour.py", "test_optimizers.py",
    "test_trainer.py", "test_not_finite.py", "test_gpu_real.py",
    "test_ops_arithmetic.py::test_scalars_do_not_turn_float32_into_float64",
)  # fmt: skip
TOO_LONG = "level", "staged", "same_bits"  # in the stand-in, which has tests of its own for them


def run(device, *arguments):
    """Run tests under the option; return how that ended and what was said."""
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider"]
    # Whatever this run measures (coverage, say) is not for the one inside of it.
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV"))}
    command += ["--device", device, *arguments]
    done = subprocess.run(command, cwd=HERE, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(NO_COMPILER is not None, reason=str(NO_COMPILER))
def test_what_is_for_any_device_passes_on_the_standin():
    code, said = run("standin", *SOME, "-k", f"not ({' or '.join(TOO_LONG)})")
    assert code == 0, said
    reasons = {line.rpartition(": ")[2] for line in said.splitlines() if line.startswith("SKIPPED")}
    assert reasons == {"about what the CPU alone has"}


def test_a_gpu_that_is_not_there_is_told_at_once():
    code, said = run("gpu:99", "test_ops_windows.py")
    assert code == pytest.ExitCode.USAGE_ERROR, said
    assert "--device gpu:99: " in said
