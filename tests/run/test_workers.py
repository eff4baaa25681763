"""Workers: each task in a process of its own, a death costs one task, and what fails is tried once more."""

from __future__ import annotations

import pytest
from runs import blas_threads
from worker_tasks import die, die_once, refuse

from cytomrd.errors import RunError, StorageError
from cytomrd.run.workers import Failed, LocalPool, Task, run_tasks


def results_of(tasks: list[Task], jobs: int) -> dict:
    found = {}
    with LocalPool(jobs) as pool:
        run_tasks(tasks, pool, lambda task, result: found.update({task.key: result}))
    return found


def test_tasks_bring_tasks_and_come_in_order():
    seen = []

    def take(task: Task, result: int):
        seen.append((task.key, result))
        return [Task("more", abs, (-10 * result,))] if task.key != "more" else None

    with LocalPool(1) as pool:
        run_tasks([Task("a", abs, (-1,)), Task("b", abs, (-2,))], pool, take)
    assert seen == [("a", 1), ("more", 10), ("b", 2), ("more", 20)]
    one_process = sorted(seen)
    seen.clear()
    with LocalPool(2) as pool:
        run_tasks([Task("a", abs, (-1,)), Task("b", abs, (-2,))], pool, take)
    assert sorted(seen) == one_process


@pytest.mark.parametrize("jobs", [1, 2])
def test_linear_algebra_has_one_thread_in_a_task(jobs):
    before = blas_threads(None)
    found = results_of([Task(i, blas_threads, (i,)) for i in range(2)], jobs)
    assert all(n and set(n) == {1} for n in found.values())
    assert blas_threads(None) == before


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_task_that_kills_its_worker_costs_no_other(jobs, tmp_path):
    tasks = [
        Task("poison", die, ()),
        *(Task(i, abs, (-i,)) for i in range(6)),
        Task("once", die_once, (tmp_path / "x",)),
    ]
    found = results_of(tasks, jobs)
    assert "SIGKILL" in str(found.pop("poison"))
    assert found.pop("once") == "done"
    assert found == {i: i for i in range(6)}


def test_what_fails_is_said_in_words():
    error = RunError("no such thing; do this instead")
    error.add_note("file a.fcs")
    found = results_of([Task("ours", refuse, (error,)), Task("defect", refuse, (ZeroDivisionError("x"),))], 1)
    assert found["ours"] == Failed(("RunError: no such thing; do this instead\nfile a.fcs",))
    assert "please report: ZeroDivisionError" in str(found["defect"])


def test_results_that_cannot_be_written_end_the_run():
    with pytest.raises(StorageError, match=r"^disk full$"):
        results_of([Task("full", refuse, (StorageError("disk full"),)), Task("other", abs, (-1,))], 1)
