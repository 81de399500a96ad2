"""Files that declare sizes far beyond their own: refused before any memory is taken for them."""

import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest
from file_samples import npy, npy_header, packed, parts_of, sample

ROOT = Path(__file__).resolve().parent.parent

LIMITED = """
    import resource, sys, zlib, numpy as np
    import minnet as mn
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 100_000_000, used + 100_000_000))
    try:
        np.empty(300_000_000, np.uint8)
        print("no limit")
    except MemoryError:
        pass
    for path in sys.argv[1:]:
        try:
            mn.load(path)
            print("loaded")
        except mn.FormatError as error:
            print("tried" if isinstance(error.__cause__, MemoryError) else "refused")
"""


def lying(parts: dict[str, bytes], folder: Path):
    """Write files that say they hold gigabytes, each in another way; yield their paths.

    Those in whose parts only a copy of the size is wrong, which nobody reads, come last.
    """
    huge = 4_000_000_000
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000,)}"
    yield packed({**parts, "0.weight.npy": npy_header(header)}, folder / "array.npz")
    bits = np.lib.format.magic(2, 0) + (huge).to_bytes(4, "little") + b"{'descr'"
    yield packed({**parts, "0.weight.npy": bits}, folder / "header.npz")
    zeros = npy(np.zeros(30_000_000, "float32"))
    yield packed({**parts, "0.weight.npy": zeros}, folder / "bomb.npz", zipfile.ZIP_DEFLATED)
    for signature, at in ((b"PK\x01\x02", 46), (b"PK\x03\x04", 30)):
        for name in ("minnet.json", "0.weight.npy"):
            content = bytearray(packed(parts, folder / "plain.npz").read_bytes())
            # In the directory and before the part itself; its sizes, packed and not.
            start = content.index(signature)
            while content[start + at : start + at + len(name)] != name.encode():
                start = content.index(signature, start + 1)
            sizes = start + (18 if at == 30 else 20)
            for changed in ((huge, huge), (len(parts[name]), huge)):
                content[sizes : sizes + 8] = b"".join(n.to_bytes(4, "little") for n in changed)
                (folder / f"{name}{at}{changed[0]}.npz").write_bytes(content)
                yield folder / f"{name}{at}{changed[0]}.npz"


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux to limit memory")
def test_declared_sizes_are_not_believed(tmp_path):
    sample().save(tmp_path / "net.npz")
    files = list(lying(parts_of(tmp_path / "net.npz"), tmp_path))
    assert len(files) == 11
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LIMITED), *map(str, files)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == 7 * ["refused"] + 4 * ["loaded"]
