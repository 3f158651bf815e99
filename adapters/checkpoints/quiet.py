"""Keeping libraries to themselves: what they print, and lmms-eval's log lines, bars and retries."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout


@contextmanager
def silent() -> Iterator[None]:
    """Keep what is printed inside the block off the terminal."""
    with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):
        yield


@contextmanager
def quiet() -> Iterator[None]:
    """Keep lmms-eval's log lines and progress bars off the terminal; faults are raised, not logged.

    It retries what fails and then raises a RetryError: the fault itself is raised.
    """
    from datasets import disable_progress_bars, enable_progress_bars
    from datasets.utils.tqdm import are_progress_bars_disabled
    from loguru import logger
    from tenacity import RetryError

    shown = not are_progress_bars_disabled()
    logger.disable("lmms_eval")
    disable_progress_bars()
    try:
        with silent():
            yield
    except RetryError as error:
        fault = error.last_attempt.exception()
        raise fault if fault is not None else error from None
    finally:
        logger.enable("lmms_eval")
        if shown:
            enable_progress_bars()
