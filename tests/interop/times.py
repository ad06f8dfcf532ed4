"""Dates, times and decimals: what the host saves of them, and what other programs save of them for the host."""

import datetime
import decimal
import json

import duckdb
import pandas
import pyarrow
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet

UTC = datetime.timezone.utc


def instant(text):
    return datetime.datetime.fromisoformat(text).replace(tzinfo=UTC)


# What every reader knows. `second` is saved in milliseconds where the format has no seconds.
TIMES = [
    {
        "id": 1, "at": instant("2026-01-31T23:59:59.500000"), "second": instant("2026-01-31T23:59:59"),
        "local": datetime.datetime(2026, 3, 29, 2, 30), "day": datetime.date(2026, 1, 31),
        "price": decimal.Decimal("19.90"),
    },
    {
        "id": 2, "at": instant("1969-12-31T23:59:59.999999"), "second": instant("1969-12-31T23:59:59"),
        "local": datetime.datetime(1969, 12, 31, 23, 59, 59, 999999), "day": datetime.date(1600, 2, 29),
        "price": decimal.Decimal("-9999999999.99"),
    },
    {
        "id": 3, "at": instant("1970-01-01T00:00:00"), "second": instant("9999-12-31T23:59:59"),
        "local": datetime.datetime(9999, 12, 31, 23, 59, 59), "day": None, "price": None,
    },
]

# What Spark 3.5 does not know: the time of a day, and nanoseconds.
CLOCKS = [
    {"id": 1, "clock": datetime.time(23, 59, 59, 999999), "second": datetime.time(0, 0, 1), "wide": decimal.Decimal("0." + "0" * 17 + "1")},
    {"id": 2, "clock": datetime.time(0), "second": datetime.time(23, 59, 59), "wide": decimal.Decimal("-" + "9" * 20 + "." + "9" * 18)},
]
NANOS = {1: "2026-01-31T23:59:59.123456789", 2: "1677-09-21T00:12:43.145224193"}

TYPES = {
    "pyarrow": {
        "id": "int64", "at": "timestamp[us, tz=UTC]", "second": "timestamp[ms, tz=UTC]", "local": "timestamp[us]",
        "day": "date32[day]", "price": "decimal128(12, 2)",
    },
    "DuckDB": {
        "id": "BIGINT", "at": "TIMESTAMP WITH TIME ZONE", "second": "TIMESTAMP WITH TIME ZONE", "local": "TIMESTAMP",
        "day": "DATE", "price": "DECIMAL(12,2)",
    },
    "Spark": {
        "id": "bigint", "at": "timestamp", "second": "timestamp", "local": "timestamp_ntz", "day": "date",
        "price": "decimal(12,2)",
    },
}
COLUMNS = pyarrow.schema([
    ("id", pyarrow.int64()), ("at", pyarrow.timestamp("us", "UTC")), ("second", pyarrow.timestamp("s", "UTC")),
    ("local", pyarrow.timestamp("us")), ("day", pyarrow.date32()), ("price", pyarrow.decimal128(12, 2)),
])


def sources():
    """The rows as sources of the job."""
    clocks = [row | {"nano": NANOS[row["id"]] + "Z"} for row in CLOCKS]
    return {"times": TIMES, "clocks": clocks}


def in_order(rows):
    """Rows as dictionaries, with an instant as one of UTC. Spark gives instants without a zone, in that of the session."""
    def plain(name, value):
        if value is None or value is pandas.NaT or value is pandas.NA:
            return None
        if isinstance(value, pandas.Timestamp):
            value = value.to_pydatetime()
        if isinstance(value, datetime.datetime) and name in ("at", "second"):
            return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return value

    found = [row.asDict() if hasattr(row, "asDict") else row for row in rows]
    return sorted(({name: plain(name, value) for name, value in row.items()} for row in found), key=lambda row: row["id"])


def types_of(schema):
    return {field.name: str(field.type) for field in schema}


def check_saved(check, job, spark, single):
    duckdb.execute("set timezone = 'UTC'")
    expected = in_order(TIMES)
    directory = job.saved("times-parquet")
    table = pyarrow.parquet.read_table(directory)
    check("times-parquet: pyarrow", in_order(table.to_pylist()), expected)
    check("times-parquet: types in pyarrow", types_of(table.schema), TYPES["pyarrow"])
    frame = pandas.read_parquet(directory, dtype_backend="pyarrow")
    check("times-parquet: pandas", in_order(frame.to_dict("records")), expected)
    read = duckdb.sql(f"from read_parquet('{directory}/*.parquet')")
    check("times-parquet: DuckDB", in_order(read.to_arrow_table().to_pylist()), expected)
    check("times-parquet: types in DuckDB", dict(zip(read.columns, map(str, read.types))), TYPES["DuckDB"])
    frame = spark.read.parquet(str(directory))
    check("times-parquet: Spark", in_order(frame.collect()), expected)
    check("times-parquet: types in Spark", dict(frame.dtypes), TYPES["Spark"])

    table = pyarrow.ipc.open_file(single(job.saved("times-arrow"))).read_all()
    check("times-arrow: pyarrow", in_order(table.to_pylist()), expected)
    check("times-arrow: types in pyarrow", types_of(table.schema), types_of(COLUMNS))

    types = ", ".join(f"'{name}': '{ty}'" for name, ty in TYPES["DuckDB"].items())
    schema = ", ".join(f"{name} {ty}" for name, ty in TYPES["Spark"].items())
    directory = job.saved("times-csv")
    options = pyarrow.csv.ConvertOptions(column_types=COLUMNS)
    check("times-csv: pyarrow", in_order(pyarrow.csv.read_csv(single(directory), convert_options=options).to_pylist()), expected)
    read = duckdb.sql(f"from read_csv('{directory}/*.csv', columns = {{{types}}}, header = true)")
    check("times-csv: DuckDB", in_order(read.to_arrow_table().to_pylist()), expected)
    check("times-csv: Spark", in_order(spark.read.option("header", True).schema(schema).csv(str(directory)).collect()), expected)
    directory = job.saved("times-json")
    # pyarrow takes a date in JSON for a number of days, so that the date is read as a text first.
    texts = pyarrow.schema([(f.name, pyarrow.string() if f.name == "day" else f.type) for f in COLUMNS])
    options = pyarrow.json.ParseOptions(explicit_schema=texts)
    table = pyarrow.json.read_json(single(directory), parse_options=options).cast(COLUMNS)
    check("times-json: pyarrow", in_order(table.to_pylist()), expected)
    read = duckdb.sql(f"from read_json('{directory}/*.json', format = 'newline_delimited', columns = {{{types}}})")
    check("times-json: DuckDB", in_order(read.to_arrow_table().to_pylist()), expected)
    check("times-json: Spark", in_order(spark.read.schema(schema).json(str(directory)).collect()), expected)
    check_clocks(check, job)


def check_clocks(check, job):
    expected = sorted(CLOCKS, key=lambda row: row["id"])
    directory = job.saved("clocks-parquet")
    table = pyarrow.parquet.read_table(directory)
    columns = ["id", "clock", "second", "wide"]
    check("clocks-parquet: pyarrow", sorted(table.select(columns).to_pylist(), key=lambda row: row["id"]), expected)
    nanos = table.column("nano").cast(pyarrow.int64()).to_pylist()
    texts = pyarrow.array(nanos).cast(pyarrow.timestamp("ns")).cast(pyarrow.string()).to_pylist()
    found = {row: text.replace(" ", "T") for row, text in zip(table.column("id").to_pylist(), texts)}
    check("clocks-parquet: nanoseconds in pyarrow", found, NANOS)
    read = duckdb.sql(f"select id, clock, second, wide from read_parquet('{directory}/*.parquet')")
    check("clocks-parquet: DuckDB", sorted(read.to_arrow_table().to_pylist(), key=lambda row: row["id"]), expected)


def write_for_loading(directory, spark):
    """Writes the rows as other programs do, and returns the names of the files and directories."""
    table = pyarrow.Table.from_pylist(TIMES, COLUMNS)
    written = []
    for name, options in (("micros", {}), ("int96", {"use_deprecated_int96_timestamps": True})):
        written.append(f"times-pyarrow-{name}")
        # INT96 reaches as far as nanoseconds of 64 bits do, here.
        saved = table.slice(0, 2).drop_columns(["local"]) if options else table
        pyarrow.parquet.write_table(saved, directory / written[-1], **options)
    duckdb.register("times_of_arrow", table)
    written.append("times-duckdb")
    duckdb.execute(f"copy times_of_arrow to '{directory}/{written[-1]}' (format parquet)")
    frame = spark.createDataFrame([tuple(row.values()) for row in TIMES], ", ".join(f"{n} {t}" for n, t in TYPES["Spark"].items()))
    for kind in ("INT96", "TIMESTAMP_MICROS"):
        written.append(f"times-spark-{kind}")
        spark.conf.set("spark.sql.parquet.outputTimestampType", kind)
        frame.coalesce(1).write.parquet(f"{directory}/{written[-1]}")
    return written


def check_loaded(check, job, written):
    expected = in_order(TIMES)
    for name in written:
        lines = (job.directory / "out" / name / "part-00000.json").read_text(encoding="utf-8").splitlines()
        rows = [{key: of_text(key, value) for key, value in json.loads(line).items()} for line in lines]
        wanted = [row | {"local": None} for row in expected[:2]] if name.endswith("pyarrow-int96") else expected
        check(f"loaded from {name}", in_order(rows), wanted)


def of_text(name, value):
    """A value of a JSON file of the host."""
    if value is None or name == "id":
        return value
    if name == "price":
        return decimal.Decimal(value)
    return datetime.date.fromisoformat(value) if name == "day" else datetime.datetime.fromisoformat(value)
