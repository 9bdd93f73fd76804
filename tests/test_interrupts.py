"""Ctrl-C in the middle of a call that must not be left half done."""

from __future__ import annotations

import queue
import signal
import threading
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pearl_lightning.interrupts import ended_before_ctrl_c
from pearl_lightning.loggers import TensorBoardEvents


def press(times: int = 1) -> None:
    for _ in range(times):
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_takes_effect_after_the_call() -> None:
    done: list[str] = []

    @ended_before_ctrl_c
    def work() -> None:
        press()
        done.append("work")

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        work()
    assert done == ["work"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_second_ctrl_c_takes_effect_at_once() -> None:
    done: list[str] = []

    @ended_before_ctrl_c
    def work() -> None:
        press(times=2)
        done.append("work")

    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        work()
    assert not done
    assert signal.getsignal(signal.SIGINT) is handler


def test_arguments_result_and_errors_are_the_functions() -> None:
    @ended_before_ctrl_c
    def half(number: int, *, of: int) -> float:
        return of / number

    assert half(2, of=3) == 1.5
    with pytest.raises(ZeroDivisionError):
        half(0, of=3)


def test_another_thread_may_call_it() -> None:
    results: queue.Queue[int] = queue.Queue()
    thread = threading.Thread(target=ended_before_ctrl_c(results.put), args=(5,))
    thread.start()
    thread.join(10)
    assert results.get(timeout=10) == 5


def test_events_that_ctrl_c_interrupts_are_written_and_the_run_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted before the queue announces an event, its writer would sleep on, and the end would wait for it."""
    logger = TensorBoardEvents(str(tmp_path))
    logger.log_metrics({"loss": 1.0}, step=0)
    logger.save()
    notify, pressed = threading.Condition.notify, False

    def interrupted(self: threading.Condition, n: int = 1) -> None:
        nonlocal pressed
        if threading.current_thread() is threading.main_thread() and not pressed:
            pressed = True
            press()
        notify(self, n)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Condition, "notify", interrupted)
        with pytest.raises(KeyboardInterrupt):
            logger.log_metrics({"loss": 2.0}, step=1)
    assert pressed
    ended = threading.Thread(target=logger.finalize, args=("failed",), daemon=True)
    ended.start()
    ended.join(20)
    assert not ended.is_alive()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [event.value for event in events.Scalars("loss")] == [1.0, 2.0]
