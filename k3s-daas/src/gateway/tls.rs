//! The gateway's certificate: from a CA of its own, made on first start, or given.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};

use crate::crypto::{PrivateFileError, create_private, random_array, read_private};

/// Where the gateway's certificate comes from.
#[derive(Clone)]
pub struct Tls {
    ca_pem: Option<String>,
    source: Arc<Source>,
}

#[allow(clippy::large_enum_variant)] // a gateway has one
enum Source {
    Given(Arc<ServerConfig>),
    Own {
        authority: Authority,
        names: Vec<String>,
        current: Mutex<(Instant, Arc<ServerConfig>)>,
    },
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Tls {
    /// A CA in `directory` (`ca.key` and `ca.crt`, mode 0600, made if they are not there), and a fresh
    /// server certificate for `names` (host names and addresses) on every start and every 30 days.
    ///
    /// # Errors
    /// [`TlsError`]: a file cannot be read, written or used, or a name is none.
    pub fn own_ca(directory: &Path, names: &[String]) -> Result<Self, TlsError> {
        for name in names {
            ServerName::try_from(name.as_str()).map_err(|_| TlsError::Name(name.clone()))?;
        }
        std::fs::create_dir_all(directory).map_err(|source| TlsError::Directory {
            path: directory.into(),
            source,
        })?;
        let key_path = directory.join("ca.key");
        let certificate_path = directory.join("ca.crt");
        let key = read_or_create(&key_path, || {
            Ok(KeyPair::generate()
                .map_err(TlsError::Certificate)?
                .serialize_pem())
        })?;
        let broken = |path: &Path| TlsError::Unusable { path: path.into() };
        let key = KeyPair::from_pem(&key).map_err(|_| broken(&key_path))?;
        let params = ca_params(&key);
        let ca_pem = read_or_create(&certificate_path, || {
            let certificate = params.self_signed(&key);
            Ok(certificate.map_err(TlsError::Certificate)?.pem())
        })?;
        let certificate = CertificateDer::from_pem_slice(ca_pem.as_bytes())
            .map_err(|_| broken(&certificate_path))?;
        let authority = Authority {
            issuer: Issuer::new(params, key),
            certificate,
        };
        let config = authority.issue(names)?;
        // A CA certificate that does not go with the key would only show when clients refuse it.
        authority
            .check(&config.1)
            .map_err(|()| broken(&certificate_path))?;
        let source = Source::Own {
            authority,
            names: names.to_vec(),
            current: Mutex::new((Instant::now(), config.0)),
        };
        Ok(Self {
            ca_pem: Some(ca_pem.to_string()),
            source: Arc::new(source),
        })
    }

    /// A certificate chain and its private key, PEM; the leaf comes first.
    ///
    /// # Errors
    /// [`TlsError::Pem`], [`TlsError::Config`].
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificates).collect();
        let chain = chain.map_err(|_| TlsError::Pem("certificate"))?;
        if chain.is_empty() {
            return Err(TlsError::Pem("certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| TlsError::Pem("private key"))?;
        Ok(Self {
            ca_pem: None,
            source: Arc::new(Source::Given(server_config(chain, key)?)),
        })
    }

    /// The same from two files; the key's must be nobody else's to read.
    ///
    /// # Errors
    /// As [`Tls::from_pem`], and [`TlsError::File`].
    pub fn from_files(certificates: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = std::fs::read(certificates).map_err(|source| TlsError::Directory {
            path: certificates.into(),
            source,
        })?;
        Self::from_pem(&read, &read_private(key)?)
    }

    /// The CA's certificate, PEM, for kubeconfigs; none if the certificate was given.
    #[must_use]
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// What to accept the next connection with.
    pub(super) fn server_config(&self) -> Arc<ServerConfig> {
        match &*self.source {
            Source::Given(config) => config.clone(),
            Source::Own {
                authority,
                names,
                current,
            } => {
                let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
                if current.0.elapsed() >= RENEWED_AFTER {
                    match authority.issue(names) {
                        Ok((config, _)) => *current = (Instant::now(), config),
                        Err(error) => {
                            tracing::error!(%error, "the server certificate was not renewed");
                        }
                    }
                }
                current.1.clone()
            }
        }
    }
}

impl Authority {
    /// A fresh key with a certificate.
    fn issue(
        &self,
        names: &[String],
    ) -> Result<(Arc<ServerConfig>, CertificateDer<'static>), TlsError> {
        let key = KeyPair::generate().map_err(TlsError::Certificate)?;
        let mut params = CertificateParams::new(names).map_err(TlsError::Certificate)?;
        params.distinguished_name = common_name("daas-gateway");
        let now = SystemTime::now();
        params.not_before = (now - CLOCK_ALLOWANCE).into();
        params.not_after = (now + SERVER_LIFETIME).into();
        params.serial_number = Some(SerialNumber::from_slice(&random_array::<16>()));
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let leaf = params
            .signed_by(&key, &self.issuer)
            .map_err(TlsError::Certificate)?;
        let leaf = leaf.der().clone();
        let chain = vec![leaf.clone(), self.certificate.clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der());
        let key = key.map_err(|_| TlsError::Pem("private key"))?;
        Ok((server_config(chain, key)?, leaf))
    }

    /// Whether the CA's certificate is the one that its clients will verify `leaf` with.
    fn check(&self, leaf: &CertificateDer<'_>) -> Result<(), ()> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(|_| ())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let parsed = rustls::server::ParsedCertificate::try_from(leaf).map_err(|_| ())?;
        rustls::client::verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &roots,
            &[],
            rustls::pki_types::UnixTime::now(),
            algorithms.all,
        )
        .map_err(|_| ())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &*self.source {
            Source::Given(_) => "given",
            Source::Own { .. } => "own CA",
        };
        f.debug_struct("Tls").field("source", &source).finish()
    }
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A directory cannot be made or a file not read.
    #[error("cannot use {}", .path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// A key's file.
    #[error(transparent)]
    File(#[from] PrivateFileError),
    /// A file of the CA is not what this made; it is left alone.
    #[error("{} is no key or certificate of this gateway's CA; move both files of it away to have a new one made", .path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
    },
    /// What was given is no PEM of its kind.
    #[error("the {0} is not PEM")]
    Pem(&'static str),
    /// Neither a host name nor an address.
    #[error("{0:?} is no name or address for a certificate")]
    Name(String),
    /// A certificate could not be made.
    #[error("no certificate could be made")]
    Certificate(#[source] rcgen::Error),
    /// Certificate and key do not go together.
    #[error("the certificate cannot be used")]
    Config(#[source] rustls::Error),
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key))
        .map_err(TlsError::Config)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Always the same for the same key, so that the issuer is the same after a restart.
fn ca_params(key: &KeyPair) -> CertificateParams {
    let mut params = CertificateParams::default();
    let id = hex::encode(&crate::crypto::sha256(&[key.public_key_raw()])[..4]);
    params.distinguished_name = common_name(&format!("k3s-daas gateway CA {id}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let now = SystemTime::now();
    params.not_before = (now - CLOCK_ALLOWANCE).into();
    params.not_after = (now + CA_LIFETIME).into();
    params
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

/// What is in a private file, which of several processes that start at once only one makes.
fn read_or_create(
    path: &Path,
    make: impl FnOnce() -> Result<String, TlsError>,
) -> Result<zeroize::Zeroizing<String>, TlsError> {
    match read_private(path) {
        Err(error) if error.is_not_found() => {
            create_private(path, make()?.as_bytes())?;
        }
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let bytes = read_private(path)?;
    let text = std::str::from_utf8(&bytes).map_err(|_| TlsError::Unusable { path: path.into() })?;
    Ok(zeroize::Zeroizing::new(text.to_owned()))
}

/// Clocks of clients may be a little behind.
const CLOCK_ALLOWANCE: Duration = Duration::from_hours(1);
const CA_LIFETIME: Duration = Duration::from_hours(10 * 365 * 24);
const SERVER_LIFETIME: Duration = Duration::from_hours(90 * 24);
const RENEWED_AFTER: Duration = Duration::from_hours(30 * 24);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        vec!["localhost".into(), "127.0.0.1".into()]
    }

    #[test]
    fn the_ca_is_made_once_and_private() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tls");
        let first = Tls::own_ca(&path, &names()).unwrap();
        let second = Tls::own_ca(&path, &names()).unwrap();
        assert!(first.ca_pem().unwrap().contains("BEGIN CERTIFICATE"));
        assert_eq!(first.ca_pem(), second.ca_pem());
        #[cfg(unix)]
        for name in ["ca.key", "ca.crt"] {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(path.join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 2);
        assert!(!format!("{first:?}").contains("PRIVATE"));
    }

    #[test]
    fn what_is_not_ours_is_refused_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let (one, other) = (directory.path().join("one"), directory.path().join("other"));
        Tls::own_ca(&one, &names()).unwrap();
        Tls::own_ca(&other, &names()).unwrap();
        std::fs::copy(other.join("ca.crt"), one.join("ca.crt")).unwrap();
        let refused = Tls::own_ca(&one, &names()).unwrap_err();
        assert!(
            matches!(&refused, TlsError::Unusable { path } if path.ends_with("ca.crt")),
            "{refused}"
        );
        std::fs::write(one.join("ca.key"), "garbage").unwrap();
        let refused = Tls::own_ca(&one, &names()).unwrap_err();
        assert!(
            matches!(&refused, TlsError::Unusable { path } if path.ends_with("ca.key")),
            "{refused}"
        );
        assert_eq!(std::fs::read(one.join("ca.key")).unwrap(), b"garbage");
        for name in ["not a name\n", "", "a..b", "https://a"] {
            let refused = Tls::own_ca(&other, &[name.into()]);
            assert!(matches!(refused, Err(TlsError::Name(_))), "{name:?}");
        }
    }

    #[test]
    fn given_certificates_must_go_with_their_key() {
        let made = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
        };
        let (certificate, key) = made("a.example");
        let (_, other_key) = made("a.example");
        assert!(Tls::from_pem(certificate.as_bytes(), key.as_bytes()).is_ok());
        for (certificate, key) in [
            (certificate.as_str(), other_key.as_str()),
            ("", key.as_str()),
            (certificate.as_str(), ""),
            ("garbage", "garbage"),
        ] {
            assert!(Tls::from_pem(certificate.as_bytes(), key.as_bytes()).is_err());
        }
    }
}
