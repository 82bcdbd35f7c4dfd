"""How torch's worker threads wait. Imported before torch, which reads the environment once, when its OpenMP library loads."""

import os

# A worker that spins for its next piece of work keeps the other processes of a robot computer from theirs, and is itself
# thrown out in the middle of the next piece: with both cores of a two-core machine busy elsewhere, one inference of a small
# network took 24 ms at the median and up to 740 ms with spinning workers, 1.8 ms and at most 2.0 ms with sleeping ones.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
