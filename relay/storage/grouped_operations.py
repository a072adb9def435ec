"""Operations of one transaction that run as one: each of their statements runs once for all of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from relay.storage.database import Connection, Operation

A = TypeVar("A")

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class GroupedOperation(Generic[A, R]):
    """The operation of one caller. Called by itself, it runs alone."""

    run: Callable[[Connection, Sequence[A]], Sequence[R]]
    """Returns a result for each of the values. Operations with the same `run` form a group."""
    value: A

    def __call__(self, raw: Connection) -> R:
        """Run without the others of the group."""
        return self.run(raw, [self.value])[0]


def run_operations(raw: Connection, operations: Sequence[Operation[Any]]) -> list[Any]:
    """Run the operations in order, each group in place of its first operation; return their results."""
    groups: dict[object, list[tuple[int, Any]]] = {}
    for index, operation in enumerate(operations):
        if isinstance(operation, GroupedOperation):
            groups.setdefault(operation.run, []).append((index, operation.value))

    results: list[Any] = [None] * len(operations)
    for index, operation in enumerate(operations):
        if not isinstance(operation, GroupedOperation):
            results[index] = operation(raw)
        elif (members := groups.pop(operation.run, None)) is not None:
            found = operation.run(raw, [value for _, value in members])
            for (place, _), result in zip(members, found, strict=True):
                results[place] = result
    return results
