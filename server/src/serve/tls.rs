//! The server's TLS identity: one key whose pin clients remember, and the certificate around it.
//!
//! Owns where the key comes from (files, credentials, or made once in the data directory) and the
//! resolver through which a renewed certificate is taken up while the server runs. Never prints or
//! hands out the key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use mathia_protocol::crypto::hash::sha256;
use mathia_protocol::id::Hash;
use mathia_protocol::limits::ALPN;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

/// The key that the server makes for itself, inside the data directory.
const OWN_KEY_FILE: &str = "tls.key";
/// Resumption tickets for a client per login: it needs one.
const TICKETS: usize = 1;

/// Where key and certificate come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TlsSource {
    /// PEM files, as an ACME client with key reuse leaves them, or systemd credentials.
    Files {
        /// The certificate chain.
        certificate: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// A key made once, kept with mode 0600; the certificate around it is made at each start.
    Own {
        /// The data directory.
        data_dir: PathBuf,
    },
}

impl TlsSource {
    /// Chooses: configured files first, then `tls.crt` and `tls.key` among the service's
    /// credentials, then a key of the server's own.
    pub fn choose(
        configured: Option<(PathBuf, PathBuf)>,
        credentials: Option<&Path>,
        data_dir: &Path,
    ) -> Self {
        if let Some((certificate, key)) = configured {
            return Self::Files { certificate, key };
        }
        let credentials = credentials.map(|dir| (dir.join("tls.crt"), dir.join("tls.key")));
        match credentials.filter(|(certificate, key)| certificate.is_file() && key.is_file()) {
            Some((certificate, key)) => Self::Files { certificate, key },
            None => Self::Own { data_dir: data_dir.to_owned() },
        }
    }
}

/// Why there is no TLS identity. Retrying helps after the file was mended.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("cannot use the TLS file {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file holds no certificate or no key in PEM form.
    #[error("the TLS file {path} holds no {wanted}")]
    Pem {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// Key and certificate do not belong together, or are of a kind that is not supported.
    #[error("the TLS key or certificate cannot be used")]
    Rejected(#[from] rustls::Error),
    /// A certificate around the server's own key could not be made.
    #[error("cannot make a certificate for the server's own key")]
    Made(#[from] rcgen::Error),
}

/// The identity in use. Shared; a renewed certificate replaces the older one for new connections.
#[derive(Debug)]
pub struct Certificates {
    source: TlsSource,
    current: RwLock<Identity>,
}

#[derive(Debug, Clone)]
struct Identity {
    key: Arc<CertifiedKey>,
    pin: Hash,
}

impl Certificates {
    /// Loads the identity, or makes one on first use.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; a file that is there is never overwritten.
    pub fn load(source: TlsSource) -> Result<Self, TlsError> {
        let current = RwLock::new(Identity::load(&source)?);
        Ok(Self { source, current })
    }

    /// Reads the files again, for an operator who has renewed them. On an error the old one stays.
    ///
    /// # Errors
    ///
    /// [`TlsError`].
    pub fn reload(&self) -> Result<(), TlsError> {
        let renewed = Identity::load(&self.source)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = renewed;
        Ok(())
    }

    /// SHA-256 of the public key (`SubjectPublicKeyInfo`): what clients pin (CRYPTO B8).
    pub fn pin(&self) -> Hash {
        self.current().pin
    }

    /// TLS 1.3 only, our application protocol only, tickets but no early data (CRYPTO B7).
    pub(super) fn server_config(self: Arc<Self>) -> Result<rustls::ServerConfig, TlsError> {
        let mut config = rustls::ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .with_no_client_auth()
            .with_cert_resolver(self);
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.max_early_data_size = 0;
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.send_tls13_tickets = TICKETS;
        Ok(config)
    }

    fn current(&self) -> Identity {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current().key)
    }
}

impl Identity {
    fn load(source: &TlsSource) -> Result<Self, TlsError> {
        let (chain, key) = match source {
            TlsSource::Files { certificate, key } => {
                (read_certificates(certificate)?, read_key(key)?)
            }
            TlsSource::Own { data_dir } => own_identity(&data_dir.join(OWN_KEY_FILE))?,
        };
        let key = CertifiedKey::from_der(chain, key, &provider())?;
        let spki = key.key.public_key().ok_or_else(|| {
            rustls::Error::General("the kind of key does not tell its public half".into())
        })?;
        let pin = sha256(&[&spki]);
        Ok(Self { key: Arc::new(key), pin })
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

fn own_identity(
    path: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    if !path.exists() {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        write_once(path, Zeroizing::new(pair.serialize_pem()).as_bytes())
            .map_err(|source| TlsError::File { path: path.to_owned(), source })?;
    }
    let pem = read(path)?;
    let text = std::str::from_utf8(&pem).map_err(|_| no_key(path))?;
    let pair = rcgen::KeyPair::from_pem(text)?;
    // The names say nothing: clients pin the key. The default validity outlives everybody.
    let params = rcgen::CertificateParams::new(vec!["mathia".to_owned()])?;
    let certificate = params.self_signed(&pair)?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| no_key(path))?;
    Ok((vec![certificate.der().clone()], key))
}

/// Writes a secret file whole or not at all, with mode 0600, durably.
fn write_once(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("key.new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    fs::read(path)
        .map(Zeroizing::new)
        .map_err(|source| TlsError::File { path: path.to_owned(), source })
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = read(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let wanted = "certificate in PEM form";
    chain
        .ok()
        .filter(|chain| !chain.is_empty())
        .ok_or_else(|| TlsError::Pem { path: path.to_owned(), wanted })
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|_| no_key(path))
}

fn no_key(path: &Path) -> TlsError {
    TlsError::Pem { path: path.to_owned(), wanted: "private key in PEM form" }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_own_key_is_made_once_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let source = TlsSource::choose(None, None, dir.path());
        let first = Certificates::load(source.clone()).unwrap();
        let again = Certificates::load(source).unwrap();
        assert_eq!(first.pin(), again.pin());
        let mode = fs::metadata(dir.path().join(OWN_KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_pin_is_the_hash_of_the_public_key_in_the_certificate() {
        let dir = tempfile::tempdir().unwrap();
        let certificates = Certificates::load(TlsSource::choose(None, None, dir.path())).unwrap();
        let identity = certificates.current();
        let spki = identity.key.key.public_key().unwrap();
        let certificate = identity.key.end_entity_cert().unwrap();
        assert!(certificate.windows(spki.len()).any(|window| window == &*spki));
        assert_eq!(certificates.pin(), sha256(&[&spki]));
    }

    #[test]
    fn credentials_are_used_when_both_are_there_and_a_renewed_certificate_keeps_the_pin() {
        let dir = tempfile::tempdir().unwrap();
        let pair = rcgen::KeyPair::generate().unwrap();
        fs::write(dir.path().join("tls.key"), pair.serialize_pem()).unwrap();
        let own = TlsSource::choose(None, Some(dir.path()), dir.path());
        assert!(matches!(own, TlsSource::Own { .. }));
        let renew = |name: &str| {
            let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
            let pem = params.self_signed(&pair).unwrap().pem();
            fs::write(dir.path().join("tls.crt"), pem).unwrap();
        };
        renew("one.example");
        let source = TlsSource::choose(None, Some(dir.path()), dir.path());
        let certificates = Certificates::load(source).unwrap();
        let (pin, old) = (certificates.pin(), certificates.current().key);
        renew("two.example");
        certificates.reload().unwrap();
        assert_eq!(certificates.pin(), pin);
        assert_ne!(certificates.current().key.cert, old.cert);

        fs::write(dir.path().join("tls.crt"), "nonsense").unwrap();
        assert!(matches!(certificates.reload(), Err(TlsError::Pem { .. })));
        assert_eq!(certificates.pin(), pin, "a bad renewal changes nothing");
    }
}
