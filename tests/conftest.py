"""For all tests."""

import os

# one thread a test process: two of them run side by side, and threads that wait for each other cost more than they give
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

# time per example says nothing on a shared machine; `--durations` shows the slow ones
settings.register_profile("coreheads", deadline=None)
settings.load_profile("coreheads")
