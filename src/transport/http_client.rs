//! [`Transport`] over reqwest.

use super::{MAX_BODY_BYTES, Transport, TransportError};
use crate::seams::BoxFuture;
use bytes::{Bytes, BytesMut};
use std::error::Error as _;
use std::time::Duration;

/// A pooled HTTP/1.1 client: keeps connections alive, checks certificates against the system's roots.
#[derive(Debug, Clone)]
pub struct HttpClient {
    client: reqwest::Client,
    has_certificates: bool,
}

impl HttpClient {
    /// How long a connection may take to stand, TLS included.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

    /// A client with an empty pool. A machine without CA certificates gets one that can speak plain HTTP (to the
    /// built-in meeting service) and refuses every other server's certificate.
    ///
    /// # Errors
    /// When the TLS library cannot be set up.
    pub fn new() -> Result<Self, anyhow::Error> {
        // Process-wide; a second call finds it set, which is just as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        if let Ok(client) = Self::builder().build() {
            return Ok(Self { client, has_certificates: true });
        }
        let client = Self::builder().tls_certs_only([]).build()?;
        Ok(Self { client, has_certificates: false })
    }

    /// The system has CA certificates, so that servers elsewhere can be trusted over HTTPS.
    pub fn has_certificates(&self) -> bool {
        self.has_certificates
    }

    fn builder() -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .connect_timeout(Self::CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_idle_timeout(Duration::from_secs(60))
            .tcp_nodelay(true)
            .user_agent(concat!("convened/", env!("CARGO_PKG_VERSION")))
    }
}

impl Transport for HttpClient {
    fn send(
        &self,
        request: http::Request<Bytes>,
        timeout: Duration,
    ) -> BoxFuture<'_, Result<http::Response<Bytes>, TransportError>> {
        Box::pin(async move {
            let mut request = reqwest::Request::try_from(request.map(reqwest::Body::from))
                .map_err(|e| TransportError::NotSent(describe(e)))?;
            *request.timeout_mut() = Some(timeout);
            let mut response = self.client.execute(request).await.map_err(|e| {
                if e.is_connect() || e.is_builder() {
                    TransportError::NotSent(describe(e))
                } else {
                    TransportError::AnswerLost(describe(e))
                }
            })?;
            let mut body = BytesMut::new();
            while let Some(chunk) =
                response.chunk().await.map_err(|e| TransportError::AnswerLost(describe(e)))?
            {
                if body.len() + chunk.len() > MAX_BODY_BYTES {
                    return Err(TransportError::AnswerLost(format!(
                        "the answer exceeds {MAX_BODY_BYTES} bytes"
                    )));
                }
                body.extend_from_slice(&chunk);
            }
            let mut answer = http::Response::new(body.freeze());
            *answer.status_mut() = response.status();
            *answer.headers_mut() = std::mem::take(response.headers_mut());
            Ok(answer)
        })
    }
}

/// The error with its causes, without the URL (it may carry a secret).
fn describe(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return "timed out".to_owned();
    }
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
