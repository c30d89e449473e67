//! The cluster's certificate authority, certificate and admin token.

use std::fmt;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use super::Error;

/// Who the cluster is and how its administrator proves to be one.
pub(super) struct Identity {
    pub(super) ca_pem: String,
    pub(super) admin_token: Zeroizing<String>,
    pub(super) server: Arc<ServerConfig>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

impl Identity {
    /// Made anew, kept nowhere.
    pub(super) fn ephemeral(names: &[String]) -> Result<Self, Error> {
        Material::generate(names)?.to_identity()
    }

    /// As kept in `directory`; made on the first start. A certificate for other names than
    /// `names` is renewed under the same authority.
    pub(super) fn kept(directory: &Path, names: &[String]) -> Result<Self, Error> {
        let read = |file: &str| read_private(&directory.join(file));
        let mut material = match (read(CA), read(CA_KEY), read(TOKEN)) {
            (Ok(ca), Ok(ca_key), Ok(token)) => {
                let wanted = names.join("\n");
                let kept = (read(CERTIFICATE), read(KEY), read(NAMES));
                let mut material = Material {
                    ca,
                    ca_key,
                    token,
                    ..Material::default()
                };
                match kept {
                    (Ok(certificate), Ok(key), Ok(kept_names)) if *kept_names == wanted => {
                        material.certificate = certificate;
                        material.key = key;
                    }
                    _ => {
                        material.issue(names)?;
                        material.save(directory, names)?;
                    }
                }
                material
            }
            (Err(ca), _, _) if ca.kind() == std::io::ErrorKind::NotFound => {
                let material = Material::generate(names)?;
                material.save(directory, names)?;
                material
            }
            (ca, key, token) => {
                let missing = [(CA, ca), (CA_KEY, key), (TOKEN, token)];
                for (file, outcome) in missing {
                    outcome.map_err(|source| Error::File {
                        path: directory.join(file),
                        source,
                    })?;
                }
                return Err(Error::Identity(
                    "the directory's identity is incomplete".into(),
                ));
            }
        };
        material.check(directory)?;
        match material.to_identity() {
            Ok(identity) => Ok(identity),
            // Certificate and key of the server are only what the authority can make again.
            Err(_) => {
                material.issue(names)?;
                material.save(directory, names)?;
                material.to_identity()
            }
        }
    }
}

#[derive(Default)]
struct Material {
    ca: Zeroizing<String>,
    ca_key: Zeroizing<String>,
    certificate: Zeroizing<String>,
    key: Zeroizing<String>,
    token: Zeroizing<String>,
}

impl Material {
    fn generate(names: &[String]) -> Result<Self, Error> {
        let key = KeyPair::generate().map_err(identity)?;
        let ca = authority().self_signed(&key).map_err(identity)?;
        let mut random = Zeroizing::new([0_u8; TOKEN_BYTES]);
        getrandom::fill(random.as_mut_slice()).map_err(|e| Error::Identity(e.to_string()))?;
        let mut material = Self {
            ca: Zeroizing::new(ca.pem()),
            ca_key: Zeroizing::new(key.serialize_pem()),
            token: Zeroizing::new(
                base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(random.as_slice()),
            ),
            ..Self::default()
        };
        material.issue(names)?;
        Ok(material)
    }

    fn issue(&mut self, names: &[String]) -> Result<(), Error> {
        let ca_key = KeyPair::from_pem(&self.ca_key).map_err(identity)?;
        let authority = authority();
        let issuer = Issuer::from_params(&authority, ca_key);
        let mut params = CertificateParams::new(names.to_vec()).map_err(identity)?;
        params
            .distinguished_name
            .push(DnType::CommonName, "kube-apiserver");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(identity)?;
        let certificate = params.signed_by(&key, &issuer).map_err(identity)?;
        self.certificate = Zeroizing::new(certificate.pem());
        self.key = Zeroizing::new(key.serialize_pem());
        Ok(())
    }

    fn save(&self, directory: &Path, names: &[String]) -> Result<(), Error> {
        let names = names.join("\n");
        // The authority last: its presence says that the rest is there.
        for (file, text) in [
            (CERTIFICATE, self.certificate.as_str()),
            (KEY, &self.key),
            (NAMES, &names),
            (TOKEN, &self.token),
            (CA_KEY, &self.ca_key),
            (CA, &self.ca),
        ] {
            let path = directory.join(file);
            write_private(&path, text.as_bytes()).map_err(|source| Error::File { path, source })?;
        }
        Ok(())
    }

    /// Whether what cannot be made again is whole.
    fn check(&self, directory: &Path) -> Result<(), Error> {
        let damaged = |file: &str| {
            let path = directory.join(file);
            Error::Identity(format!("{} is not what was written", path.display()))
        };
        CertificateDer::from_pem_slice(self.ca.as_bytes()).map_err(|_| damaged(CA))?;
        KeyPair::from_pem(&self.ca_key).map_err(|_| damaged(CA_KEY))?;
        let token = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(self.token.as_bytes());
        let is_token = token.is_ok_and(|bytes| Zeroizing::new(bytes).len() == TOKEN_BYTES);
        is_token.then_some(()).ok_or_else(|| damaged(TOKEN))
    }

    fn to_identity(&self) -> Result<Identity, Error> {
        let pem = |e: rustls::pki_types::pem::Error| Error::Identity(e.to_string());
        let certificate =
            CertificateDer::from_pem_slice(self.certificate.as_bytes()).map_err(pem)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(pem)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|b| {
                b.with_no_client_auth()
                    .with_single_cert(vec![certificate], key)
            })
            .map_err(|e| Error::Identity(e.to_string()))?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Identity {
            ca_pem: self.ca.to_string(),
            admin_token: self.token.clone(),
            server: Arc::new(server),
        })
    }
}

/// What the authority's certificate says, the same in every cluster but for the key.
fn authority() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, "k3s-daas memory cluster");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Creates the directory of a durable cluster, for its owner alone; one that is there stays as it is, and
/// what is put into it is private all the same.
pub(super) fn private_directory(path: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

/// Makes sure that `path` exists and is its owner's alone; what it holds stays.
pub(super) fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    close(&options.open(path)?)
}

/// Takes from others what they may do with a file that was there before, say restored from a copy.
fn close(file: &fs::File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(fs::Permissions::from_mode(0o600))?;
        }
    }
    #[cfg(not(unix))]
    let _ = file;
    Ok(())
}

fn read_private(path: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut file = fs::File::open(path)?;
    close(&file)?;
    // Room enough that it does not grow and leave copies behind.
    let mut text = Zeroizing::new(String::with_capacity(16 << 10));
    file.read_to_string(&mut text)?;
    Ok(text)
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut fresh = path.to_owned();
    fresh.as_mut_os_string().push(".new");
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&fresh)?;
    close(&file)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}

fn identity(error: rcgen::Error) -> Error {
    Error::Identity(error.to_string())
}

const TOKEN_BYTES: usize = 32;

const CA: &str = "ca.crt";
const CA_KEY: &str = "ca.key";
const CERTIFICATE: &str = "server.crt";
const KEY: &str = "server.key";
const NAMES: &str = "server.names";
const TOKEN: &str = "admin.token";
