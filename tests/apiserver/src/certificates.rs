//! A certificate authority of the server's own, and the certificate that it signs.

use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::{Error, Result};

/// What a server with TLS has.
pub(crate) struct Identity {
    /// What clients need to trust.
    pub ca_pem: String,
    /// What the server needs.
    pub config: Arc<ServerConfig>,
}

impl Identity {
    /// For a server at this address, which speaks these protocols.
    pub(crate) fn new(address: IpAddr, alpn: &[String]) -> Result<Self> {
        let (ca_pem, mut config) = make(address)?;
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.clone().into_bytes()).collect();
        Ok(Self { ca_pem, config: Arc::new(config) })
    }
}

fn make(address: IpAddr) -> Result<(String, ServerConfig)> {
    let failed = |e: rcgen::Error| Error::Certificates(e.to_string());
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    authority.distinguished_name.push(DnType::CommonName, "kubernetes");
    let authority =
        CertifiedIssuer::self_signed(authority, KeyPair::generate().map_err(failed)?).map_err(failed)?;

    let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
    let names = names.into_iter().map(str::to_owned).chain([address.to_string()]);
    let mut server = CertificateParams::new(names.collect::<Vec<_>>()).map_err(failed)?;
    server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate().map_err(failed)?;
    let certificate = server.signed_by(&key, &authority).map_err(failed)?;

    let refused = |e: tokio_rustls::rustls::Error| Error::Certificates(e.to_string());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(refused)?
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        )
        .map_err(refused)?;
    Ok((authority.pem(), config))
}
