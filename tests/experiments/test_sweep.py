import threading

import pytest

from experiments.sweep import _one_ahead


def test_each_is_computed_once_in_order_and_one_ahead():
    done = []
    second = threading.Event()

    def work(item):
        done.append(item)
        if item == 2:
            second.set()
        return item * 10

    results = _one_ahead(work, [1, 2, 3])
    assert next(results) == 10
    assert second.wait(timeout=10)  # the second is at work before it is asked for
    assert list(results) == [20, 30]
    assert done == [1, 2, 3]


def test_nothing_gives_nothing():
    assert list(_one_ahead(str, [])) == []


def test_errors_reach_the_caller():
    def fail(item):
        raise ValueError(f"no {item}")

    with pytest.raises(ValueError, match="no 1"):
        list(_one_ahead(fail, [1, 2]))
