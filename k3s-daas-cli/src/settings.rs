//! Settings: flags over environment over file over defaults, and where each value is from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use k3s_daas::types::{ClusterId, ExecutorId, TokenId};
use k3s_daas::{gateway, nautilus};
use serde::Serialize;

use crate::env_vars as env;
use crate::layout::Layout;
use crate::names::{self, Named as _};
use crate::printer::Show;

/// Declares the settings: their keys in the file, variables, defaults and meanings.
macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $name:ident = $key:literal, $env:expr, $kind:ident, $default:expr;)+) => {
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

            fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)+ }
            }

            fn default(self) -> Option<Fallback> {
                match self { $(Self::$name => $default,)+ }
            }
        }
    };
}

settings! {
    /// Directory of the ledger, the keys and everything else.
    Dir = "dir", env::DIR, Path, None;
    /// Whether this is a development directory, whose plain keys are accepted.
    Development = "development", "", Bool, Some(Fallback::Text("false"));
    /// Chain of the ledger, as `daas cluster create` prints it.
    Chain = "chain", "", Id, None;
    /// Cluster to work with.
    Cluster = "cluster", env::CLUSTER, Id, None;
    /// Capability that governs the cluster.
    AdminCap = "admin_cap", env::ADMIN_CAP, Id, None;
    /// Seal token to work with.
    Token = "token", env::TOKEN, Id, None;
    /// Executor that Nautilus answers as.
    Executor = "executor", env::EXECUTOR, Id, None;
    /// Bytes that must stay free on the ledger's disk; below, only answers and revocations are taken.
    LedgerReserveBytes = "ledger.reserve_bytes", "", Bytes, Some(Fallback::Text("67108864"));
    /// Key file of the cluster's administrator.
    AdminKey = "keys.admin", env::ADMIN_KEY, Path, Some(Fallback::InDir("keys/admin.key"));
    /// Key file of the token's owner.
    OwnerKey = "keys.owner", env::OWNER_KEY, Path, Some(Fallback::InDir("keys/owner.key"));
    /// Key file of the gateway.
    GatewayKey = "keys.gateway", env::GATEWAY_KEY, Path, Some(Fallback::InDir("keys/gateway.key"));
    /// Key file of the executor's operator.
    OperatorKey = "keys.operator", env::OPERATOR_KEY, Path, Some(Fallback::InDir("keys/operator.key"));
    /// Key file that the executor signs answers with.
    ExecutorKey = "keys.executor", env::EXECUTOR_KEY, Path, Some(Fallback::InDir("keys/executor.key"));
    /// Key file of the executor's encryption key.
    EncryptionKey = "keys.encryption", env::ENCRYPTION_KEY, Path, Some(Fallback::InDir("keys/encryption.key"));
    /// File with the passphrase of encrypted key files.
    PassphraseFile = "passphrase_file", env::PASSPHRASE_FILE, Path, None;
    /// Address that the gateway listens on.
    GatewayListen = "gateway.listen", env::GATEWAY_LISTEN, Socket, Some(Fallback::Text("127.0.0.1:7443"));
    /// Address that the gateway serves /metrics on, over plain HTTP; nowhere unless set.
    GatewayMetricsListen = "gateway.metrics_listen", env::GATEWAY_METRICS, Socket, None;
    /// URL under which clients reach the gateway.
    GatewayServer = "gateway.server", env::GATEWAY_SERVER, Url, None;
    /// What credentials for the gateway name as their audience.
    GatewayAudience = "gateway.audience", env::GATEWAY_AUDIENCE, Text, None;
    /// Certificate authority that clients of the gateway trust.
    GatewayCa = "gateway.ca", env::GATEWAY_CA, Path, Some(Fallback::InDir("gateway/ca.crt"));
    /// Certificate that the gateway shows instead of one of its own CA.
    GatewayCertificate = "gateway.certificate", env::GATEWAY_CERTIFICATE, Path, None;
    /// Private key of that certificate.
    GatewayPrivateKey = "gateway.private_key", env::GATEWAY_PRIVATE_KEY, Path, None;
    /// The gateway's own token for discovery.
    GatewayToken = "gateway.token", env::GATEWAY_TOKEN, Id, None;
    /// Time to answer a request that has no timeout parameter.
    GatewayDeadline = "gateway.deadline", "", Gateway, Some(Fallback::Text("65s"));
    /// The longest time that a client may ask for; under 1h.
    GatewayMaxDeadline = "gateway.max_deadline", "", Gateway, Some(Fallback::Text("10m"));
    /// How long past the deadline a recorded answer is waited for.
    GatewayAnswerGrace = "gateway.answer_grace", "", Gateway, Some(Fallback::Text("2s"));
    /// When the caller gets the answer.
    GatewayAnswer = "gateway.answer", "", Gateway, Some(Fallback::Text("settled"));
    /// How commands that change nothing are answered.
    GatewayReads = "gateway.reads", "", Gateway, Some(Fallback::Text("ledger"));
    /// Bytes of a body from a client; at most 3 MiB.
    GatewayMaxBodyBytes = "gateway.max_body_bytes", "", Gateway, Some(Fallback::Text("3145728"));
    /// Bytes of all such bodies at once.
    GatewayMaxBufferedBytes = "gateway.max_buffered_bytes", "", Gateway, Some(Fallback::Text("134217728"));
    /// Bytes of them of one token.
    GatewayMaxBufferedBytesPerToken = "gateway.max_buffered_bytes_per_token", "", Gateway, Some(Fallback::Text("33554432"));
    /// Bytes of all answers at once that clients have not read yet.
    GatewayMaxAnswerBytes = "gateway.max_answer_bytes", "", Gateway, Some(Fallback::Text("268435456"));
    /// Bytes of them of one token.
    GatewayMaxAnswerBytesPerToken = "gateway.max_answer_bytes_per_token", "", Gateway, Some(Fallback::Text("67108864"));
    /// How long an answer waits for room.
    GatewayAnswerPatience = "gateway.answer_patience", "", Gateway, Some(Fallback::Text("5s"));
    /// How long a client may not read of a response before it is taken away.
    GatewayWriteTimeout = "gateway.write_timeout", "", Gateway, Some(Fallback::Text("1m"));
    /// Time for a client to send its body.
    GatewayBodyTimeout = "gateway.body_timeout", "", Gateway, Some(Fallback::Text("30s"));
    /// Bytes of a request's head.
    GatewayMaxHeaderBytes = "gateway.max_header_bytes", "", Gateway, Some(Fallback::Text("32768"));
    /// Headers of a request.
    GatewayMaxHeaders = "gateway.max_headers", "", Gateway, Some(Fallback::Text("100"));
    /// Time for a client to send a request's head.
    GatewayHeaderTimeout = "gateway.header_timeout", "", Gateway, Some(Fallback::Text("32s"));
    /// Time for a TLS handshake.
    GatewayHandshakeTimeout = "gateway.handshake_timeout", "", Gateway, Some(Fallback::Text("10s"));
    /// How long a connection may stay without a request.
    GatewayIdleTimeout = "gateway.idle_timeout", "", Gateway, Some(Fallback::Text("90s"));
    /// How long what a client still sends is forgotten once its connection is over.
    GatewayLingerTimeout = "gateway.linger_timeout", "", Gateway, Some(Fallback::Text("5s"));
    /// Time for what is under way when the gateway shuts down.
    GatewayDrainTimeout = "gateway.drain_timeout", "", Gateway, Some(Fallback::Text("30s"));
    /// Connections at once.
    GatewayMaxConnections = "gateway.max_connections", "", Gateway, Some(Fallback::Text("8192"));
    /// Connections at once from one address.
    GatewayMaxConnectionsPerAddress = "gateway.max_connections_per_address", "", Gateway, Some(Fallback::Text("2048"));
    /// New connections per second from one address.
    GatewayConnectionsPerSecondPerAddress = "gateway.connections_per_second_per_address", "", Gateway, Some(Fallback::Text("500"));
    /// How many of them may come at once.
    GatewayConnectionBurstPerAddress = "gateway.connection_burst_per_address", "", Gateway, Some(Fallback::Text("2048"));
    /// Streams at once of one HTTP/2 connection.
    GatewayMaxStreams = "gateway.max_streams", "", Gateway, Some(Fallback::Text("250"));
    /// Requests that the client of a connection may give up per second before it is disconnected.
    GatewayResetsPerSecond = "gateway.resets_per_second", "", Gateway, Some(Fallback::Text("20"));
    /// How many of them may come at once.
    GatewayResetBurst = "gateway.reset_burst", "", Gateway, Some(Fallback::Text("100"));
    /// Bytes of an HTTP/2 connection that may come although they are no part of a request.
    GatewayMaxControlBytes = "gateway.max_control_bytes", "", Gateway, Some(Fallback::Text("1048576"));
    /// Requests per second of one token.
    GatewayRequestsPerSecondPerToken = "gateway.requests_per_second_per_token", "", Gateway, Some(Fallback::Text("4000"));
    /// How many of them may come at once.
    GatewayRequestBurstPerToken = "gateway.request_burst_per_token", "", Gateway, Some(Fallback::Text("8000"));
    /// Requests at once.
    GatewayMaxInFlight = "gateway.max_in_flight", "", Gateway, Some(Fallback::Text("600"));
    /// Requests at once of one token.
    GatewayMaxInFlightPerToken = "gateway.max_in_flight_per_token", "", Gateway, Some(Fallback::Text("256"));
    /// Watches at once.
    GatewayMaxWatches = "gateway.max_watches", "", Gateway, Some(Fallback::Text("2048"));
    /// Watches at once of one token.
    GatewayMaxWatchesPerToken = "gateway.max_watches_per_token", "", Gateway, Some(Fallback::Text("256"));
    /// How long an executor may take for the gateway's own question, whether anybody answers.
    GatewayProbeTimeout = "gateway.probe_timeout", "", Gateway, Some(Fallback::Text("6s"));
    /// How old what is known of the executors may be for /readyz; half of that when a request waits.
    GatewayProbeInterval = "gateway.probe_interval", "", Gateway, Some(Fallback::Text("15s"));
    /// How long discovery is served from memory; at most 30s.
    GatewayDiscoveryTtl = "gateway.discovery_ttl", "", Gateway, Some(Fallback::Text("30s"));
    /// Length of the short watches that a watch is fed from.
    GatewayWatchSlice = "gateway.watch_slice", "", Gateway, Some(Fallback::Text("5s"));
    /// When a watch that asks for no end is ended.
    GatewayWatchLifetime = "gateway.watch_lifetime", "", Gateway, Some(Fallback::Text("45m"));
    /// How long the answer to a read stays in the blob store once it is recorded.
    GatewayReadRetention = "gateway.read_retention", "", Gateway, Some(Fallback::Text("1m"));
    /// How long a request's body stays in the blob store past its deadline.
    GatewayPayloadRetention = "gateway.payload_retention", "", Gateway, Some(Fallback::Text("10m"));
    /// Refusals of one token that are recorded one by one, per second.
    GatewayRefusalsPerSecond = "gateway.refusals_per_second", "", Gateway, Some(Fallback::Text("5"));
    /// How many of them may come at once.
    GatewayRefusalBurst = "gateway.refusal_burst", "", Gateway, Some(Fallback::Text("20"));
    /// How often those over it are recorded as a count.
    GatewayRefusalReport = "gateway.refusal_report", "", Gateway, Some(Fallback::Text("10s"));
    /// Whether responses say in Server-Timing where their time went.
    GatewayServerTiming = "gateway.server_timing", "", Gateway, Some(Fallback::Text("true"));
    /// Kubeconfig of the cluster that Nautilus executes on.
    NautilusKubeconfig = "nautilus.kubeconfig", env::NAUTILUS_KUBECONFIG, Path, None;
    /// Context of that kubeconfig; its current one if none is given.
    NautilusContext = "nautilus.context", env::NAUTILUS_CONTEXT, Text, None;
    /// Address that Nautilus serves /metrics, /livez and /readyz on, over plain HTTP; nowhere unless set.
    NautilusMetricsListen = "nautilus.metrics_listen", env::NAUTILUS_METRICS, Socket, None;
    /// How many requests are at the cluster at a time, watches not counted.
    NautilusConcurrency = "nautilus.concurrency", "", Nautilus, Some(Fallback::Text("64"));
    /// How many watches are at the cluster at a time.
    NautilusWatchConcurrency = "nautilus.watch_concurrency", "", Nautilus, Some(Fallback::Text("256"));
    /// Nothing is begun this close to the end of a lease, since clocks differ.
    NautilusClockTolerance = "nautilus.clock_tolerance", "", Nautilus, Some(Fallback::Text("250ms"));
    /// Longest response of the cluster, headers and body, in bytes.
    NautilusMaxResponseBytes = "nautilus.max_response_bytes", "", Nautilus, Some(Fallback::Text("33554432"));
    /// How long a watch goes on after its first event.
    NautilusWatchSettle = "nautilus.watch_settle", "", Nautilus, Some(Fallback::Text("50ms"));
    /// How long a watch waits for its first event.
    NautilusWatchWindow = "nautilus.watch_window", "", Nautilus, Some(Fallback::Text("5s"));
    /// How long a body that is not in the blob store is asked for again, and room for an answer.
    NautilusBlobPatience = "nautilus.blob_patience", "", Nautilus, Some(Fallback::Text("2s"));
    /// How often unanswered requests are looked through.
    NautilusScanInterval = "nautilus.scan_interval", "", Nautilus, Some(Fallback::Text("1s"));
    /// How long after another executor's lease its request is claimed, and up to as much again by chance.
    NautilusClaimDelay = "nautilus.claim_delay", "", Nautilus, Some(Fallback::Text("1s"));
    /// How often a request is given back to another executor before it is answered 503.
    NautilusMaxReleases = "nautilus.max_releases", "", Nautilus, Some(Fallback::Text("2"));
    /// How often requests whose time is over are pruned from the ledger; 0s: never.
    NautilusPruneInterval = "nautilus.prune_interval", "", Nautilus, Some(Fallback::Text("1m"));
    /// How often the blob store is swept and the cluster probed.
    NautilusUpkeepInterval = "nautilus.upkeep_interval", "", Nautilus, Some(Fallback::Text("15s"));
    /// How long what has begun may take after a shutdown was asked for.
    NautilusDrain = "nautilus.drain", "", Nautilus, Some(Fallback::Text("30s"));
    /// What is logged: a filter such as `info` or `k3s_daas=debug`; unless set, info by daas-gateway and daas-nautilus, else warn.
    Log = "log", env::LOG, Text, None;
    /// How it is logged: `text` or `json`.
    LogFormat = "log_format", env::LOG_FORMAT, LogFormat, Some(Fallback::Text("text"));
}

/// What a value must look like.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Path,
    Text,
    Bool,
    Bytes,
    Id,
    Socket,
    Url,
    LogFormat,
    /// A field of [`gateway::Config`].
    Gateway,
    /// A field of [`nautilus::Config`].
    Nautilus,
}

/// What a setting is when nobody sets it.
#[derive(Clone, Copy, Debug)]
enum Fallback {
    Text(&'static str),
    /// A path below [`Key::Dir`].
    InDir(&'static str),
}

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Origin {
    /// The command line.
    Flag,
    /// An environment variable.
    Env(&'static str),
    /// The settings file.
    File(PathBuf),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag => f.write_str("flag"),
            Self::Env(name) => f.write_str(name),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// All settings of one run.
#[derive(Clone, Debug)]
pub struct Settings {
    file: PathBuf,
    values: BTreeMap<Key, (String, Origin)>,
}

/// What the command line set.
pub type Flags = Vec<(Key, String)>;

impl Settings {
    /// Reads flags, environment and file; a file that was not named need not exist.
    ///
    /// # Errors
    /// [`Error`], for the first thing that is wrong.
    pub fn load(config: Option<&Path>, flags: Flags) -> Result<Self, Error> {
        Self::load_from(config, flags, |name| std::env::var_os(name))
    }

    /// The same with other variables than those of this process.
    ///
    /// # Errors
    /// [`Error`], for the first thing that is wrong.
    pub fn load_from(
        config: Option<&Path>,
        flags: Flags,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Error> {
        let text_of = |name: &'static str| match variable(name) {
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => value
                .into_string()
                .map(Some)
                .map_err(|_| Error::NotText(name)),
            None => Ok(None),
        };
        let mut values: BTreeMap<Key, (String, Origin)> = BTreeMap::new();
        for (key, value) in flags {
            values.insert(key, (value, Origin::Flag));
        }
        for &key in Key::ALL.iter().filter(|key| !key.env().is_empty()) {
            if values.contains_key(&key) {
                continue;
            }
            if let Some(value) = text_of(key.env())? {
                values.insert(key, (value, Origin::Env(key.env())));
            }
        }
        for key in [Key::Dir] {
            // What is relative means the working directory, except in a file.
            if let Some((dir, _)) = values.get_mut(&key) {
                *dir = absolute(dir);
            }
        }
        let named = config
            .map(Path::to_owned)
            .or(text_of(env::CONFIG)?.map(PathBuf::from));
        let is_named = named.is_some();
        let default_dir = match text_of(env::XDG_DATA_HOME)? {
            Some(data) => Some(Path::new(&data).join("k3s-daas")),
            None => text_of(env::HOME)?.map(|home| Path::new(&home).join(".local/share/k3s-daas")),
        };
        let file = match (named, values.get(&Key::Dir), &default_dir) {
            (Some(named), _, _) => PathBuf::from(absolute(&named.to_string_lossy())),
            (None, Some((dir, _)), _) => Path::new(dir).join(FILE_NAME),
            (None, None, Some(dir)) => dir.join(FILE_NAME),
            (None, None, None) => return Err(Error::NoHome),
        };
        let beside = file.parent().unwrap_or(Path::new("/")).to_owned();
        match std::fs::read_to_string(&file) {
            Ok(text) => {
                for (key, value) in parse(&file, &text)? {
                    let value = match key.kind() {
                        Kind::Path => beside.join(value).to_string_lossy().into_owned(),
                        _ => value,
                    };
                    let origin = Origin::File(file.clone());
                    values.entry(key).or_insert((value, origin));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && !is_named => {}
            Err(source) => return Err(Error::Read { file, source }),
        }
        values
            .entry(Key::Dir)
            .or_insert_with(|| (beside.to_string_lossy().into_owned(), Origin::Default));
        let mut settings = Self { file, values };
        for &key in Key::ALL {
            settings.fill(key);
            settings.strip_kind(key)?;
            settings.check(key)?;
        }
        settings.gateway()?;
        Ok(settings)
    }

    fn fill(&mut self, key: Key) {
        if self.values.contains_key(&key) {
            return;
        }
        let value = match key.default() {
            Some(Fallback::Text(text)) => text.to_owned(),
            Some(Fallback::InDir(path)) => self.dir().join(path).to_string_lossy().into_owned(),
            None => return,
        };
        self.values.insert(key, (value, Origin::Default));
    }

    /// Takes the name that `-o name` prints for the ID that is in it.
    fn strip_kind(&mut self, key: Key) -> Result<(), Error> {
        let kind = match key {
            Key::Cluster => ClusterId::KIND,
            Key::Token | Key::GatewayToken => TokenId::KIND,
            Key::Executor => ExecutorId::KIND,
            _ => return Ok(()),
        };
        let Some((value, origin)) = self.values.get_mut(&key) else {
            return Ok(());
        };
        match names::strip(kind, value) {
            Ok(id) => *value = id.to_owned(),
            Err(_) => {
                return Err(Error::Value {
                    key: key.name(),
                    origin: origin.clone(),
                    value: value.chars().take(80).collect(),
                    why: format!("is neither {kind}/ID nor an ID alone"),
                });
            }
        }
        Ok(())
    }

    fn check(&self, key: Key) -> Result<(), Error> {
        let Some((value, origin)) = self.values.get(&key) else {
            return Ok(());
        };
        let wrong = |why: &str| Error::Value {
            key: key.name(),
            origin: origin.clone(),
            value: value.chars().take(80).collect(),
            why: why.to_owned(),
        };
        match key.kind() {
            Kind::Path | Kind::Text if value.is_empty() => Err(wrong("is empty")),
            Kind::Path | Kind::Text => Ok(()),
            Kind::Bool if value == "true" || value == "false" => Ok(()),
            Kind::Bool => Err(wrong("is neither true nor false")),
            Kind::Bytes => match value.parse::<u64>() {
                Ok(_) => Ok(()),
                Err(_) => Err(wrong("is no number of bytes")),
            },
            Kind::Id => match value.parse::<k3s_daas::types::Address>() {
                Ok(_) => Ok(()),
                Err(_) => Err(wrong("is not 0x and up to 64 hexadecimal digits")),
            },
            Kind::Socket => match value.parse::<std::net::SocketAddr>() {
                Ok(_) => Ok(()),
                Err(_) => Err(wrong("is no address and port, such as 127.0.0.1:7443")),
            },
            Kind::Url if value.starts_with("https://") => Ok(()),
            Kind::Url => Err(wrong("does not begin with https://")),
            Kind::LogFormat if value == "text" || value == "json" => Ok(()),
            Kind::LogFormat => Err(wrong("is neither text nor json")),
            Kind::Nautilus => match fields::<nautilus::Config>([(key, value.as_str())]) {
                Ok(_) => Ok(()),
                Err(why) => Err(wrong(&format!("is not what it takes: {why}"))),
            },
            Kind::Gateway => match fields::<gateway::Config>([(key, value.as_str())]) {
                Ok(_) => Ok(()),
                Err(why) => Err(wrong(&format!("is not what it takes: {why}"))),
            },
        }
    }

    /// The settings file, whether it exists or not.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The directory of everything.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.path(Key::Dir).unwrap_or_default()
    }

    /// A setting as text.
    #[must_use]
    pub fn text(&self, key: Key) -> Option<&str> {
        self.values.get(&key).map(|(value, _)| value.as_str())
    }

    /// A setting as a path.
    #[must_use]
    pub fn path(&self, key: Key) -> Option<PathBuf> {
        self.text(key).map(PathBuf::from)
    }

    /// A setting as what it stands for.
    #[must_use]
    pub fn value<T: FromStr>(&self, key: Key) -> Option<T> {
        self.text(key).and_then(|text| text.parse().ok())
    }

    /// A setting that the command cannot do without.
    ///
    /// # Errors
    /// [`Error::Missing`], which says how to set it.
    pub fn required<T: FromStr>(&self, key: Key) -> Result<T, Error> {
        self.value(key).ok_or(Error::Missing {
            key: key.name(),
            env: key.env(),
            about: key.about(),
        })
    }

    /// How Nautilus behaves, by the settings of `[nautilus]`.
    ///
    /// # Errors
    /// None that reading them has not found already.
    pub fn nautilus(&self, layout: &Layout) -> Result<nautilus::Config, Error> {
        let keys = Key::ALL
            .iter()
            .filter(|key| matches!(key.kind(), Kind::Nautilus));
        let values = keys.filter_map(|&key| Some((key, self.text(key)?)));
        let mut config = fields::<nautilus::Config>(values).map_err(|why| Error::Value {
            key: "nautilus",
            origin: Origin::File(self.file.clone()),
            value: "table".to_owned(),
            why: why.to_string(),
        })?;
        config.journal = match self.value(Key::Executor) {
            Some(executor) => layout.journal_of(executor),
            None => layout.journal(),
        };
        Ok(config)
    }

    /// Where a setting is from.
    #[must_use]
    pub fn origin(&self, key: Key) -> Option<&Origin> {
        self.values.get(&key).map(|(_, origin)| origin)
    }

    /// Whether plain development keys are accepted here.
    #[must_use]
    pub fn is_development(&self) -> bool {
        self.value(Key::Development).unwrap_or(false)
    }

    /// Limits and times of the gateway; its audience and its token are settings of their own.
    ///
    /// # Errors
    /// None that reading them has not found already.
    pub fn gateway(&self) -> Result<gateway::Config, Error> {
        let keys = Key::ALL.iter().copied();
        let keys = keys.filter(|key| matches!(key.kind(), Kind::Gateway));
        let values = keys.clone().filter_map(|key| Some((key, self.text(key)?)));
        let wrong = |why: String| {
            // What is out of its bounds is named first.
            let name = why.split(' ').next().unwrap_or_default();
            let key = keys
                .clone()
                .find(|key| key.name().ends_with(&format!(".{name}")));
            Error::Value {
                key: key.map_or("gateway", Key::name),
                origin: key
                    .and_then(|key| self.origin(key))
                    .cloned()
                    .unwrap_or(Origin::Default),
                value: key
                    .and_then(|key| self.text(key))
                    .unwrap_or_default()
                    .to_owned(),
                why: format!("is out of bounds: {why}"),
            }
        };
        let mut config =
            fields::<gateway::Config>(values).map_err(|error| wrong(error.to_string()))?;
        // Only for its bounds.
        config.audience = "any".to_owned();
        config
            .validate()
            .map_err(|error| wrong(error.to_string()))?;
        config.audience.clear();
        Ok(config)
    }

    /// All settings, for people.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let entry = |&key: &Key| Entry {
            key: key.name(),
            value: self.text(key).map(str::to_owned),
            origin: self.origin(key).map(ToString::to_string),
            env: key.env(),
            about: key.about(),
        };
        Key::ALL.iter().map(entry).collect()
    }
}

/// A line of `daas config show`.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    key: &'static str,
    value: Option<String>,
    origin: Option<String>,
    env: &'static str,
    about: &'static str,
}

impl Show for Entry {
    const KIND: &'static str = "setting";
    const COLUMNS: &'static [&'static str] = &["KEY", "VALUE", "FROM"];

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            self.key.to_owned(),
            or_dash(&self.value),
            or_dash(&self.origin),
        ]
    }

    fn name(&self) -> String {
        self.key.to_owned()
    }
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the settings in {}", .file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is no TOML.
    #[error("{} is no TOML", .file.display())]
    Toml {
        /// The file.
        file: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
    /// The file sets what is no setting.
    #[error("{} sets `{key}`, which is no setting{}", .file.display(), suggest(.nearest))]
    Unknown {
        /// The file.
        file: PathBuf,
        /// What it sets.
        key: String,
        /// What may be meant.
        nearest: Option<&'static str>,
    },
    /// The file gives a setting what is neither text, number nor boolean.
    #[error("`{key}` in {} is no text, number or boolean", .file.display())]
    Type {
        /// The file.
        file: PathBuf,
        /// The setting.
        key: String,
    },
    /// A value is not of its form.
    #[error("`{key}` (from {origin}): `{value}` {why}")]
    Value {
        /// The setting.
        key: &'static str,
        /// Where it is from.
        origin: Origin,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// A setting is needed and not there.
    #[error(
        "`{key}` is not set: {about} Give it as a flag, in {env} or in the settings file, or run `daas dev` first"
    )]
    Missing {
        /// The setting.
        key: &'static str,
        /// Its variable.
        env: &'static str,
        /// What it is for.
        about: &'static str,
    },
    /// A variable is not UTF-8.
    #[error("the environment variable {0} is not UTF-8")]
    NotText(&'static str),
    /// There is no place for a default.
    #[error("neither --dir, DAAS_DIR nor HOME says which directory to use")]
    NoHome,
}

/// Changes some settings in the file and keeps the others; comments are not kept.
///
/// # Errors
/// [`Error::Read`] and [`Error::Toml`] of the file as it is; I/O errors as [`Error::Read`].
pub fn update(file: &Path, changes: &[(Key, toml::Value)]) -> Result<(), Error> {
    let failed = |source| Error::Read {
        file: file.to_owned(),
        source,
    };
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let mut root: toml::Table = text.parse().map_err(|source| Error::Toml {
        file: file.to_owned(),
        source: Box::new(source),
    })?;
    for (key, value) in changes {
        match key.name().split_once('.') {
            None => {
                root.insert(key.name().to_owned(), value.clone());
            }
            Some((table, name)) => {
                let table = root
                    .entry(table)
                    .or_insert_with(|| toml::Value::Table(toml::Table::new()));
                if let toml::Value::Table(table) = table {
                    table.insert(name.to_owned(), value.clone());
                }
            }
        }
    }
    let body = toml::to_string(&root).map_err(|error| failed(std::io::Error::other(error)))?;
    let new = format!("{HEADER}\n{body}");
    if new == text {
        return Ok(());
    }
    k3s_daas::crypto::write_private(file, new.as_bytes())
        .map_err(|error| failed(std::io::Error::other(error)))
}

/// Settings of the library, from those of its fields that stand in the settings here.
fn fields<'a, T: serde::de::DeserializeOwned>(
    values: impl IntoIterator<Item = (Key, &'a str)>,
) -> serde_json::Result<T> {
    let fields = values.into_iter().map(|(key, text)| {
        let name = key.name().rsplit('.').next().unwrap_or_default();
        let value = match (text.parse::<u64>(), text.parse::<bool>()) {
            (Ok(number), _) => number.into(),
            (_, Ok(is)) => is.into(),
            _ => text.into(),
        };
        (name.to_owned(), value)
    });
    serde_json::from_value(serde_json::Value::Object(fields.collect()))
}

/// The settings that a file sets.
fn parse(file: &Path, text: &str) -> Result<Vec<(Key, String)>, Error> {
    let root: toml::Table = text.parse().map_err(|source| Error::Toml {
        file: file.to_owned(),
        source: Box::new(source),
    })?;
    let mut found = Vec::new();
    flatten("", &root, &mut |name, value| {
        let Some(&key) = Key::ALL.iter().find(|key| key.name() == name) else {
            let nearest = nearest(name);
            return Err(Error::Unknown {
                file: file.to_owned(),
                key: name.to_owned(),
                nearest,
            });
        };
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(is) => is.to_string(),
            _ => {
                return Err(Error::Type {
                    file: file.to_owned(),
                    key: name.to_owned(),
                });
            }
        };
        found.push((key, text));
        Ok(())
    })?;
    Ok(found)
}

fn flatten(
    prefix: &str,
    table: &toml::Table,
    visit: &mut impl FnMut(&str, &toml::Value) -> Result<(), Error>,
) -> Result<(), Error> {
    for (name, value) in table {
        let name = format!("{prefix}{name}");
        match value {
            toml::Value::Table(table) if is_prefix(&name) => {
                flatten(&format!("{name}."), table, visit)?;
            }
            _ => visit(&name, value)?,
        }
    }
    Ok(())
}

fn is_prefix(name: &str) -> bool {
    let mut keys = Key::ALL.iter();
    keys.any(|key| {
        key.name()
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
    })
}

fn nearest(name: &str) -> Option<&'static str> {
    let score = |key: &&Key| {
        let full = strsim::jaro_winkler(name, key.name());
        let last = key.name().rsplit('.').next().unwrap_or_default();
        full.max(strsim::jaro_winkler(name, last))
    };
    Key::ALL
        .iter()
        .max_by(|a, b| score(a).total_cmp(&score(b)))
        .filter(|key| score(key) > 0.75)
        .map(|key| key.name())
}

fn suggest(nearest: &Option<&'static str>) -> String {
    match nearest {
        Some(name) => format!("; did you mean `{name}`?"),
        None => "; `daas config show` lists them".to_owned(),
    }
}

fn absolute(path: &str) -> String {
    std::path::absolute(path).map_or_else(
        |_| path.to_owned(),
        |path| path.to_string_lossy().into_owned(),
    )
}

/// Name of the settings file in its directory.
pub const FILE_NAME: &str = "daas.toml";

const HEADER: &str = "# Settings of daas; `daas config show` explains them. Values may be changed, comments are not kept.";

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn load(file: &str, flags: Flags, variables: &[(&str, &str)]) -> Result<Settings, Error> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        std::fs::write(&path, file).unwrap();
        let variables: BTreeMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Settings::load_from(Some(&path), flags, |name| {
            variables.get(name).map(OsString::from)
        })
    }

    #[test]
    fn flags_beat_variables_beat_the_file_beats_defaults() {
        let file = "cluster = \"0x1\"\n[gateway]\nlisten = \"127.0.0.1:1\"\n";
        let all = [("DAAS_CLUSTER", "0x2"), ("HOME", "/home/x")];
        let flags = vec![(Key::Cluster, "0x3".to_owned())];
        let settings = load(file, flags, &all).unwrap();
        assert_eq!(settings.text(Key::Cluster), Some("0x3"));
        assert_eq!(settings.origin(Key::Cluster), Some(&Origin::Flag));
        let settings = load(file, Vec::new(), &all).unwrap();
        assert_eq!(settings.text(Key::Cluster), Some("0x2"));
        assert_eq!(
            settings.origin(Key::Cluster),
            Some(&Origin::Env("DAAS_CLUSTER"))
        );
        let settings = load(file, Vec::new(), &[]).unwrap();
        assert_eq!(settings.text(Key::Cluster), Some("0x1"));
        assert!(matches!(
            settings.origin(Key::Cluster),
            Some(Origin::File(_))
        ));
        assert_eq!(settings.text(Key::GatewayListen), Some("127.0.0.1:1"));
        let settings = load("", Vec::new(), &[]).unwrap();
        assert_eq!(settings.text(Key::GatewayListen), Some("127.0.0.1:7443"));
        assert_eq!(settings.origin(Key::GatewayListen), Some(&Origin::Default));
        assert_eq!(settings.text(Key::Cluster), None);
    }

    #[test]
    fn paths_in_the_file_are_relative_to_it() {
        let settings = load("[keys]\nowner = \"mine.key\"\n", Vec::new(), &[]).unwrap();
        let beside = settings.file().parent().unwrap();
        assert_eq!(
            settings.path(Key::OwnerKey).unwrap(),
            beside.join("mine.key")
        );
        assert_eq!(settings.dir(), beside);
        assert_eq!(
            settings.path(Key::AdminKey).unwrap(),
            beside.join("keys/admin.key")
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (file, expected) in [
            ("clutser = \"0x1\"", "did you mean `cluster`?"),
            ("[gateway]\nlistn = \"x\"", "did you mean `gateway.listen`?"),
            ("listen = \"x\"", "did you mean `gateway.listen`?"),
            ("qqq = 1", "`daas config show` lists them"),
            ("[keys.owner]\nfile = \"x\"", "`keys.owner`"),
            ("cluster = [1]", "no text, number or boolean"),
            ("cluster = \"1\"", "is not 0x"),
            ("development = \"yes\"", "neither true nor false"),
            ("gateway.listen = \"localhost\"", "no address and port"),
            ("gateway.server = \"http://x\"", "https://"),
            ("log_format = \"xml\"", "neither text nor json"),
            ("nautilus.concurrency = \"many\"", "`nautilus.concurrency`"),
            ("nautilus.concurrency = -1", "`nautilus.concurrency`"),
            ("nautilus.drain = 5", "`nautilus.drain`"),
            ("nautilus.drain = \"5 parsecs\"", "`nautilus.drain`"),
            (
                "nautilus.concurency = 1",
                "did you mean `nautilus.concurrency`?",
            ),
            ("cluster = ", "is no TOML"),
        ] {
            let error = load(file, Vec::new(), &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{file}: {error}");
        }
        let bad_variable = load("", Vec::new(), &[("DAAS_TOKEN", "mine")]).unwrap_err();
        assert!(
            bad_variable.to_string().contains("from DAAS_TOKEN"),
            "{bad_variable}"
        );
        let none = |_: &str| None;
        assert!(matches!(
            Settings::load_from(None, Vec::new(), none),
            Err(Error::NoHome)
        ));
        let missing = Settings::load_from(Some(Path::new("/nowhere/x.toml")), Vec::new(), none);
        assert!(matches!(missing, Err(Error::Read { .. })));
    }

    #[test]
    fn nautilus_is_as_the_settings_say() {
        let layout = Layout::new("/d");
        let config = |file: &str| {
            let settings = load(file, Vec::new(), &[]).unwrap();
            settings.nautilus(&layout).unwrap()
        };
        let defaults = nautilus::Config::new("/d/nautilus/journal.db");
        // What is shown as a default is one.
        assert_eq!(config(""), defaults);
        let file =
            "[nautilus]\nconcurrency = 3\nwatch_window = \"250ms\"\nprune_interval = \"0s\"\n";
        let mut expected = defaults;
        expected.concurrency = 3;
        expected.watch_window = std::time::Duration::from_millis(250);
        expected.prune_interval = std::time::Duration::ZERO;
        assert_eq!(config(file), expected);
        // And every one can be set.
        let fields = serde_json::to_value(&expected).unwrap();
        let names: Vec<_> = Key::ALL.iter().map(|key| key.name()).collect();
        for field in fields.as_object().unwrap().keys() {
            let name = format!("nautilus.{field}");
            assert!(field == "journal" || names.contains(&&*name), "{name}");
        }
    }

    #[test]
    fn the_gateway_is_as_the_settings_say() {
        let gateway = |file: &str| load(file, Vec::new(), &[]).unwrap().gateway().unwrap();
        // What is shown as a default is one.
        let defaults = gateway::Config::default();
        assert_eq!(gateway(""), defaults);
        let file = "[gateway]\nlisten = \"127.0.0.1:1\"\ndeadline = \"20s\"\nmax_in_flight = 7\nserver_timing = false\n";
        let mut expected = defaults.clone();
        expected.deadline = std::time::Duration::from_secs(20);
        expected.max_in_flight = 7;
        expected.server_timing = false;
        assert_eq!(gateway(file), expected);
        // And every one can be set.
        let fields = serde_json::to_value(&defaults).unwrap();
        let names: Vec<_> = Key::ALL.iter().map(|key| key.name()).collect();
        for field in fields.as_object().unwrap().keys() {
            let name = format!("gateway.{field}");
            let is_elsewhere = field == "discovery_token";
            assert!(is_elsewhere || names.contains(&&*name), "{name}");
        }
        for (file, expected) in [
            ("gateway.deadline = \"20\"", "`gateway.deadline`"),
            ("gateway.deadline = 20", "`gateway.deadline`"),
            (
                "gateway.max_in_flight = \"many\"",
                "`gateway.max_in_flight`",
            ),
            ("gateway.max_in_flight = -1", "`gateway.max_in_flight`"),
            ("gateway.server_timing = \"no\"", "`gateway.server_timing`"),
            (
                "gateway.max_in_flight = 0",
                "max_in_flight must be 1 to 1048576",
            ),
            (
                "gateway.max_buffered_bytes = 1000",
                "max_buffered_bytes must be",
            ),
            (
                "gateway.max_inflight = 1",
                "did you mean `gateway.max_in_flight`?",
            ),
            ("gateway.discovery_token = \"0x1\"", "no setting"),
        ] {
            let error = load(file, Vec::new(), &[]).unwrap_err().to_string();
            assert!(error.contains(expected), "{file}: {error}");
        }
    }

    #[test]
    fn every_variable_is_named_once() {
        let mut names: Vec<_> = Key::ALL
            .iter()
            .map(|key| key.env())
            .filter(|env| !env.is_empty())
            .collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn updating_keeps_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        update(
            &path,
            &[
                (Key::Cluster, "0x1".into()),
                (Key::GatewayListen, "127.0.0.1:1".into()),
            ],
        )
        .unwrap();
        update(&path, &[(Key::GatewayListen, "127.0.0.1:2".into())]).unwrap();
        let settings = Settings::load_from(Some(&path), Vec::new(), |_| None).unwrap();
        assert_eq!(settings.text(Key::Cluster), Some("0x1"));
        assert_eq!(settings.text(Key::GatewayListen), Some("127.0.0.1:2"));
    }
}
