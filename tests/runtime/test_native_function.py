"""Native functions that Python calls with objects."""

from __future__ import annotations

import ctypes
import gc

import numpy as np

from convoi.runtime.native_function import (
    INTERPRETER,
    NativeFunction,
    data_offset,
    interpreter_words,
)


def test_arrays_have_the_address_of_their_data_where_it_is_said_to_be():
    for array in (np.arange(5), np.arange(9.0)[2:], np.zeros((3, 4), np.uint8).T):
        found = ctypes.c_void_p.from_address(id(array) + data_offset()).value
        assert found == array.ctypes.data


def test_the_words_lead_to_the_functions_of_the_interpreter():
    words = interpreter_words()
    assert words[INTERPRETER.none] == id(None)
    as_address = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object)
    assert as_address(int(words[INTERPRETER.address]))(12345) == 12345


def test_a_function_gets_what_it_is_bound_to_and_its_arguments():
    seen = []
    signature = ctypes.PYFUNCTYPE(
        ctypes.py_object, ctypes.py_object, ctypes.c_void_p, ctypes.c_long
    )

    @signature
    def native(bound, arguments, count):
        pointers = ctypes.cast(arguments, ctypes.POINTER(ctypes.py_object))
        seen.append((bound, [pointers[i] for i in range(count)]))
        return "done"

    bound = np.zeros(3, np.int64)
    function = NativeFunction(ctypes.cast(native, ctypes.c_void_p).value, bound)
    assert function.call(1, "two") == "done"
    assert seen[0][0] is bound
    assert seen[0][1] == [1, "two"]


def test_a_function_outlives_the_object_that_made_it_until_it_is_collected():
    returned = ctypes.PYFUNCTYPE(
        ctypes.py_object, ctypes.py_object, ctypes.c_void_p, ctypes.c_long
    )(lambda *_: None)
    address = ctypes.cast(returned, ctypes.c_void_p).value
    calls = [NativeFunction(address, np.zeros(1)).call for _ in range(50)]
    ring = [calls]
    ring.append(ring)
    blocks = [bytes(range(256))[:size] * 1 for size in range(16, 80)]  # where definitions were
    assert len(gc.get_referrers(calls[0])) >= 1
    assert all(call() is None for call in calls)
    del ring, calls, blocks
    gc.collect()
