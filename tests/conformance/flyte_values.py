"""Reads and writes Flyte literals with the unmodified Flyte SDK, for flyte-values.test.ts."""

import asyncio
import datetime
import enum
import json
import logging
import sys
from dataclasses import dataclass
from typing import Dict, List, Optional

from flyte.io import DataFrame, Dir, File
from flyte.types import TypeEngine
from flyteidl2.core import literals_pb2, types_pb2

logging.disable(logging.CRITICAL)


@dataclass
class Address:
    street: str
    number: int


@dataclass
class Person:
    name: str
    weight: float
    born: datetime.datetime
    slept: datetime.timedelta
    home: Address
    others: List[Address]
    scores: Dict[str, int]
    nickname: Optional[str]
    cv: File


def describe(value) -> str:
    if isinstance(value, enum.Enum):
        return f"enum {value.value}"
    if isinstance(value, datetime.datetime):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return f"{value.total_seconds():g} s"
    if isinstance(value, File):
        return f"File {value.path} {value.format}"
    if isinstance(value, Dir):
        return f"Dir {value.path}"
    if isinstance(value, DataFrame):
        return f"DataFrame {value.uri} {value.format}"
    if type(value).__name__ == "Person":
        return (
            f"Person {value.name} {value.weight} {describe_time(value.born)} {describe_span(value.slept)} "
            f"{value.home.street} {value.home.number} {[number_of(one) for one in value.others]} "
            f"{value.scores} {value.nickname} {value.cv.path}"
        )
    return repr(value)


def number_of(address) -> int:
    # The SDK guesses plain dictionaries for structures in lists, for dataclasses of its own too.
    return address["number"] if isinstance(address, dict) else address.number


def describe_time(value) -> str:
    return value.isoformat() if isinstance(value, datetime.datetime) else str(value)


def describe_span(value) -> str:
    return describe(value) if isinstance(value, datetime.timedelta) else f"{value:g} s"


async def read(sent: str) -> list:
    read_values = []
    for one in json.loads(sent):
        literal_type = types_pb2.LiteralType.FromString(bytes.fromhex(one["type"]))
        literal = literals_pb2.Literal.FromString(bytes.fromhex(one["literal"]))
        python_type = TypeEngine.guess_python_type(literal_type)
        try:
            read_values.append(describe(await TypeEngine.to_python_value(literal, python_type)))
        except Exception as error:  # The test shows it beside what it expected.
            read_values.append(f"{type(error).__name__}: {error}")
    return read_values


async def write() -> dict:
    utc = datetime.timezone.utc
    ada = Person(
        name="Ada",
        weight=60.5,
        born=datetime.datetime(1815, 12, 10, 1, 2, 3, 456000, tzinfo=utc),
        slept=datetime.timedelta(seconds=90.25),
        home=Address("St James's Square", 12),
        others=[Address("Here", 1)],
        scores={"maths": 10},
        nickname=None,
        cv=File(path="s3://b/cv.pdf", format="pdf"),
    )
    values = {
        "int": (42, int),
        "datetime": (datetime.datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=utc), datetime.datetime),
        "timedelta": (datetime.timedelta(seconds=-1.5), datetime.timedelta),
        "optional": ("x", Optional[str]),
        "none": (None, Optional[str]),
        "file": (File(path="s3://b/k.csv", format="csv"), File),
        "person": (ada, Person),
    }
    written = {}
    for name, (value, python_type) in values.items():
        literal_type = TypeEngine.to_literal_type(python_type)
        literal = await TypeEngine.to_literal(value, python_type, literal_type)
        written[name] = {
            "type": literal_type.SerializeToString().hex(),
            "literal": literal.SerializeToString().hex(),
        }
    return written


print(json.dumps(asyncio.run(read(sys.argv[2]) if sys.argv[1] == "read" else write())))
