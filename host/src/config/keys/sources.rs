//! The keys of the sections `sources.NAME`, grouped by the type of the source. Those of the types `nats`, `kafka` and
//! `kafka-receiver` are in files of their own.

use super::super::files::{AfterUse, NamePatterns};
use super::super::http::{ListenAddress, UrlPath};
use super::super::key::{Change, Declared, Key};
use super::super::range::{Count, Size, Span};
use super::super::secret_place::SecretPlace;
use super::super::settings::{OnMissingFile, PayloadFormat};
use super::super::shape::{Address, Choice, FilePath, Name, Strings, TextEncoding};
use super::super::subject::Fallback;
use super::{GIB, HOUR_MS, KIB, MIB};

/// The types of sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum SourceType {
    Socket,
    TextFiles,
    LogFile,
    Queue,
    Http,
    Nats,
    Kafka,
    KafkaReceiver,
    Custom,
}

keys! {
    SOURCE_TYPE: Choice<SourceType> = Key::new(
        "sources.NAME.type",
        Choice(&[
            ("socket", SourceType::Socket),
            ("text-files", SourceType::TextFiles),
            ("log-file", SourceType::LogFile),
            ("queue", SourceType::Queue),
            ("http", SourceType::Http),
            ("nats", SourceType::Nats),
            ("kafka", SourceType::Kafka),
            ("kafka-receiver", SourceType::KafkaReceiver),
            ("custom", SourceType::Custom),
        ]),
        Fallback::Required("socket"),
        "Where the records come from.",
    )
    .when_changed(Change::Fresh);

    SOCKET_ADDRESS: Address = Key::new(
        "sources.NAME.address",
        Address,
        Fallback::Required("127.0.0.1:9999"),
        "The server to read lines from. An IPv6 address stands in brackets.",
    )
    .of_type("socket");

    SOCKET_RECONNECT_DELAY: Span = Key::new(
        "sources.NAME.reconnect_delay",
        Span { min_ms: 1, max_ms: HOUR_MS },
        Fallback::Text("2s"),
        "How long to wait before connecting again after a connection failed or ended.",
    )
    .spark("spark.streaming.receiverRestartDelay")
    .of_type("socket")
    .when_changed(Change::Harmless);

    SOCKET_IDLE_TIMEOUT: Span = Key::new(
        "sources.NAME.idle_timeout",
        Span { min_ms: 1, max_ms: 24 * HOUR_MS },
        Fallback::Derived { doc: "none", example: "5m" },
        "A connection on which no byte arrives for this time counts as lost and is opened again. Set it for servers \
         that send all the time. Without it, TCP keepalive notices after two minutes that a server is gone.",
    )
    .of_type("socket")
    .when_changed(Change::Harmless);

    SOCKET_MAX_LINE: Size = Key::new(
        "sources.NAME.max_line",
        Size { min: 1, max: 256 * MIB },
        Fallback::Text("1MiB"),
        "The longest line that is accepted, in bytes of UTF-8. Longer lines are dropped, and reported.",
    )
    .of_type("socket");

    SOCKET_ENCODING: TextEncoding = Key::new(
        "sources.NAME.encoding",
        TextEncoding,
        Fallback::Text("utf-8"),
        "The [encoding](text.md#encodings) of the text. A byte order mark at the beginning is removed, and decides \
         the encoding in place of this key.",
    )
    .of_type("socket");

    TEXT_FILES_PATH: FilePath = Key::new(
        "sources.NAME.path",
        FilePath,
        Fallback::Required("logs/*"),
        "The directory whose files are read as they appear, or a pattern of directories with `*`, `?` and `[a-z]`, and \
         with `**` for a directory and all below it. See [sources](sources.md#files).",
    )
    .of_type("text-files");

    TEXT_FILES_EXISTING: Choice<bool> = Key::new(
        "sources.NAME.existing_files",
        Choice(&[("ignore", false), ("read", true)]),
        Fallback::Text("ignore"),
        "Whether files are read that were modified before the job started for the first time, whatever their age. In \
         Spark: `newFilesOnly = false`.",
    )
    .of_type("text-files");

    TEXT_FILES_MIN_REMEMBER: Span = Key::new(
        "sources.NAME.min_remember",
        Span { min_ms: 1, max_ms: 24 * HOUR_MS },
        Fallback::Text("60s"),
        "How long before a batch a file may have been modified, at least, to be read in it: files that show up late are \
         still read. For as long after a batch has read a file, changes of the file are not read.",
    )
    .spark("spark.streaming.fileStream.minRememberDuration")
    .of_type("text-files");

    TEXT_FILES_INCLUDE: NamePatterns = Key::new(
        "sources.NAME.include",
        NamePatterns,
        Fallback::Text(""),
        "Which files are read, by their names; all if it is empty. Names that begin with `.` or `_` or end with \
         `._COPYING_` are left out in any case.",
    )
    .of_type("text-files");

    TEXT_FILES_IGNORE: NamePatterns = Key::new(
        "sources.NAME.ignore",
        NamePatterns,
        Fallback::Text(""),
        "Which files are not read, by their names.",
    )
    .of_type("text-files");

    TEXT_FILES_WHEN_DONE: AfterUse = Key::new(
        "sources.NAME.when_done",
        AfterUse,
        Fallback::Text("keep"),
        "What becomes of a file that no batch, window or restart needs any more: it stays, is removed, or is moved into a \
         directory. A file that changed meanwhile, or whose batch failed, stays.",
    )
    .of_type("text-files")
    .when_changed(Change::Harmless);

    TEXT_FILES_ON_MISSING: Choice<OnMissingFile> = Key::new(
        "sources.NAME.on_missing_file",
        Choice(&[("fail", OnMissingFile::Fail), ("skip", OnMissingFile::Skip)]),
        Fallback::Text("fail"),
        "What happens when a file is gone that a batch has to read: the batch fails, or goes on without the file, which \
         is told and counted.",
    )
    .of_type("text-files");

    TEXT_FILES_MAX_LINE: Size = Key::new(
        "sources.NAME.max_line",
        Size { min: 1, max: 256 * MIB },
        Fallback::Text("1MiB"),
        "The longest line that is accepted, in bytes of UTF-8. Longer lines are dropped, and reported.",
    )
    .of_type("text-files");

    TEXT_FILES_ENCODING: TextEncoding = Key::new(
        "sources.NAME.encoding",
        TextEncoding,
        Fallback::Text("utf-8"),
        "The [encoding](text.md#encodings) of the text. A byte order mark at the beginning is removed, and decides \
         the encoding in place of this key.",
    )
    .of_type("text-files");

    LOG_FILE_PATH: FilePath = Key::new(
        "sources.NAME.path",
        FilePath,
        Fallback::Required("logs/app.log"),
        "The file whose lines are read as they are appended. When another file gets this name, the rest of the old file \
         is read first. See [sources](sources.md#log-files).",
    )
    .of_type("log-file")
    .when_changed(Change::Fresh);

    LOG_FILE_START: Choice<bool> = Key::new(
        "sources.NAME.start",
        Choice(&[("beginning", true), ("end", false)]),
        Fallback::Text("beginning"),
        "Where a job begins to read that is started for the first time: with the first line of the file, or with the \
         first line that is appended after the start.",
    )
    .of_type("log-file")
    .when_changed(Change::Harmless);

    LOG_FILE_MAX_LINE: Size = Key::new(
        "sources.NAME.max_line",
        Size { min: 1, max: 256 * MIB },
        Fallback::Text("1MiB"),
        "The longest line that is accepted, in bytes of UTF-8. Longer lines are dropped, and reported.",
    )
    .of_type("log-file");

    LOG_FILE_ENCODING: TextEncoding = Key::new(
        "sources.NAME.encoding",
        TextEncoding,
        Fallback::Text("utf-8"),
        "The [encoding](text.md#encodings) of the text: one in which each line ends with the byte 10, so not UTF-16. \
         A byte order mark at the beginning is removed, and decides the encoding in place of this key.",
    )
    .of_type("log-file");

    QUEUE_PATH: FilePath = Key::new(
        "sources.NAME.path",
        FilePath,
        Fallback::Required("batches.jsonl"),
        "A file with one data set a line, each a JSON array of records; every batch takes the next line.",
    )
    .of_type("queue")
    .when_changed(Change::Fresh);

    QUEUE_ENCODING: TextEncoding = Key::new(
        "sources.NAME.encoding",
        TextEncoding,
        Fallback::Text("utf-8"),
        "The [encoding](text.md#encodings) of the text. A byte order mark at the beginning is removed, and decides \
         the encoding in place of this key.",
    )
    .of_type("queue");

    HTTP_ADDRESS: ListenAddress = Key::new(
        "sources.NAME.address",
        ListenAddress,
        Fallback::Required("127.0.0.1:8080"),
        "The IP address and the port at which the host takes requests. Port 0 stands for any free port, which the log \
         names. Without `token`, only an address of the machine itself is accepted. See [sources](sources.md#http).",
    )
    .of_type("http")
    .when_changed(Change::Harmless);

    HTTP_PATH: UrlPath = Key::new(
        "sources.NAME.path",
        UrlPath,
        Fallback::Text("/"),
        "The path of the URL to which clients send.",
    )
    .of_type("http")
    .when_changed(Change::Harmless);

    HTTP_FORMAT: Choice<PayloadFormat> = Key::new(
        "sources.NAME.format",
        Choice(&[("lines", PayloadFormat::Lines), ("json-lines", PayloadFormat::JsonLines), ("body", PayloadFormat::Whole)]),
        Fallback::Text("lines"),
        "The records of a request: its lines of text; its lines as JSON values of the type that the plugin reads; or its \
         body as one record.",
    )
    .of_type("http");

    HTTP_TOKEN: SecretPlace = Key::new(
        "sources.NAME.token",
        SecretPlace,
        Fallback::Derived { doc: "none", example: "file:token.txt" },
        "The file or the environment variable with the token that clients send as `Authorization: Bearer TOKEN`. A file \
         is relative to the job file.",
    )
    .of_type("http")
    .when_changed(Change::Harmless);

    HTTP_TLS_CERTIFICATE: FilePath = Key::new(
        "sources.NAME.tls_certificate",
        FilePath,
        Fallback::Derived { doc: "none", example: "certificate.pem" },
        "The PEM file with the certificate of the host and those of its issuers. With it, connections use TLS.",
    )
    .of_type("http")
    .when_changed(Change::Harmless);

    HTTP_TLS_KEY: FilePath = Key::new(
        "sources.NAME.tls_key",
        FilePath,
        Fallback::Derived { doc: "none", example: "key.pem" },
        "The PEM file with the private key of `tls_certificate`.",
    )
    .of_type("http")
    .when_changed(Change::Harmless);

    HTTP_MAX_BODY: Size = Key::new(
        "sources.NAME.max_body",
        Size { min: KIB, max: GIB },
        Fallback::Text("16MiB"),
        "The largest body of a request. Larger ones are answered with 413.",
    )
    .of_type("http")
    .when_changed(Change::Harmless);

    HTTP_MAX_REQUESTS: Count = Key::new(
        "sources.NAME.max_requests",
        Count { min: 1, max: 65_536 },
        Fallback::Number(256),
        "The most requests that are received or wait for their answer at a time. The host holds up to four times as many \
         connections.",
    )
    .of_type("http")
    .when_changed(Change::Harmless);

    HTTP_MAX_WAIT: Span = Key::new(
        "sources.NAME.max_wait",
        Span { min_ms: 1, max_ms: HOUR_MS },
        Fallback::Text("10s"),
        "How long a request waits while there are `max_requests` already, or while the host has no room for its records. \
         Then the answer is 503.",
    )
    .of_type("http")
    .when_changed(Change::Harmless);

    HTTP_REQUEST_TIMEOUT: Span = Key::new(
        "sources.NAME.request_timeout",
        Span { min_ms: 1, max_ms: HOUR_MS },
        Fallback::Text("30s"),
        "How long a client may take to send the head of a request, and then its body; and how long a connection without a \
         request stays open.",
    )
    .of_type("http")
    .when_changed(Change::Harmless);

    HTTP_RESTART_DELAY: Span = Key::new(
        "sources.NAME.restart_delay",
        Span { min_ms: 1, max_ms: HOUR_MS },
        Fallback::Text("2s"),
        "How long to wait before listening again after that failed.",
    )
    .spark("spark.streaming.receiverRestartDelay")
    .of_type("http")
    .when_changed(Change::Harmless);

    CUSTOM_RECEIVER: Name = Key::new(
        "sources.NAME.receiver",
        Name,
        Fallback::Required("acknowledged-lines"),
        "The receiver, by the name under which the program that embeds the host knows it. The program `host` has none: \
         see [receivers](receivers.md).",
    )
    .of_type("custom");

    CUSTOM_OPTIONS: Strings = Key::new(
        "sources.NAME.options",
        Strings,
        Fallback::Empty,
        "The options of the receiver, by name. All values are strings. Each receiver defines its own options.",
    )
    .of_type("custom");

    CUSTOM_RESTART_DELAY: Span = Key::new(
        "sources.NAME.restart_delay",
        Span { min_ms: 1, max_ms: HOUR_MS },
        Fallback::Text("2s"),
        "How long to wait before starting a receiver again that has failed, unless its error says otherwise.",
    )
    .spark("spark.streaming.receiverRestartDelay")
    .of_type("custom")
    .when_changed(Change::Harmless);

    CUSTOM_MAX_LINE: Size = Key::new(
        "sources.NAME.max_line",
        Size { min: 1, max: 256 * MIB },
        Fallback::Text("1MiB"),
        "The longest line that is accepted, in bytes of UTF-8, if the receiver gives lines.",
    )
    .of_type("custom");

    CUSTOM_ENCODING: TextEncoding = Key::new(
        "sources.NAME.encoding",
        TextEncoding,
        Fallback::Text("utf-8"),
        "The [encoding](text.md#encodings) of lines that the receiver gives as bytes. A byte order mark at the \
         beginning is removed, and decides the encoding in place of this key.",
    )
    .of_type("custom");
}
