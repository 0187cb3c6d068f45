//! TLS, with a certificate that is made here.

use std::sync::Arc;
use std::time::Duration;

use das_serve::server::tls;

use crate::http::Listening;

#[test]
fn requests_are_answered_over_tls_and_not_without() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let pair = (certificate.clone(), key.clone());
    let service = Listening::start(|config| config.tls = Some(pair));
    let root = ureq::tls::Certificate::from_pem(&std::fs::read(&certificate).unwrap()).unwrap();
    let roots = ureq::tls::RootCerts::Specific(Arc::new(vec![root]));
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .tls_config(ureq::tls::TlsConfig::builder().root_certs(roots).build())
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into();
    let url = format!("https://localhost:{}/livez", service.address.port());
    assert_eq!(agent.get(url).call().unwrap().body_mut().read_to_string().unwrap(), "ok\n");
    assert!(ureq::get(service.url("/livez")).call().is_err());

    // The key of somebody else, and no key at all.
    let other = rcgen::generate_simple_self_signed(["localhost".to_string()]).unwrap();
    std::fs::write(&key, other.signing_key.serialize_pem()).unwrap();
    let message = |result: das_serve::Result<_>| result.map(drop).unwrap_err().to_string();
    assert!(message(tls(&certificate, &key)).contains("key.pem"));
    std::fs::write(&key, "nothing").unwrap();
    assert!(message(tls(&certificate, &key)).contains("key.pem"));
    assert!(message(tls(&key, &key)).contains("key.pem: expected at least one certificate"));
}
