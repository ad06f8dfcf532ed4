"""Saves rows with the host and reads the files with other programs; then other programs save rows, and the host loads them.

usage: check.py HOST PLUGIN DIRECTORY
"""

import datetime
import decimal
import json
import math
import os
import pathlib
import subprocess
import sys
import time

import duckdb
import pandas
import pyarrow
import pyarrow.csv
import pyarrow.dataset
import pyarrow.feather
import pyarrow.json
import pyarrow.parquet
from pyspark.sql import SparkSession

import times
from rows import DEEP, FLAT, LOADED, hexed, json_value, named

EXTENSIONS = {"arrow": ".arrow", "parquet": ".parquet", "csv": ".csv", "json": ".json", "text": ""}

failures = []


def check(what, found, expected):
    """Compares, and tells of the first row that differs."""
    if found == expected:
        print(f"ok       {what}")
        return
    failures.append(what)
    print(f"DIFFERS  {what}")
    if isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        found, expected = next((pair for pair in zip(found, expected) if pair[0] != pair[1]))
    print(f"    found    {found!r}\n    expected {expected!r}")


class NaN:
    """Equal to itself, which the float is not."""

    def __repr__(self):
        return "NaN"


NAN = NaN()


def plain(value, nan=NAN):
    """What a reader gives, as values of Python that compare."""
    if value is None or value is pandas.NA:
        return None
    if isinstance(value, float):
        return nan if math.isnan(value) else value
    if isinstance(value, decimal.Decimal):
        return int(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if hasattr(value, "asDict"):
        value = value.asDict()
    if isinstance(value, dict):
        return {name: plain(member, nan) for name, member in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
        if not isinstance(value, (list, tuple)):
            return plain(value, nan)
    if isinstance(value, (list, tuple)):
        return [plain(item, nan) for item in value]
    return value


def in_order(rows, nan=NAN):
    return sorted((plain(row, nan) for row in rows), key=lambda row: row["id"])


class Job:
    """A directory with a job, and what it saves."""

    def __init__(self, host, plugin, directory):
        self.host, self.plugin, self.directory = host, plugin, pathlib.Path(directory)
        for name in ("out", "in"):
            (self.directory / name).mkdir(parents=True)

    def run(self, sources, args):
        lines = [
            "[job]", 'name = "interop"', f"plugin = {json.dumps(self.plugin)}", 'batch_interval = "100ms"',
            'parallelism = 1', 'directories = { out = "out", in = "in" }', f"args = {{ {args} }}",
        ]
        for name, rows in sources.items():
            (self.directory / f"{name}.jsonl").write_text(json.dumps([json_value(row) for row in rows]) + "\n")
            lines += [f"[sources.{name}]", 'type = "queue"', f'path = "{name}.jsonl"']
        job = self.directory / "job.toml"
        job.write_text("\n".join(lines) + "\n")
        ran = subprocess.run(
            [self.host, "run", str(job), "--stop-when-idle", "--quiet"], capture_output=True, text=True, check=False
        )
        if ran.returncode != 0:
            sys.exit(f"the host ended with {ran.returncode}:\n{ran.stderr}")

    def saved(self, name):
        """The directory of the first batch of an output. Its files bear the extension of its format."""
        directory = sorted((self.directory / "out").glob(f"{name}-[0-9]*"))[0]
        extension = EXTENSIONS[name.split("-")[-1]] if "-" in name else ".parquet"
        files = sorted(path.name for path in directory.iterdir())
        check(f"{name}: names of files", files, ["_SUCCESS"] + [f"part-00000{extension}"])
        return directory


def single(directory):
    return str(next(directory.glob("part-*")))


def check_arrow(job):
    for name, rows in (("flat-arrow", FLAT), ("deep-arrow", DEEP)):
        path = single(job.saved(name))
        table = pyarrow.ipc.open_file(path).read_all()
        expected = in_order(named(rows))
        check(f"{name}: pyarrow", in_order(table.to_pylist()), expected)
        frame = pandas.read_feather(path, dtype_backend="pyarrow")
        check(f"{name}: pandas", in_order(frame.to_dict("records"), None), in_order(named(rows), None))
        duckdb.register("rows_of_arrow", table)
        read = duckdb.sql("select * from rows_of_arrow")
        check(f"{name}: DuckDB", in_order(read.to_arrow_table().to_pylist()), expected)
        dataset = pyarrow.dataset.dataset(path, format="ipc")
        check(f"{name}: pyarrow.dataset", dataset.count_rows(), len(rows))
        if name == "flat-arrow":
            types = {field.name: str(field.type) for field in table.schema}
            check("flat-arrow: types", types, TYPES["arrow"])


TYPES = {
    "arrow": {
        "id": "int64", "flag": "bool", "i_8": "int8", "i_16": "int16", "i_32": "int32", "u_8": "uint8",
        "u_16": "uint16", "u_32": "uint32", "u_64": "uint64", "f_32": "float", "f_64": "double", "text": "string",
        "bytes": "binary", "option": "int64", "option_text": "string",
    },
    "pyarrow": {
        "id": "int64", "flag": "bool", "i_8": "int8", "i_16": "int16", "i_32": "int32", "u_8": "int32",
        "u_16": "int32", "u_32": "int64", "u_64": "int64", "f_32": "float", "f_64": "double", "text": "string",
        "bytes": "binary", "option": "int64", "option_text": "string",
    },
    "DuckDB": {
        "id": "BIGINT", "flag": "BOOLEAN", "i_8": "TINYINT", "i_16": "SMALLINT", "i_32": "INTEGER", "u_8": "INTEGER",
        "u_16": "INTEGER", "u_32": "BIGINT", "u_64": "BIGINT", "f_32": "FLOAT", "f_64": "DOUBLE", "text": "VARCHAR",
        "bytes": "BLOB", "option": "BIGINT", "option_text": "VARCHAR",
    },
    "Spark": {
        "id": "bigint", "flag": "boolean", "i_8": "tinyint", "i_16": "smallint", "i_32": "int", "u_8": "int",
        "u_16": "int", "u_32": "bigint", "u_64": "bigint", "f_32": "float", "f_64": "double", "text": "string",
        "bytes": "binary", "option": "bigint", "option_text": "string",
    },
}


def check_parquet(job, spark):
    for name, rows in (("flat-parquet", FLAT), ("deep-parquet", DEEP), ("none-parquet", [])):
        directory = job.saved(name)
        expected = in_order(named(rows))
        table = pyarrow.parquet.read_table(directory)
        check(f"{name}: pyarrow", in_order(table.to_pylist()), expected)
        frame = pandas.read_parquet(directory, dtype_backend="pyarrow")
        check(f"{name}: pandas", in_order(frame.to_dict("records"), None), in_order(named(rows), None))
        read = duckdb.sql(f"select * from read_parquet('{directory}/*.parquet')")
        check(f"{name}: DuckDB", in_order(read.to_arrow_table().to_pylist()), expected)
        frame = spark.read.parquet(str(directory))
        check(f"{name}: Spark", in_order(frame.collect()), expected)
        if name != "deep-parquet":
            check(f"{name}: types in pyarrow", {f.name: str(f.type) for f in table.schema}, TYPES["pyarrow"])
            check(f"{name}: types in DuckDB", dict(zip(read.columns, map(str, read.types))), TYPES["DuckDB"])
            check(f"{name}: types in Spark", dict(frame.dtypes), TYPES["Spark"])
    directory = job.saved("hashes")
    expected = sorted(row["u_64"] * 0x9E3779B97F4A7C15 % 2**64 for row in FLAT)
    codec = pyarrow.parquet.ParquetFile(single(directory)).metadata.row_group(0).column(0).compression
    check("hashes: codec", codec, "ZSTD")
    frame = spark.read.parquet(str(directory))
    check("hashes: type in Spark", frame.dtypes, [("value", "decimal(20,0)")])
    check("hashes: Spark", sorted(int(row.value) for row in frame.collect()), expected)
    found = [int(value) for value in pyarrow.parquet.read_table(directory)["value"].to_pylist()]
    check("hashes: pyarrow", sorted(found), expected)
    found = [int(value) for (value,) in duckdb.sql(f"from read_parquet('{directory}/*.parquet')").fetchall()]
    check("hashes: DuckDB", sorted(found), expected)
    found = [int(value) for value in pandas.read_parquet(directory)["value"]]
    check("hashes: pandas", sorted(found), expected)


def check_csv(job, spark):
    directory = job.saved("flat-csv")
    path = single(directory)
    rows = hexed(FLAT)
    expected = in_order(rows)
    types = {name: pyarrow.string() if name == "bytes" else TYPES_OF_ARROW[name] for name in TYPES_OF_ARROW}
    table = pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=types, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
        ),
    )
    check("flat-csv: pyarrow", in_order(table.to_pylist()), expected)
    # pandas does not tell an empty text from none.
    frame = pandas.read_csv(
        path,
        dtype={name: "Int64" for name in ("u_64", "option")} | {name: "str" for name in ("bytes", "text", "option_text")},
        keep_default_na=False, na_values={name: [""] for name in ("option", "option_text")},
    )
    numbers = {"NaN": math.nan, "inf": math.inf, "Infinity": math.inf, "-inf": -math.inf, "-Infinity": -math.inf}
    for name in ("f_32", "f_64"):
        frame[name] = [float(numbers.get(value, value)) for value in frame[name].astype(str)]
    nothing = [row | {"option_text": row["option_text"] or None} for row in rows]
    check("flat-csv: pandas", in_order(frame.to_dict("records"), None), in_order(nothing, None))
    types = ", ".join(f"'{name}': '{'VARCHAR' if name == 'bytes' else ty}'" for name, ty in UNSIGNED_IN_DUCKDB.items())
    options = f"columns = {{{types}}}, header = true, allow_quoted_nulls = false"
    read = duckdb.sql(f"from read_csv('{directory}/*.csv', {options})")
    check("flat-csv: DuckDB", in_order(read.to_arrow_table().to_pylist()), expected)
    schema = ", ".join(f"{name} {'string' if name == 'bytes' else ty}" for name, ty in SCHEMA_IN_SPARK.items())
    # Spark takes an empty text in quotes for none, unless something else stands for none.
    options = {"header": True, "multiLine": True, "escape": '"', "nullValue": "\0"}
    options |= {"nanValue": "NaN", "positiveInf": "Infinity", "negativeInf": "-Infinity"}
    frame = spark.read.options(**options).schema(schema).csv(str(directory))
    check("flat-csv: Spark", in_order(frame.collect()), expected)


TYPES_OF_ARROW = {
    name: {"float": pyarrow.float32(), "double": pyarrow.float64(), "bool": pyarrow.bool_()}.get(ty)
    or pyarrow.type_for_alias(ty)
    for name, ty in TYPES["arrow"].items()
}
UNSIGNED_IN_DUCKDB = TYPES["DuckDB"] | {"u_8": "UTINYINT", "u_16": "USMALLINT", "u_32": "UINTEGER", "u_64": "UBIGINT"}
SCHEMA_IN_SPARK = TYPES["Spark"]


def check_json(job, spark):
    directory = job.saved("flat-json")
    path = single(directory)
    rows = hexed(FLAT)
    expected = in_order(rows)
    # Floats that are no numbers are strings, which JSON has no other way to write: these readers take them as they are.
    as_written = in_order(json_value(row) for row in FLAT)
    columns = {name: pyarrow.string() if name == "bytes" else ty for name, ty in TYPES_OF_ARROW.items()}
    finite = pathlib.Path(directory.parent, "finite.json")
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines(keepends=True)
    check("flat-json: Python", in_order(json.loads(line) for line in lines), as_written)
    finite.write_text("".join(line for line in lines if "NaN" not in line and "Infinity" not in line), encoding="utf-8")
    options = pyarrow.json.ParseOptions(explicit_schema=pyarrow.schema(list(columns.items())))
    found = in_order(pyarrow.json.read_json(finite, parse_options=options).to_pylist())
    numbers = [row for row in rows if math.isfinite(row["f_32"]) and math.isfinite(row["f_64"])]
    check("flat-json: pyarrow, of numbers", found, in_order(numbers))
    frame = pandas.read_json(path, lines=True, dtype=False, precise_float=True)
    found = [{name: as_integer(name, value) for name, value in row.items()} for row in frame.to_dict("records")]
    check("flat-json: pandas", in_order(found, None), as_written)
    types = ", ".join(f"'{name}': '{'VARCHAR' if name == 'bytes' else ty}'" for name, ty in UNSIGNED_IN_DUCKDB.items())
    read = duckdb.sql(f"from read_json('{directory}/*.json', format = 'newline_delimited', columns = {{{types}}})")
    check("flat-json: DuckDB", in_order(read.to_arrow_table().to_pylist()), expected)
    schema = ", ".join(f"{name} {'string' if name == 'bytes' else ty}" for name, ty in SCHEMA_IN_SPARK.items())
    frame = spark.read.schema(schema).json(str(directory))
    check("flat-json: Spark", in_order(frame.collect()), expected)

    directory = job.saved("deep-json")
    expected = in_order(named(DEEP))
    check("deep-json: pyarrow", in_order(pyarrow.json.read_json(single(directory)).to_pylist()), expected)
    frame = pandas.read_json(single(directory), lines=True, dtype=False)
    check("deep-json: pandas", in_order(frame.to_dict("records"), None), in_order(named(DEEP), None))
    read = duckdb.sql(f"from read_json('{directory}/*.json', format = 'newline_delimited')")
    check("deep-json: DuckDB", in_order(read.to_arrow_table().to_pylist()), expected)
    check("deep-json: Spark", in_order(spark.read.json(str(directory)).collect()), expected)


def as_integer(name, value):
    """pandas makes floats of integers where some are absent."""
    return int(value) if name == "option" and value is not None and not math.isnan(value) else value


def check_text(job, spark):
    directory = job.saved("flat-text")
    expected = []
    for row in FLAT:
        text = row["option_text"]
        expected.append(f"({row['id']},{'None' if text is None else f'Some({text})'})")
    expected.sort()
    check("flat-text: Spark", sorted(row.value for row in spark.read.text(str(directory)).collect()), expected)
    check("flat-text: Spark's textFile", sorted(spark.sparkContext.textFile(str(directory)).collect()), expected)
    lines = f"select unnest(string_split(content, '\n')) as line from read_text('{directory}/part-*')"
    check("flat-text: DuckDB", sorted(line for (line,) in duckdb.sql(lines).fetchall() if line), expected)


def check_loading(job, spark):
    """The host loads what others write, whatever the codec."""
    schema = pyarrow.schema([
        ("id", pyarrow.int64()), ("small", pyarrow.int16()), ("count", pyarrow.int64()), ("text", pyarrow.string()),
        ("list", pyarrow.list_(pyarrow.float64())),
    ])
    table = pyarrow.Table.from_pylist(LOADED, schema)
    written = []
    for codec in ("none", "snappy", "gzip", "lz4", "brotli", "zstd"):
        written.append(f"pyarrow-{codec}")
        pyarrow.parquet.write_table(table, job.directory / "in" / written[-1], compression=codec)
    duckdb.register("rows_of_arrow", table)
    for codec in ("snappy", "gzip", "zstd", "lz4_raw", "brotli"):
        written.append(f"duckdb-{codec}")
        query = "select id, small::utinyint as small, count::ubigint as count, text, list from rows_of_arrow"
        duckdb.execute(f"copy ({query}) to '{job.directory}/in/{written[-1]}' (format parquet, compression {codec})")
    columns = "id bigint, small smallint, count bigint, text string, list array<double>"
    frame = spark.createDataFrame([tuple(row.values()) for row in LOADED], columns)
    # So Spark reads and writes a `u64`.
    frame = frame.withColumn("count", frame["count"].cast("decimal(20,0)"))
    for codec in ("none", "snappy", "gzip", "lz4", "lz4_raw", "zstd"):
        written.append(f"spark-{codec}")
        frame.coalesce(1).write.option("compression", codec).parquet(f"{job.directory}/in/{written[-1]}")
    pandas.DataFrame(LOADED).to_parquet(job.directory / "in" / "pandas", index=False)
    written.append("pandas")
    of_times = times.write_for_loading(job.directory / "in", spark)
    job.run({"flat": [1]}, f'load = "{",".join(written)}", load_times = "{",".join(of_times)}"')
    times.check_loaded(check, job, of_times)
    for name in written:
        lines = (job.directory / "out" / name / "part-00000.json").read_text(encoding="utf-8").splitlines()
        check(f"loaded from {name}", in_order(json.loads(line) for line in lines), in_order(LOADED))


def main(host, plugin, directory):
    started = datetime.datetime.now()
    # Spark gives instants in the zone of this process.
    os.environ["TZ"] = "UTC"
    time.tzset()
    spark = (
        SparkSession.builder.master("local[2]").appName("interop")
        .config("spark.ui.enabled", False).config("spark.ui.showConsoleProgress", False)
        .config("spark.sql.shuffle.partitions", 2).config("spark.sql.session.timeZone", "UTC")
        .config("spark.driver.bindAddress", "127.0.0.1").config("spark.driver.host", "127.0.0.1")
        .config("spark.sql.warehouse.dir", f"{directory}/warehouse").getOrCreate()
    )
    spark.sparkContext.setLogLevel("ERROR")
    job = Job(host, plugin, f"{directory}/job")
    job.run({"flat": FLAT, "deep": DEEP} | times.sources(), "")
    check_arrow(job)
    check_parquet(job, spark)
    check_csv(job, spark)
    check_json(job, spark)
    check_text(job, spark)
    times.check_saved(check, job, spark, single)
    check_loading(job, spark)
    spark.stop()
    seconds = (datetime.datetime.now() - started).seconds
    if failures:
        sys.exit(f"{len(failures)} comparisons differ, after {seconds} s: {', '.join(failures)}")
    print(f"all comparisons hold, after {seconds} s")


main(*sys.argv[1:])
