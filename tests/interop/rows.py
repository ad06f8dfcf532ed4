"""The rows that the host saves: as Python values, and as the JSON of a queue."""

import datetime
import decimal
import math

FLAT = [
    {
        "id": 1, "flag": True, "i_8": 127, "i_16": 32767, "i_32": 2147483647,
        "u_8": 255, "u_16": 65535, "u_32": 4294967295, "u_64": 9223372036854775807,
        "f_32": 1.5, "f_64": 0.1, "text": "plain", "bytes": b"\x00\xff",
        "option": -9223372036854775808, "option_text": "there",
    },
    {
        "id": -2, "flag": False, "i_8": -128, "i_16": -32768, "i_32": -2147483648,
        "u_8": 0, "u_16": 0, "u_32": 0, "u_64": 0,
        "f_32": -0.25, "f_64": -1e300, "text": "a \"quoted\", text\nin two lines", "bytes": b"",
        "option": None, "option_text": None,
    },
    {
        "id": 3, "flag": True, "i_8": 1, "i_16": 1, "i_32": 1,
        "u_8": 1, "u_16": 1, "u_32": 1, "u_64": 1,
        "f_32": 0.0, "f_64": 1e-300, "text": "né 😀 \t'\\", "bytes": b"abc",
        "option": 0, "option_text": "null",
    },
    {
        "id": 4, "flag": False, "i_8": 0, "i_16": 0, "i_32": 0,
        "u_8": 2, "u_16": 2, "u_32": 2, "u_64": 2,
        "f_32": math.inf, "f_64": math.nan, "text": "", "bytes": b"\n",
        "option": 7, "option_text": "",
    },
    {
        "id": 5, "flag": False, "i_8": 0, "i_16": 0, "i_32": 0,
        "u_8": 3, "u_16": 3, "u_32": 3, "u_64": 3,
        "f_32": math.nan, "f_64": -math.inf, "text": "007", "bytes": b"1",
        "option": 8, "option_text": "true",
    },
]

DEEP = [
    {
        "id": 1, "pair": ("a", 4294967295), "list": [0.5, None, -1.0],
        "structs": [{"name": "x", "count": 9223372036854775807}, {"name": "", "count": 0}],
        "lists": [[1, 255], [], [0]], "inner": {"name": "é", "count": 1},
    },
    {"id": 2, "pair": ("", None), "list": [], "structs": [], "lists": [], "inner": None},
    {
        "id": 3, "pair": ("c", 0), "list": [None], "structs": [{"name": "y", "count": 2}],
        "lists": [[]], "inner": {"name": "", "count": 0},
    },
]

# What other programs write and the host loads. `small` and `count` are unsigned in the plugin.
LOADED = [
    {"id": 1, "small": 255, "count": 9223372036854775807, "text": "a", "list": [0.5, None]},
    {"id": 2, "small": 0, "count": 0, "text": None, "list": []},
    {"id": 3, "small": 7, "count": 1, "text": "né", "list": [1.0]},
]


def named(value):
    """The value with tuples as the structs that files have: `_1`, `_2` and so on."""
    if isinstance(value, tuple):
        return {f"_{at}": named(member) for at, member in enumerate(value, 1)}
    if isinstance(value, list):
        return [named(item) for item in value]
    if isinstance(value, dict):
        return {name: named(member) for name, member in value.items()}
    return value


def json_value(value):
    """The value as the JSON of a queue: bytes in hexadecimal digits, floats that are no numbers by name, times as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return f"{value:f}"
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, (list, tuple)):
        return [json_value(item) for item in value]
    if isinstance(value, dict):
        return {name: json_value(member) for name, member in value.items()}
    return value


def hexed(rows):
    """The rows as formats without bytes have them."""
    return [{name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()} for row in rows]
