//! The keys of the sections `sources.NAME` with `type = "nats"`.

use super::super::key::{Change, Declared, Key};
use super::super::nats::{StreamName, SubjectPattern};
use super::super::range::{Count, Span};
use super::super::secret_place::SecretPlace;
use super::super::servers::Servers;
use super::super::settings::{DeliverFrom, OnBadMessage, PayloadFormat};
use super::super::shape::{Choice, FilePath, Flag, Word};
use super::super::subject::Fallback;
use super::HOUR_MS;

keys! {
    NATS_SERVERS: Servers = Key::new(
        "sources.NAME.servers",
        Servers,
        Fallback::Required("127.0.0.1:4222"),
        "The NATS server to read from, or several servers of a cluster, separated by commas: the host connects to any of \
         them. See [sources](sources.md#nats-jetstream).",
    )
    .of_type("nats")
    .when_changed(Change::Harmless);

    NATS_STREAM: StreamName = Key::new(
        "sources.NAME.stream",
        StreamName,
        Fallback::Required("EVENTS"),
        "The stream of JetStream whose messages are read. The stream has to exist.",
    )
    .of_type("nats");

    NATS_CONSUMER: StreamName = Key::new(
        "sources.NAME.consumer",
        StreamName,
        Fallback::Derived { doc: "`millstream=JOB=SOURCE`, with `+` for each `.`", example: "word-count" },
        "The durable consumer of the stream, which remembers what was acknowledged. If the consumer does not exist, it is \
         made. Each job needs a consumer of its own.",
    )
    .of_type("nats");

    NATS_FILTER: SubjectPattern = Key::new(
        "sources.NAME.filter_subject",
        SubjectPattern,
        Fallback::Derived { doc: "none", example: "events.>" },
        "Only messages whose subject fits are read. `*` stands for one part of a subject, and `>` for all further parts.",
    )
    .of_type("nats");

    NATS_DELIVER: Choice<DeliverFrom> = Key::new(
        "sources.NAME.deliver",
        Choice(&[
            ("all", DeliverFrom::All),
            ("new", DeliverFrom::New),
            ("last", DeliverFrom::Last),
            ("last-per-subject", DeliverFrom::LastPerSubject),
        ]),
        Fallback::Text("all"),
        "Where a consumer begins that is made: with all messages that the stream has; with those that come from then on; \
         with the last one; or with the last one of each subject.",
    )
    .of_type("nats")
    .when_changed(Change::Harmless);

    NATS_FORMAT: Choice<PayloadFormat> = Key::new(
        "sources.NAME.format",
        Choice(&[("lines", PayloadFormat::Lines), ("json-lines", PayloadFormat::JsonLines), ("message", PayloadFormat::Whole)]),
        Fallback::Text("lines"),
        "The records of a message: its lines of text; its lines as JSON values of the type that the plugin reads; or the \
         message as one record.",
    )
    .of_type("nats");

    NATS_USER: Word = Key::new(
        "sources.NAME.user",
        Word,
        Fallback::Derived { doc: "none", example: "millstream" },
        "The user as whom the host connects, with `password`.",
    )
    .of_type("nats")
    .when_changed(Change::Harmless);

    NATS_PASSWORD: SecretPlace = Key::new(
        "sources.NAME.password",
        SecretPlace,
        Fallback::Derived { doc: "none", example: "file:password.txt" },
        "The file or the environment variable with the password of `user`. A file is relative to the job file.",
    )
    .of_type("nats")
    .when_changed(Change::Harmless);

    NATS_TOKEN: SecretPlace = Key::new(
        "sources.NAME.token",
        SecretPlace,
        Fallback::Derived { doc: "none", example: "file:token.txt" },
        "The file or the environment variable with the token with which the host connects.",
    )
    .of_type("nats")
    .when_changed(Change::Harmless);

    NATS_CREDENTIALS: SecretPlace = Key::new(
        "sources.NAME.credentials",
        SecretPlace,
        Fallback::Derived { doc: "none", example: "file:user.creds" },
        "The credentials file, or the environment variable with its content: a JWT and the seed of its key.",
    )
    .of_type("nats")
    .when_changed(Change::Harmless);

    NATS_NKEY_SEED: SecretPlace = Key::new(
        "sources.NAME.nkey_seed",
        SecretPlace,
        Fallback::Derived { doc: "none", example: "file:user.nk" },
        "The file or the environment variable with the seed of the NKey with which the host connects.",
    )
    .of_type("nats")
    .when_changed(Change::Harmless);

    NATS_TLS: Flag = Key::new(
        "sources.NAME.tls",
        Flag,
        Fallback::Derived { doc: "true with `tls_ca`, else false", example: "true" },
        "Whether the connection must use TLS. If not, the connection uses TLS only if the server requires TLS.",
    )
    .of_type("nats")
    .when_changed(Change::Harmless);

    NATS_TLS_CA: FilePath = Key::new(
        "sources.NAME.tls_ca",
        FilePath,
        Fallback::Derived { doc: "those of the system", example: "ca.pem" },
        "The PEM file with the certificates of the authorities that may have issued the certificate of the server.",
    )
    .of_type("nats")
    .when_changed(Change::Harmless);

    NATS_ACK_WAIT: Span = Key::new(
        "sources.NAME.ack_wait",
        Span { min_ms: 1000, max_ms: HOUR_MS },
        Fallback::Text("30s"),
        "How long the server waits for an acknowledgement before it delivers a message again. The host asks for more time \
         while it cannot take a message.",
    )
    .of_type("nats")
    .when_changed(Change::Harmless);

    NATS_MAX_ACK_PENDING: Count = Key::new(
        "sources.NAME.max_ack_pending",
        Count { min: 1, max: 100_000 },
        Fallback::Number(10_000),
        "The most messages that are delivered and not yet acknowledged. A message is acknowledged when its block is stored, \
         and a block has at most half as many messages.",
    )
    .of_type("nats")
    .when_changed(Change::Harmless);

    NATS_ON_BAD_MESSAGE: Choice<OnBadMessage> = Key::new(
        "sources.NAME.on_bad_message",
        Choice(&[("terminate", OnBadMessage::Terminate), ("stop", OnBadMessage::Stop)]),
        Fallback::Text("terminate"),
        "What happens to a message that is no record of the `format`: the server is told not to deliver it again, which is \
         reported and counted; or the receiver stops, and the job goes on without it.",
    )
    .of_type("nats")
    .when_changed(Change::Harmless);

    NATS_RESTART_DELAY: Span = Key::new(
        "sources.NAME.restart_delay",
        Span { min_ms: 1, max_ms: HOUR_MS },
        Fallback::Text("2s"),
        "How long to wait before connecting again after the connection failed or ended.",
    )
    .spark("spark.streaming.receiverRestartDelay")
    .of_type("nats")
    .when_changed(Change::Harmless);
}
