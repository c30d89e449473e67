//! The settings there are: names, variables, defaults, meanings, and when a change of one counts.

use serde::Serialize;

use crate::env_vars as env;

/// Declares the settings: their keys in the file, variables, defaults and meanings.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident = $key:literal, $env:expr, $kind:ident, $default:expr, $change:ident;)+) => {
        /// Every setting there is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Key { $($(#[doc = $doc])+ $name,)+ }

        impl Key {
            /// All of them, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Its name in the file, tables joined by dots.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => $key,)+ }
            }

            /// Its environment variable.
            #[must_use]
            pub fn env(self) -> &'static str {
                match self { $(Self::$name => $env,)+ }
            }

            /// What it is for.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii(),)+ }
            }

            /// When a change of it counts.
            #[must_use]
            pub fn change(self) -> Change {
                match self { $(Self::$name => Change::$change,)+ }
            }

            pub(super) fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)+ }
            }

            pub(super) fn default(self) -> Option<Fallback> {
                match self { $(Self::$name => $default,)+ }
            }
        }
    };
}

settings! {
    /// Directory of the ledger, the keys and everything else.
    Dir = "dir", env::DIR, Path, None, Restart;
    /// Whether this is a development directory, whose plain keys are accepted.
    Development = "development", "", Bool, Some(Fallback::Text("false")), Restart;
    /// Chain of the ledger, as `daas cluster create` prints it.
    Chain = "chain", "", Id, None, Restart;
    /// Cluster to work with.
    Cluster = "cluster", env::CLUSTER, Id, None, Restart;
    /// Capability that governs the cluster.
    AdminCap = "admin_cap", env::ADMIN_CAP, Id, None, Command;
    /// Seal token to work with.
    Token = "token", env::TOKEN, Id, None, Command;
    /// Executor that Nautilus answers as.
    Executor = "executor", env::EXECUTOR, Id, None, Restart;
    /// Bytes that must stay free on the ledger's disk; below, only answers and revocations are taken.
    LedgerReserveBytes = "ledger.reserve_bytes", "DAAS_LEDGER_RESERVE_BYTES", Bytes, Some(Fallback::Text("67108864")), Restart;
    /// Key file of the cluster's administrator.
    AdminKey = "keys.admin", env::ADMIN_KEY, Path, Some(Fallback::InDir("keys/admin.key")), Command;
    /// Key file of the token's owner.
    OwnerKey = "keys.owner", env::OWNER_KEY, Path, Some(Fallback::InDir("keys/owner.key")), Command;
    /// Key file of the gateway.
    GatewayKey = "keys.gateway", env::GATEWAY_KEY, Path, Some(Fallback::InDir("keys/gateway.key")), Restart;
    /// Key file of the executor's operator.
    OperatorKey = "keys.operator", env::OPERATOR_KEY, Path, Some(Fallback::InDir("keys/operator.key")), Restart;
    /// Key file that the executor signs answers with.
    ExecutorKey = "keys.executor", env::EXECUTOR_KEY, Path, Some(Fallback::InDir("keys/executor.key")), Restart;
    /// Key file of the executor's encryption key.
    EncryptionKey = "keys.encryption", env::ENCRYPTION_KEY, Path, Some(Fallback::InDir("keys/encryption.key")), Command;
    /// File with the passphrase of encrypted key files.
    PassphraseFile = "passphrase_file", env::PASSPHRASE_FILE, Path, None, Restart;
    /// Address that the gateway listens on.
    GatewayListen = "gateway.listen", env::GATEWAY_LISTEN, Socket, Some(Fallback::Text("127.0.0.1:7443")), Restart;
    /// Address that the gateway serves /metrics on, over plain HTTP; nowhere unless set.
    GatewayMetricsListen = "gateway.metrics_listen", env::GATEWAY_METRICS, Socket, None, Restart;
    /// URL under which clients reach the gateway.
    GatewayServer = "gateway.server", env::GATEWAY_SERVER, Url, None, Restart;
    /// What credentials for the gateway name as their audience.
    GatewayAudience = "gateway.audience", env::GATEWAY_AUDIENCE, Text, None, Restart;
    /// Certificate authority that clients of the gateway trust.
    GatewayCa = "gateway.ca", env::GATEWAY_CA, Path, Some(Fallback::InDir("gateway/ca.crt")), Command;
    /// Certificate that the gateway shows instead of one of its own CA.
    GatewayCertificate = "gateway.certificate", env::GATEWAY_CERTIFICATE, Path, None, Reload;
    /// Private key of that certificate.
    GatewayPrivateKey = "gateway.private_key", env::GATEWAY_PRIVATE_KEY, Path, None, Reload;
    /// The gateway's own token for discovery.
    GatewayToken = "gateway.token", env::GATEWAY_TOKEN, Id, None, Reload;
    /// Time to answer a request that has no timeout parameter.
    GatewayDeadline = "gateway.deadline", "DAAS_GATEWAY_DEADLINE", Gateway, Some(Fallback::Text("65s")), Reload;
    /// The longest time that a client may ask for; under 1h.
    GatewayMaxDeadline = "gateway.max_deadline", "DAAS_GATEWAY_MAX_DEADLINE", Gateway, Some(Fallback::Text("10m")), Reload;
    /// How long past the deadline a recorded answer is waited for.
    GatewayAnswerGrace = "gateway.answer_grace", "DAAS_GATEWAY_ANSWER_GRACE", Gateway, Some(Fallback::Text("2s")), Reload;
    /// When the caller gets the answer.
    GatewayAnswer = "gateway.answer", "DAAS_GATEWAY_ANSWER", Gateway, Some(Fallback::Text("settled")), Reload;
    /// How commands that change nothing are answered.
    GatewayReads = "gateway.reads", "DAAS_GATEWAY_READS", Gateway, Some(Fallback::Text("ledger")), Reload;
    /// Bytes of a body from a client; at most 3 MiB.
    GatewayMaxBodyBytes = "gateway.max_body_bytes", "DAAS_GATEWAY_MAX_BODY_BYTES", Gateway, Some(Fallback::Text("3145728")), Reload;
    /// Bytes of all such bodies at once.
    GatewayMaxBufferedBytes = "gateway.max_buffered_bytes", "DAAS_GATEWAY_MAX_BUFFERED_BYTES", Gateway, Some(Fallback::Text("134217728")), Reload;
    /// Bytes of them of one token.
    GatewayMaxBufferedBytesPerToken = "gateway.max_buffered_bytes_per_token", "DAAS_GATEWAY_MAX_BUFFERED_BYTES_PER_TOKEN", Gateway, Some(Fallback::Text("33554432")), Reload;
    /// Bytes of all answers at once that clients have not read yet.
    GatewayMaxAnswerBytes = "gateway.max_answer_bytes", "DAAS_GATEWAY_MAX_ANSWER_BYTES", Gateway, Some(Fallback::Text("268435456")), Reload;
    /// Bytes of them of one token.
    GatewayMaxAnswerBytesPerToken = "gateway.max_answer_bytes_per_token", "DAAS_GATEWAY_MAX_ANSWER_BYTES_PER_TOKEN", Gateway, Some(Fallback::Text("67108864")), Reload;
    /// How long an answer waits for room.
    GatewayAnswerPatience = "gateway.answer_patience", "DAAS_GATEWAY_ANSWER_PATIENCE", Gateway, Some(Fallback::Text("5s")), Reload;
    /// How long a client may not read of a response before it is taken away.
    GatewayWriteTimeout = "gateway.write_timeout", "DAAS_GATEWAY_WRITE_TIMEOUT", Gateway, Some(Fallback::Text("1m")), Reload;
    /// Time for a client to send its body.
    GatewayBodyTimeout = "gateway.body_timeout", "DAAS_GATEWAY_BODY_TIMEOUT", Gateway, Some(Fallback::Text("30s")), Reload;
    /// Bytes of a request's head.
    GatewayMaxHeaderBytes = "gateway.max_header_bytes", "DAAS_GATEWAY_MAX_HEADER_BYTES", Gateway, Some(Fallback::Text("32768")), Reload;
    /// Headers of a request.
    GatewayMaxHeaders = "gateway.max_headers", "DAAS_GATEWAY_MAX_HEADERS", Gateway, Some(Fallback::Text("100")), Reload;
    /// Time for a client to send a request's head.
    GatewayHeaderTimeout = "gateway.header_timeout", "DAAS_GATEWAY_HEADER_TIMEOUT", Gateway, Some(Fallback::Text("32s")), Reload;
    /// Time for a TLS handshake.
    GatewayHandshakeTimeout = "gateway.handshake_timeout", "DAAS_GATEWAY_HANDSHAKE_TIMEOUT", Gateway, Some(Fallback::Text("10s")), Reload;
    /// How long a connection may stay without a request.
    GatewayIdleTimeout = "gateway.idle_timeout", "DAAS_GATEWAY_IDLE_TIMEOUT", Gateway, Some(Fallback::Text("90s")), Reload;
    /// How long what a client still sends is forgotten once its connection is over.
    GatewayLingerTimeout = "gateway.linger_timeout", "DAAS_GATEWAY_LINGER_TIMEOUT", Gateway, Some(Fallback::Text("5s")), Reload;
    /// Time for what is under way when the gateway shuts down.
    GatewayDrainTimeout = "gateway.drain_timeout", "DAAS_GATEWAY_DRAIN_TIMEOUT", Gateway, Some(Fallback::Text("30s")), Reload;
    /// Connections at once.
    GatewayMaxConnections = "gateway.max_connections", "DAAS_GATEWAY_MAX_CONNECTIONS", Gateway, Some(Fallback::Text("8192")), Reload;
    /// Connections at once from one address.
    GatewayMaxConnectionsPerAddress = "gateway.max_connections_per_address", "DAAS_GATEWAY_MAX_CONNECTIONS_PER_ADDRESS", Gateway, Some(Fallback::Text("2048")), Reload;
    /// New connections per second from one address.
    GatewayConnectionsPerSecondPerAddress = "gateway.connections_per_second_per_address", "DAAS_GATEWAY_CONNECTIONS_PER_SECOND_PER_ADDRESS", Gateway, Some(Fallback::Text("500")), Reload;
    /// How many of them may come at once.
    GatewayConnectionBurstPerAddress = "gateway.connection_burst_per_address", "DAAS_GATEWAY_CONNECTION_BURST_PER_ADDRESS", Gateway, Some(Fallback::Text("2048")), Reload;
    /// Streams at once of one HTTP/2 connection.
    GatewayMaxStreams = "gateway.max_streams", "DAAS_GATEWAY_MAX_STREAMS", Gateway, Some(Fallback::Text("250")), Reload;
    /// Requests that the client of a connection may give up per second before it is disconnected.
    GatewayResetsPerSecond = "gateway.resets_per_second", "DAAS_GATEWAY_RESETS_PER_SECOND", Gateway, Some(Fallback::Text("20")), Reload;
    /// How many of them may come at once.
    GatewayResetBurst = "gateway.reset_burst", "DAAS_GATEWAY_RESET_BURST", Gateway, Some(Fallback::Text("100")), Reload;
    /// Bytes of an HTTP/2 connection that may come although they are no part of a request.
    GatewayMaxControlBytes = "gateway.max_control_bytes", "DAAS_GATEWAY_MAX_CONTROL_BYTES", Gateway, Some(Fallback::Text("1048576")), Reload;
    /// Requests per second of one token.
    GatewayRequestsPerSecondPerToken = "gateway.requests_per_second_per_token", "DAAS_GATEWAY_REQUESTS_PER_SECOND_PER_TOKEN", Gateway, Some(Fallback::Text("4000")), Reload;
    /// How many of them may come at once.
    GatewayRequestBurstPerToken = "gateway.request_burst_per_token", "DAAS_GATEWAY_REQUEST_BURST_PER_TOKEN", Gateway, Some(Fallback::Text("8000")), Reload;
    /// Requests at once.
    GatewayMaxInFlight = "gateway.max_in_flight", "DAAS_GATEWAY_MAX_IN_FLIGHT", Gateway, Some(Fallback::Text("600")), Reload;
    /// Requests at once of one token.
    GatewayMaxInFlightPerToken = "gateway.max_in_flight_per_token", "DAAS_GATEWAY_MAX_IN_FLIGHT_PER_TOKEN", Gateway, Some(Fallback::Text("256")), Reload;
    /// Watches at once.
    GatewayMaxWatches = "gateway.max_watches", "DAAS_GATEWAY_MAX_WATCHES", Gateway, Some(Fallback::Text("2048")), Reload;
    /// Watches at once of one token.
    GatewayMaxWatchesPerToken = "gateway.max_watches_per_token", "DAAS_GATEWAY_MAX_WATCHES_PER_TOKEN", Gateway, Some(Fallback::Text("256")), Reload;
    /// How long an executor may take for the gateway's own question, whether anybody answers.
    GatewayProbeTimeout = "gateway.probe_timeout", "DAAS_GATEWAY_PROBE_TIMEOUT", Gateway, Some(Fallback::Text("6s")), Reload;
    /// How old what is known of the executors may be for /readyz; half of that when a request waits.
    GatewayProbeInterval = "gateway.probe_interval", "DAAS_GATEWAY_PROBE_INTERVAL", Gateway, Some(Fallback::Text("15s")), Reload;
    /// How long discovery is served from memory; at most 30s.
    GatewayDiscoveryTtl = "gateway.discovery_ttl", "DAAS_GATEWAY_DISCOVERY_TTL", Gateway, Some(Fallback::Text("30s")), Restart;
    /// Length of the short watches that a watch is fed from.
    GatewayWatchSlice = "gateway.watch_slice", "DAAS_GATEWAY_WATCH_SLICE", Gateway, Some(Fallback::Text("5s")), Reload;
    /// When a watch that asks for no end is ended.
    GatewayWatchLifetime = "gateway.watch_lifetime", "DAAS_GATEWAY_WATCH_LIFETIME", Gateway, Some(Fallback::Text("45m")), Reload;
    /// How long the answer to a read stays in the blob store once it is recorded.
    GatewayReadRetention = "gateway.read_retention", "DAAS_GATEWAY_READ_RETENTION", Gateway, Some(Fallback::Text("1m")), Restart;
    /// How long a request's body stays in the blob store past its deadline.
    GatewayPayloadRetention = "gateway.payload_retention", "DAAS_GATEWAY_PAYLOAD_RETENTION", Gateway, Some(Fallback::Text("10m")), Reload;
    /// Refusals of one token that are recorded one by one, per second.
    GatewayRefusalsPerSecond = "gateway.refusals_per_second", "DAAS_GATEWAY_REFUSALS_PER_SECOND", Gateway, Some(Fallback::Text("5")), Reload;
    /// How many of them may come at once.
    GatewayRefusalBurst = "gateway.refusal_burst", "DAAS_GATEWAY_REFUSAL_BURST", Gateway, Some(Fallback::Text("20")), Reload;
    /// How often those over it are recorded as a count.
    GatewayRefusalReport = "gateway.refusal_report", "DAAS_GATEWAY_REFUSAL_REPORT", Gateway, Some(Fallback::Text("10s")), Restart;
    /// Whether responses say in Server-Timing where their time went.
    GatewayServerTiming = "gateway.server_timing", "DAAS_GATEWAY_SERVER_TIMING", Gateway, Some(Fallback::Text("true")), Reload;
    /// Kubeconfig of the cluster that Nautilus executes on.
    NautilusKubeconfig = "nautilus.kubeconfig", env::NAUTILUS_KUBECONFIG, Path, None, Reload;
    /// Context of that kubeconfig; its current one if none is given.
    NautilusContext = "nautilus.context", env::NAUTILUS_CONTEXT, Text, None, Reload;
    /// Address that Nautilus serves /metrics, /livez and /readyz on, over plain HTTP; nowhere unless set.
    NautilusMetricsListen = "nautilus.metrics_listen", env::NAUTILUS_METRICS, Socket, None, Restart;
    /// How many requests are at the cluster at a time, watches not counted.
    NautilusConcurrency = "nautilus.concurrency", "DAAS_NAUTILUS_CONCURRENCY", Nautilus, Some(Fallback::Text("64")), Reload;
    /// How many watches are at the cluster at a time.
    NautilusWatchConcurrency = "nautilus.watch_concurrency", "DAAS_NAUTILUS_WATCH_CONCURRENCY", Nautilus, Some(Fallback::Text("256")), Reload;
    /// Nothing is begun this close to the end of a lease, since clocks differ.
    NautilusClockTolerance = "nautilus.clock_tolerance", "DAAS_NAUTILUS_CLOCK_TOLERANCE", Nautilus, Some(Fallback::Text("250ms")), Reload;
    /// Longest response of the cluster, headers and body, in bytes.
    NautilusMaxResponseBytes = "nautilus.max_response_bytes", "DAAS_NAUTILUS_MAX_RESPONSE_BYTES", Nautilus, Some(Fallback::Text("33554432")), Reload;
    /// How long a watch goes on after its first event.
    NautilusWatchSettle = "nautilus.watch_settle", "DAAS_NAUTILUS_WATCH_SETTLE", Nautilus, Some(Fallback::Text("50ms")), Reload;
    /// How long a watch waits for its first event.
    NautilusWatchWindow = "nautilus.watch_window", "DAAS_NAUTILUS_WATCH_WINDOW", Nautilus, Some(Fallback::Text("5s")), Reload;
    /// How long a body that is not in the blob store is asked for again, and room for an answer.
    NautilusBlobPatience = "nautilus.blob_patience", "DAAS_NAUTILUS_BLOB_PATIENCE", Nautilus, Some(Fallback::Text("2s")), Reload;
    /// How often unanswered requests are looked through.
    NautilusScanInterval = "nautilus.scan_interval", "DAAS_NAUTILUS_SCAN_INTERVAL", Nautilus, Some(Fallback::Text("1s")), Reload;
    /// How long after another executor's lease its request is claimed, and up to as much again by chance.
    NautilusClaimDelay = "nautilus.claim_delay", "DAAS_NAUTILUS_CLAIM_DELAY", Nautilus, Some(Fallback::Text("1s")), Reload;
    /// How often a request is given back to another executor before it is answered 503.
    NautilusMaxReleases = "nautilus.max_releases", "DAAS_NAUTILUS_MAX_RELEASES", Nautilus, Some(Fallback::Text("2")), Reload;
    /// How often requests whose time is over are pruned from the ledger; 0s: never.
    NautilusPruneInterval = "nautilus.prune_interval", "DAAS_NAUTILUS_PRUNE_INTERVAL", Nautilus, Some(Fallback::Text("1m")), Reload;
    /// How often the blob store is swept and the cluster probed.
    NautilusUpkeepInterval = "nautilus.upkeep_interval", "DAAS_NAUTILUS_UPKEEP_INTERVAL", Nautilus, Some(Fallback::Text("15s")), Reload;
    /// How long what has begun may take after a shutdown was asked for.
    NautilusDrain = "nautilus.drain", "DAAS_NAUTILUS_DRAIN", Nautilus, Some(Fallback::Text("30s")), Reload;
    /// URL of a collector that takes traces by OTLP over HTTP, such as http://127.0.0.1:4318; nowhere unless set.
    OtlpEndpoint = "otlp.endpoint", env::OTLP_ENDPOINT, Collector, None, Restart;
    /// File with headers for the collector, one `Name: value` a line; nobody else's to read.
    OtlpHeadersFile = "otlp.headers_file", env::OTLP_HEADERS_FILE, Path, None, Restart;
    /// Authority of the collector's certificate, PEM; those of the system unless set.
    OtlpCa = "otlp.ca", env::OTLP_CA, Path, None, Restart;
    /// Which part of all requests is traced, 0 to 1; the same for gateway and Nautilus, or traces have gaps.
    OtlpSampleRatio = "otlp.sample_ratio", env::OTLP_SAMPLE_RATIO, Ratio, Some(Fallback::Text("1")), Restart;
    /// Name of the service in traces; daas-gateway and daas-nautilus unless set.
    OtlpServiceName = "otlp.service_name", env::OTLP_SERVICE_NAME, Text, None, Restart;
    /// What is logged: a filter such as `info` or `k3s_daas=debug`; unless set, info by daas-gateway and daas-nautilus, else warn.
    Log = "log", env::LOG, Text, None, Reload;
    /// How it is logged: `text` or `json`.
    LogFormat = "log_format", env::LOG_FORMAT, LogFormat, Some(Fallback::Text("text")), Restart;
}

/// When a change of a setting counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Change {
    /// When a running service is told to read its settings again (SIGHUP).
    Reload,
    /// When the service that uses it is started again.
    Restart,
    /// With the next command; no running service uses it.
    Command,
}

/// What a value must look like.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Path,
    Text,
    Bool,
    Bytes,
    Id,
    Socket,
    Url,
    LogFormat,
    /// From 0 to 1.
    Ratio,
    /// A URL that is no secret.
    Collector,
    /// A field of [`k3s_daas::gateway::Config`].
    Gateway,
    /// A field of [`k3s_daas::nautilus::Config`].
    Nautilus,
}

/// What a setting is when nobody sets it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fallback {
    Text(&'static str),
    /// A path below [`Key::Dir`].
    InDir(&'static str),
}
