//! The contract of [`Provider`], as one suite that every driver's tests run against a server on loopback.

use super::{Provider, ProviderError, RoomRequest, RoomSpec, Settings};
use crate::seams::{BoxFuture, Clock};
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the suite knows about the service behind the driver.
pub(crate) trait Backstage: Sync {
    /// The time over there.
    fn now(&self) -> DateTime<Utc>;

    /// How many rooms the service has, open or closed.
    fn room_count(&self) -> BoxFuture<'_, usize>;

    /// Lets people into the room; only called where the driver reports occupancy.
    fn enter<'a>(&'a self, room_id: &'a str, people: u32) -> BoxFuture<'a, ()>;

    /// What the people in the room were last shown; only called where the driver shows messages.
    fn shown<'a>(&'a self, _room_id: &'a str) -> BoxFuture<'a, Option<String>> {
        Box::pin(std::future::ready(None))
    }

    /// An id that a room could have and none has.
    fn missing_room(&self) -> &'static str {
        "ffffffffffffffffffffffffffffffff"
    }
}

/// A request for a room that starts in ten minutes and lasts half an hour.
pub(crate) fn request(marker: &str, now: DateTime<Utc>) -> RoomRequest {
    let starts_at = now + TimeDelta::minutes(10);
    let ends_at = starts_at + TimeDelta::minutes(30);
    RoomRequest {
        marker: marker.to_owned(),
        title: "Stand-up <b>&amp;</b> \"friends\"".to_owned(),
        starts_at,
        ends_at,
        closes_at: ends_at + TimeDelta::minutes(5),
        closes_at_latest: ends_at + TimeDelta::minutes(65),
        spec: Arc::new(RoomSpec {
            hosts: vec!["alice@example.com".to_owned()],
            settings: Settings { join_before_host: Some(true), ..Settings::default() },
            ..RoomSpec::default()
        }),
    }
}

/// Runs the whole contract against `provider`.
pub(crate) async fn keeps_the_contract(provider: &dyn Provider, backstage: &dyn Backstage) {
    let capabilities = provider.capabilities();
    let marker = "0123456789abcdef0123456789abcdef";
    let other = "00112233445566778899aabbccddeeff";
    let unknown = "ffffffffffffffffffffffffffffffff";
    let mut wish = request(marker, backstage.now());
    assert_eq!(provider.find(&wish).await, Ok(None), "nothing is found before anything is made");

    let rooms = backstage.room_count().await;
    let room = provider.create(&wish).await.expect("a room is made").room;
    assert!(!room.id.is_empty() && !room.join_url.is_empty());
    if capabilities.create_is_idempotent {
        let again = provider.create(&wish).await.expect("creating is repeated").room;
        assert!(again == room, "the same marker gives the same room");
    }
    assert_eq!(backstage.room_count().await, rooms + 1, "one marker, one room");
    assert!(
        provider.find(&wish).await.expect("it is found") == Some(room.clone()),
        "by its marker, as it was made"
    );
    assert_eq!(
        provider.find(&request(unknown, backstage.now())).await,
        Ok(None),
        "another marker finds nothing"
    );

    let other = provider.create(&request(other, backstage.now())).await.expect("a second room is made").room;
    assert_ne!(other.id, room.id, "another marker, another room");

    let seen = provider.look(&room.id).await.expect("it is seen");
    assert!(seen.is_open);
    if capabilities.reports_occupancy {
        assert_eq!(seen.occupancy, Some(0), "nobody is in yet, and the service knows");
        backstage.enter(&room.id, 2).await;
        assert_eq!(provider.look(&room.id).await.expect("it is seen").occupancy, Some(2));
        assert_eq!(provider.look(&other.id).await.expect("the other too").occupancy, Some(0));
    }

    if capabilities.can_announce {
        let text = "This room closes in 5 min. <b>&amp;</b>";
        provider.announce(&room.id, text).await.expect("the room is told");
        assert_eq!(backstage.shown(&room.id).await.as_deref(), Some(text), "as it was said");
        assert_eq!(backstage.shown(&other.id).await, None, "and no other room");
        assert_eq!(provider.announce(unknown, text).await, Err(ProviderError::NotFound));
    } else {
        assert!(provider.announce(&room.id, "x").await.is_err(), "what cannot be done is not said to be");
    }

    wish.ends_at += TimeDelta::minutes(20);
    wish.closes_at += TimeDelta::minutes(20);
    "Retrospective".clone_into(&mut wish.title);
    for _ in 0..2 {
        let updated = provider.update(&room.id, &wish).await.expect("it is brought in line, again and again");
        assert_eq!(updated.room.id, room.id);
    }
    assert!(provider.look(&room.id).await.expect("it is seen").is_open, "a change closes nothing");
    let missing = backstage.missing_room();
    assert_eq!(provider.update(missing, &wish).await, Err(ProviderError::NotFound));
    assert_eq!(provider.look(missing).await, Err(ProviderError::NotFound));
    assert!(matches!(provider.close(missing).await, Ok(()) | Err(ProviderError::NotFound)));
    assert_eq!(backstage.room_count().await, rooms + 2, "neither of these made a room");

    for _ in 0..2 {
        let closed = provider.close(&room.id).await;
        assert!(matches!(closed, Ok(()) | Err(ProviderError::NotFound)), "{closed:?}");
    }
    let is_seen_open = |seen| match seen {
        Ok(super::Sight { is_open, occupancy }) => is_open || occupancy != Some(0),
        Err(ProviderError::NotFound) => false,
        Err(error) => panic!("looking at a closed room: {error}"),
    };
    assert!(!is_seen_open(provider.look(&room.id).await), "closed is closed, and empty");
    assert!(provider.look(&other.id).await.expect("the other is seen").is_open, "and the other is not");
    if capabilities.create_is_idempotent {
        let _ = provider.create(&wish).await;
        assert!(!is_seen_open(provider.look(&room.id).await), "nothing opens it again");
    }
}

/// A clock that stands still.
pub(crate) struct StoppedClock(pub(crate) DateTime<Utc>);

impl Clock for StoppedClock {
    fn wall(&self) -> DateTime<Utc> {
        self.0
    }

    fn boot(&self) -> Duration {
        Duration::from_secs(1000)
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// What a server that misbehaves does once it has read a request.
#[derive(Debug, Clone)]
pub(crate) enum Misdeed {
    /// Answers with these bytes and closes the connection.
    Says(String),
    /// Never answers.
    Hangs,
}

/// Starts a server on loopback that does `misdeed` to every request. Returns its base URL.
pub(crate) async fn misbehaving_server(misdeed: Misdeed) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let misdeed = misdeed.clone();
            tokio::spawn(async move {
                read_request(&mut stream).await;
                match misdeed {
                    Misdeed::Says(answer) => {
                        let _ = stream.write_all(answer.as_bytes()).await;
                        let _ = stream.shutdown().await;
                    }
                    Misdeed::Hangs => std::future::pending().await,
                }
            });
        }
    });
    url
}

/// Reads one whole request: an answer given earlier could be lost in the reset of a connection closed too soon.
async fn read_request(stream: &mut TcpStream) -> Option<Bytes> {
    let mut request = Vec::new();
    loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
            let length =
                head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if request.len() >= end + 4 + length.unwrap_or(0usize) {
                return Some(Bytes::from(request));
            }
        }
        let mut chunk = [0; 4096];
        match stream.read(&mut chunk).await {
            Ok(count) if count > 0 => request.extend_from_slice(&chunk[..count]),
            _ => return None,
        }
    }
}
