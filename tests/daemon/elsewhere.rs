//! A meeting service that outlives the daemon, for tests that stand at its door.

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, Uri};
use axum::response::{IntoResponse as _, Response};
use convened::meeting_service::{MeetingService, ServiceSettings};
use convened::seams::{SystemClock, SystemEntropy};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;
use tower::ServiceExt as _;

/// The service, with its file in `folder`, and the port that its links lead to, on which nobody answers yet.
pub(crate) async fn open(folder: &Path) -> (MeetingService, TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let path = folder.join(MeetingService::FILE_NAME);
    let settings = ServiceSettings::new(format!("http://{address}"));
    let service =
        MeetingService::open(&path, Arc::new(SystemClock), Arc::new(SystemEntropy), settings).unwrap();
    (service, listener, address)
}

/// Passes a request on to the service.
pub(crate) async fn pass_on(
    service: &MeetingService,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut request = Request::builder().method(method).uri(uri).body(Body::from(body)).unwrap();
    *request.headers_mut() = headers;
    service.router().oneshot(request).await.into_response()
}
