//! How the answer to a login comes: a browser on this machine knocks at a door, or somebody pastes where it was led to.

use super::say;
use crate::auth::login::{AnswerError, Attempt, Code};
use crate::cli::exit;
use anyhow::Context as _;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{Html, IntoResponse as _, Response};
use std::io::BufRead as _;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use url::{Host, Url};

/// Somebody who has not consented by then has gone.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// How long the browser may take to read that all is well.
const FAREWELL: Duration = Duration::from_secs(2);

/// Where a browser on this machine is led.
pub(super) struct Door {
    listener: TcpListener,
    /// As the browser knows it.
    pub(super) url: String,
    path: String,
}

impl Door {
    /// Listens on `redirect_url`, if that is on this machine; `None` if it is not.
    pub(super) async fn open(redirect_url: &str) -> anyhow::Result<Option<Self>> {
        let parsed = Url::parse(redirect_url)
            .map_err(|_| exit::Usage(format!("--redirect-url {redirect_url:?} is not a URL")))?;
        let address = match parsed.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain("localhost")) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            _ => return Ok(None),
        };
        if parsed.scheme() != "http" || !address.is_loopback() {
            return Ok(None);
        }
        let port = parsed.port_or_known_default().unwrap_or(80);
        let listener = TcpListener::bind((address, port)).await.with_context(|| {
            format!("cannot listen on {redirect_url}: is its port taken? --redirect-url takes another, --paste none")
        })?;
        let mut url = redirect_url.to_owned();
        if port == 0 {
            // Not by printing the parsed URL: services compare theirs letter by letter.
            url = url.replacen(":0", &format!(":{}", listener.local_addr()?.port()), 1);
        }
        Ok(Some(Self { listener, url, path: parsed.path().to_owned() }))
    }
}

#[derive(Clone)]
struct Doorkeeper {
    attempt: Arc<Attempt>,
    path: String,
    answers: mpsc::Sender<Result<Code, AnswerError>>,
}

async fn knock(State(keeper): State<Doorkeeper>, uri: Uri) -> Response {
    if uri.path() != keeper.path {
        return StatusCode::NOT_FOUND.into_response();
    }
    let (status, text) = match keeper.attempt.read_answer(&format!("?{}", uri.query().unwrap_or_default())) {
        Ok(code) => {
            let _ = keeper.answers.send(Ok(code)).await;
            (StatusCode::OK, "Thank you. You can close this page: the terminal tells how it went on.")
        }
        Err(error @ AnswerError::Denied(_)) => {
            let _ = keeper.answers.send(Err(error)).await;
            (StatusCode::OK, "Consent was denied. You can close this page.")
        }
        // Anybody could have sent that: it ends nothing.
        Err(AnswerError::OtherState | AnswerError::NoAnswer) => {
            (StatusCode::BAD_REQUEST, "This is not the answer to the login that is under way.")
        }
    };
    let headers = [(header::CACHE_CONTROL, "no-store"), (header::REFERRER_POLICY, "no-referrer")];
    (status, headers, Html(format!("<!doctype html><title>convened</title><p>{text}</p>"))).into_response()
}

/// Waits for the code, from the door and from whoever pastes. Gives the attempt back.
pub(super) async fn wait(attempt: Arc<Attempt>, door: Option<Door>) -> anyhow::Result<(Arc<Attempt>, Code)> {
    let (knocks, mut answers) = mpsc::channel(1);
    let (close, closed) = oneshot::channel::<()>();
    let has_door = door.is_some();
    let served = door.map(|door| {
        let keeper = Doorkeeper { attempt: attempt.clone(), path: door.path, answers: knocks.clone() };
        let router = axum::Router::new().fallback(knock).with_state(keeper);
        let closed = async move { closed.await.unwrap_or_default() };
        tokio::spawn(async move { axum::serve(door.listener, router).with_graceful_shutdown(closed).await })
    });
    let mut lines = Some(pasted_lines());
    let deadline = tokio::time::sleep(PATIENCE);
    tokio::pin!(deadline);
    let code = loop {
        let line = async {
            match &mut lines {
                Some(lines) => lines.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(answer) = answers.recv() => break answer,
            line = line => match line.map(|line| attempt.read_answer(&line)) {
                Some(Err(error @ (AnswerError::NoAnswer | AnswerError::OtherState))) => say(&error.to_string()),
                Some(answer) => break answer,
                // Nobody can paste anything.
                None if has_door => lines = None,
                None => anyhow::bail!("no answer was pasted"),
            },
            () = &mut deadline => anyhow::bail!("nobody consented within {} minutes", PATIENCE.as_secs() / 60),
        }
    };
    // The browser is to read that all is well before we are gone.
    let _ = close.send(());
    if let Some(served) = served {
        let _ = tokio::time::timeout(FAREWELL, served).await;
    }
    match code {
        Ok(code) => Ok((attempt, code)),
        Err(error) => Err(exit::Denied(error.to_string()).into()),
    }
}

/// Lines from standard input, as they come. The thread that reads them ends with the process.
fn pasted_lines() -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if !line.trim().is_empty() && send.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}
