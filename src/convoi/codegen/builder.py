"""Emission of LLVM IR as text: a module of functions, built instruction by instruction.

The builder is thin. It folds arithmetic on integers that are known while emitting, unrolls
nothing by itself, keeps accumulators in phis, and leaves the order of instructions to the kernel.
LLVM's own IR classes are not used: text is several times quicker to produce.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from convoi.codegen.types import (
    I1,
    I32,
    I64,
    POINTER,
    VOID,
    Index,
    Scalar,
    Type,
    Value,
    Vector,
    constant,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

STREAMING = "!0"
"""The metadata of a store that passes the caches."""
LoopBody = Callable[[Index, list[Value]], Sequence[Value] | None]


class Module:
    """A unit of compilation: functions, the intrinsics they call, and constant tables."""

    def __init__(self) -> None:
        self._declarations: dict[str, str] = {}
        self._globals: list[str] = []
        self._functions: list[Function] = []
        self._tables: dict[str, str] = {}

    def function(
        self,
        name: str,
        arguments: Sequence[Type],
        result: Type = VOID,
        *,
        exported: bool = False,
        noalias: bool = False,
    ) -> Function:
        """Start a function; exported ones are found by name in the object code."""
        function = Function(self, name, arguments, result, exported=exported, noalias=noalias)
        self._functions.append(function)
        return function

    def declare(self, name: str, result: Type, arguments: Sequence[Type]) -> None:
        """Declare an intrinsic or a function of the process."""
        text = f"declare {result} @{name}({', '.join(map(str, arguments))})"
        self._declarations[name] = text

    def table(self, element: Scalar, numbers: Sequence[int]) -> Value:
        """Return a pointer to a constant array of integers."""
        body = ", ".join(f"{element} {number}" for number in numbers)
        key = f"[{len(numbers)} x {element}] [{body}]"
        name = self._tables.get(key)
        if name is None:
            name = f"@table{len(self._tables)}"
            self._tables[key] = name
            self._globals.append(f"{name} = private constant {key}, align 64")
        return Value(POINTER, name)

    def __str__(self) -> str:
        # Without these attributes LLVM may split 64-byte vectors on CPUs that it tunes for 32.
        attributes = (
            'attributes #0 = { nounwind "min-legal-vector-width"="512" '
            '"prefer-vector-width"="512" }'
        )
        functions = map(str, self._functions)
        metadata = f"{STREAMING} = !{{i32 1}}"
        parts = [*self._globals, *self._declarations.values(), *functions, attributes, metadata]
        return "\n".join(parts) + "\n"


class Function:
    """A function under construction; also the builder of its instructions."""

    def __init__(
        self,
        module: Module,
        name: str,
        arguments: Sequence[Type],
        result: Type,
        *,
        exported: bool,
        noalias: bool,
    ) -> None:
        self.module = module
        self.name = name
        self.arguments = [Value(type_, f"%a{i}") for i, type_ in enumerate(arguments)]
        attribute = " noalias" if noalias else ""
        listed = ", ".join(
            f"{argument.type}{attribute if argument.type == POINTER else ''} {argument.text}"
            for argument in self.arguments
        )
        linkage = "" if exported else "internal "
        self._result = result
        self._head = f"define {linkage}{result} @{name}({listed}) #0 {{"
        self._lines: list[str] = ["entry:"]
        self._block = "entry"
        self._count = 0

    # Instructions -------------------------------------------------------------------------

    def emit(self, type_: Type, text: str) -> Value:
        """Append an instruction that has a value."""
        self._count += 1
        name = f"%v{self._count}"
        self._lines.append(f"  {name} = {text}")
        return Value(type_, name)

    def emit_void(self, text: str) -> None:
        """Append an instruction that has no value."""
        self._lines.append(f"  {text}")

    def _new_label(self, word: str) -> str:
        self._count += 1
        return f"{word}{self._count}"

    def _start_block(self, label: str) -> None:
        self._lines.append(f"{label}:")
        self._block = label

    def value(self, index: Index, type_: Type = I64) -> Value:
        """Return an index as a value."""
        return index if isinstance(index, Value) else constant(type_, index)

    def _integer(self, word: str, a: Index, b: Index) -> Value:
        left, right = (x if isinstance(x, Value) else None for x in (a, b))
        type_ = (left or right or Value(I64, "")).type
        return self.emit(
            type_, f"{word} {type_} {self.value(a, type_).text}, {self.value(b, type_).text}"
        )

    def add(self, a: Index, b: Index) -> Index:
        """Return a + b of integers."""
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if a == 0:
            return b
        if b == 0:
            return a
        return self._integer("add", a, b)

    def sub(self, a: Index, b: Index) -> Index:
        """Return a - b of integers."""
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self._integer("sub", a, b)

    def mul(self, a: Index, b: Index) -> Index:
        """Return a * b of integers."""
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if a == 0 or b == 0:
            return 0
        if a == 1:
            return b
        if b == 1:
            return a
        return self._integer("mul", a, b)

    def entry(self, numbers: Sequence[int], i: Index) -> Index:
        """Return ``numbers[i]``: computed if they are evenly spaced, else from a table."""
        if isinstance(i, int):
            return numbers[i]
        steps = {b - a for a, b in itertools.pairwise(numbers)}
        if len(steps) <= 1:
            return self.add(numbers[0], self.mul(i, steps.pop() if steps else 0))
        return self.load(self.at(self.module.table(I64, numbers), i, I64), I64)

    def integer(self, word: str, a: Index, b: Index) -> Value:
        """Return another integer operation by LLVM's word, such as udiv, sdiv, srem, and, shl."""
        return self._integer(word, a, b)

    def quotient(self, number: Index, divisor: int) -> Index:
        """Return a quotient of numbers that are not negative, rounded down."""
        if isinstance(number, int):
            return number // divisor
        return number if divisor == 1 else self.integer("sdiv", number, divisor)

    def minimum(self, a: Index, b: Index) -> Index:
        """Return the smaller of two signed integers."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.select(self.compare("slt", a, b), self.value(a), self.value(b))

    def maximum(self, a: Index, b: Index) -> Index:
        """Return the larger of two signed integers."""
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return self.select(self.compare("sgt", a, b), self.value(a), self.value(b))

    def compare(self, word: str, a: Index, b: Index) -> Value:
        """Compare integers: eq, ne, slt, sle, sgt, sge, ult…; of vectors lane by lane."""
        left, right = (x if isinstance(x, Value) else None for x in (a, b))
        type_ = (left or right or Value(I64, "")).type
        result = Vector(I1, type_.lanes) if isinstance(type_, Vector) else I1
        texts = (self.value(a, type_).text, self.value(b, type_).text)
        return self.emit(result, f"icmp {word} {type_} {texts[0]}, {texts[1]}")

    def select(self, condition: Value, a: Value, b: Value) -> Value:
        """Return a where the condition holds, else b."""
        return self.emit(
            a.type,
            f"select {condition.type} {condition.text}, {a.type} {a.text}, {b.type} {b.text}",
        )

    def convert(self, word: str, a: Value, type_: Type) -> Value:
        """Convert by LLVM's word, such as sext, zext, trunc, sitofp, fptosi, fpext, bitcast."""
        return self.emit(type_, f"{word} {a.type} {a.text} to {type_}")

    # Floating point -----------------------------------------------------------------------

    def _float(self, word: str, a: Value, b: Value) -> Value:
        return self.emit(a.type, f"{word} {a.type} {a.text}, {b.text}")

    def fadd(self, a: Value, b: Value) -> Value:
        """Return a + b."""
        return self._float("fadd", a, b)

    def fsub(self, a: Value, b: Value) -> Value:
        """Return a - b."""
        return self._float("fsub", a, b)

    def fmul(self, a: Value, b: Value) -> Value:
        """Return a * b."""
        return self._float("fmul", a, b)

    def fdiv(self, a: Value, b: Value) -> Value:
        """Return a / b."""
        return self._float("fdiv", a, b)

    def fcompare(self, word: str, a: Value, b: Value) -> Value:
        """Compare floats: oeq, ogt, oge, olt, ole, one, uno, ueq…; of vectors lane by lane."""
        result = Vector(I1, a.type.lanes) if isinstance(a.type, Vector) else I1
        return self.emit(result, f"fcmp {word} {a.type} {a.text}, {b.text}")

    def intrinsic(self, name: str, *arguments: Value, result: Type | None = None) -> Value:
        """Call LLVM's intrinsic ``llvm.name.<type of the first argument>``."""
        first = arguments[0].type
        full = f"llvm.{name}.{first.suffix}"
        return self.call(full, result or first, *arguments)

    def fma(self, a: Value, b: Value, c: Value) -> Value:
        """Return a * b + c, rounded once where the CPU can (all but the oldest x86-64)."""
        return self.intrinsic("fmuladd", a, b, c)

    def call(self, name: str, result: Type, *arguments: Value) -> Value:
        """Call an intrinsic or a function of the process by name."""
        self.module.declare(name, result, [argument.type for argument in arguments])
        listed = ", ".join(f"{argument.type} {argument.text}" for argument in arguments)
        text = f"call {result} @{name}({listed})"
        if result == VOID:
            self.emit_void(text)
            return Value(VOID, "")
        return self.emit(result, text)

    # Vectors ------------------------------------------------------------------------------

    def splat(self, scalar: Value, lanes: int) -> Value:
        """Return a vector with the scalar in every lane."""
        if not isinstance(scalar.type, Scalar):
            message = f"A splat takes a scalar, not a {scalar.type}."
            raise TypeError(message)
        vector = Vector(scalar.type, lanes)
        one = self.emit(
            vector, f"insertelement {vector} poison, {scalar.type} {scalar.text}, i32 0"
        )
        return self.shuffle(one, one, [0] * lanes)

    def shuffle(self, a: Value, b: Value, lanes: Sequence[int]) -> Value:
        """Return the lanes chosen from a followed by b; -1 leaves a lane undefined."""
        if not isinstance(a.type, Vector):
            message = f"A shuffle takes vectors, not a {a.type}."
            raise TypeError(message)
        mask = ", ".join("i32 poison" if lane < 0 else f"i32 {lane}" for lane in lanes)
        return self.emit(
            Vector(a.type.element, len(lanes)),
            f"shufflevector {a.type} {a.text}, {b.type} {b.text}, <{len(lanes)} x i32> <{mask}>",
        )

    def extract(self, vector: Value, lane: Index) -> Value:
        """Return one lane."""
        if not isinstance(vector.type, Vector):
            message = f"Lanes are extracted from vectors, not from a {vector.type}."
            raise TypeError(message)
        index = self.value(lane, I32)
        return self.emit(
            vector.type.element,
            f"extractelement {vector.type} {vector.text}, {index.type} {index.text}",
        )

    def lane_numbers(self, element: Scalar, lanes: int, start: int = 0) -> Value:
        """Return the constant vector that counts from ``start``, a lane at a time."""
        body = ", ".join(f"{element} {start + lane}" for lane in range(lanes))
        return Value(Vector(element, lanes), f"<{body}>")

    # Memory -------------------------------------------------------------------------------

    def at(self, pointer: Value, offset: Index, element: Type) -> Value:
        """Return the address of an element."""
        if offset == 0:
            return pointer
        index = self.value(offset)
        return self.emit(
            POINTER,
            f"getelementptr inbounds {element}, ptr {pointer.text}, {index.type} {index.text}",
        )

    def load(self, pointer: Value, type_: Type, *, align: int | None = None) -> Value:
        """Load a value; vectors are aligned to their element unless told otherwise."""
        return self.emit(type_, f"load {type_}, ptr {pointer.text}, align {_align(type_, align)}")

    def store(
        self, value: Value, pointer: Value, *, align: int | None = None, streaming: bool = False
    ) -> None:
        """Store a value; if streaming, past the caches: then it has to be aligned to its size."""
        alignment = _align(value.type, align)
        hint = f", !nontemporal {STREAMING}" if streaming else ""
        self.emit_void(
            f"store {value.type} {value.text}, ptr {pointer.text}, align {alignment}{hint}"
        )

    def prefetch(self, pointer: Value, *, write: bool = False) -> None:
        """Ask for a cache line that is read (or written) soon."""
        hints = [constant(I32, n) for n in (int(write), 3, 1)]
        self.module.declare("llvm.prefetch.p0", VOID, [POINTER, I32, I32, I32])
        listed = ", ".join(f"{hint.type} {hint.text}" for hint in hints)
        self.emit_void(f"call void @llvm.prefetch.p0(ptr {pointer.text}, {listed})")

    def broadcast(self, pointer: Value, type_: Vector) -> Value:
        """Load one element into every lane."""
        return self.splat(self.load(pointer, type_.element), type_.lanes)

    # Control ------------------------------------------------------------------------------

    def loop(
        self,
        stop: Index,
        body: LoopBody,
        carried: Sequence[Value] = (),
        *,
        start: Index = 0,
        step: int = 1,
    ) -> list[Value]:
        """Run the body for ``i in range(start, stop, step)``.

        The body receives the index and the carried values (kept in phis), and returns the new
        ones. A loop of known single or no iteration is not emitted as one.
        """
        if isinstance(start, int) and isinstance(stop, int):
            trips = len(range(start, stop, step))
            if trips == 0:
                return list(carried)
            if trips == 1:
                return _carried_on(body(start, list(carried)), carried)
        before = self._block
        head, inside, after = (self._new_label(word) for word in ("head", "body", "after"))
        self.emit_void(f"br label %{head}")
        self._start_block(head)
        names = [f"%p{head}.{i}" for i in range(len(carried) + 1)]
        at = len(self._lines)
        index = Value(I64, names[0])
        phis = [Value(v.type, name) for v, name in zip(carried, names[1:], strict=True)]
        more = self.compare("slt", index, stop)
        self.emit_void(f"br i1 {more.text}, label %{inside}, label %{after}")
        self._start_block(inside)
        results = _carried_on(body(index, list(phis)), carried)
        following = self.value(self.add(index, step))
        last = self._block
        self.emit_void(f"br label %{head}")
        initial = [self.value(start), *carried]
        nodes = [
            f"  {name} = phi {a.type} [{a.text}, %{before}], [{b.text}, %{last}]"
            for name, a, b in zip(names, initial, [following, *results], strict=True)
        ]
        self._lines[at:at] = nodes
        self._start_block(after)
        return phis

    def opaque(self, pointer: Value) -> Value:
        """Return the same address as one that LLVM takes for another.

        LLVM keeps an element that is loaded twice in a register. That is a loss where registers
        are scarce and a load comes free with the multiply-add: accumulators are then spilled.
        Loads through different addresses stay loads. No instruction is emitted for it.
        """
        return self.emit(POINTER, f'call ptr asm "", "=r,0"(ptr {pointer.text})')

    def repeat(self, body: Callable[[], Value]) -> None:
        """Run the body until the condition it returns no longer holds."""
        inside, after = self._new_label("again"), self._new_label("after")
        self.emit_void(f"br label %{inside}")
        self._start_block(inside)
        condition = body()
        self.emit_void(f"br i1 {condition.text}, label %{inside}, label %{after}")
        self._start_block(after)

    @contextmanager
    def when(self, condition: Value) -> Iterator[None]:
        """Emit the body of the ``with`` statement so that it runs only if the condition holds."""
        inside, after = self._new_label("then"), self._new_label("after")
        self.emit_void(f"br i1 {condition.text}, label %{inside}, label %{after}")
        self._start_block(inside)
        yield
        self.emit_void(f"br label %{after}")
        self._start_block(after)

    def ret(self, value: Value | None = None) -> None:
        """Return from the function."""
        self.emit_void("ret void" if value is None else f"ret {value.type} {value.text}")

    # Atomics, for the executor ------------------------------------------------------------

    def load_acquire(self, pointer: Value) -> Value:
        """Load an int64 that another thread released."""
        return self.emit(I64, f"load atomic i64, ptr {pointer.text} acquire, align 8")

    def fetch_add(self, pointer: Value, amount: Index) -> Value:
        """Add to an int64 atomically, and return what it was."""
        text = f"atomicrmw add ptr {pointer.text}, i64 {self.value(amount).text} seq_cst, align 8"
        return self.emit(I64, text)

    def exchange_larger(self, pointer: Value, value: Value) -> Value:
        """Put an int64 in the place of a smaller one atomically; return what was there."""
        text = f"atomicrmw max ptr {pointer.text}, i64 {value.text} seq_cst, align 8"
        return self.emit(I64, text)

    def __str__(self) -> str:
        return "\n".join([self._head, *self._lines, "}"])


def _carried_on(results: Sequence[Value] | None, carried: Sequence[Value]) -> list[Value]:
    """Return what the body of a loop returned, as many values as the loop carries."""
    found = list(results or ())
    if len(found) != len(carried):
        message = f"The loop carries {len(carried)} values, its body returned {len(found)}."
        raise ValueError(message)
    return found


def _align(type_: Type, align: int | None) -> int:
    if align is not None:
        return align
    return type_.element.size if isinstance(type_, Vector) else type_.size
