//! The smallest meeting service that a driver can talk to: HTTP/1.1 with keep-alive, rooms in memory, in a process of its
//! own. It counts, so that a run that lost or doubled a room cannot pass for a fast one.

use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[derive(Default)]
struct Rooms {
    open: HashMap<String, bool>,
    titles: HashMap<String, u32>,
    order: Vec<String>,
    /// Rooms made after the start that their title tells.
    late: u64,
    requests: u64,
    refused: u64,
    lateness_us: Vec<u64>,
    /// Rooms made before the deadline that their title tells.
    early: u64,
    /// Most requests in any second, once set: more are answered 429.
    limit: Option<u32>,
    second: Option<(Instant, u32)>,
}

/// Serves until the process is killed. Prints its address on the first line.
pub(super) fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let rooms = Rc::new(RefCell::new(Rooms::default()));
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let rooms = rooms.clone();
            tokio::task::spawn_local(async move {
                // A client that goes away ends its connection, nothing else.
                let _ = serve(stream, &rooms).await;
            });
        }
    });
}

async fn serve(mut stream: TcpStream, rooms: &RefCell<Rooms>) -> std::io::Result<()> {
    let mut buffer = Vec::with_capacity(16 * 1024);
    let mut answer = Vec::with_capacity(1024);
    loop {
        let Some((head, length)) = request_in(&buffer) else {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        };
        if buffer.len() < head + length {
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
            continue;
        }
        let text = String::from_utf8_lossy(&buffer[..head]).into_owned();
        let body = buffer[head..head + length].to_vec();
        buffer.drain(..head + length);
        let mut words = text.split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let (status, data) = rooms.borrow_mut().answer(method, path, &body);
        let body = data.to_string();
        let retry = if status == 429 { "retry-after: 1\r\n" } else { "" };
        answer.clear();
        answer.extend_from_slice(
            format!("HTTP/1.1 {status} x\r\n{retry}content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len())
                .as_bytes(),
        );
        stream.write_all(&answer).await?;
    }
}

/// Where the body begins and how long it is, once the whole head is there.
fn request_in(buffer: &[u8]) -> Option<(usize, usize)> {
    let head = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&buffer[..head]).ok()?.to_ascii_lowercase();
    let length =
        text.split("content-length:").nth(1).and_then(|rest| rest.split("\r\n").next()?.trim().parse().ok());
    Some((head, length.unwrap_or(0)))
}

impl Rooms {
    fn answer(&mut self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        match (method, path) {
            ("GET", "/stats") => return (200, self.stats()),
            ("POST", "/reset") => {
                let limit = serde_json::from_slice::<Value>(body).ok().and_then(|v| v["limit"].as_u64());
                *self = Self { limit: limit.and_then(|limit| limit.try_into().ok()), ..Self::default() };
                return (200, json!({}));
            }
            _ => {}
        }
        self.requests += 1;
        if self.is_over_limit() {
            self.refused += 1;
            return (429, json!({ "code": 429, "msg": "too many requests" }));
        }
        let rest = path.split("/ext/rooms").nth(1).unwrap_or_default();
        let data = match (method, rest.trim_start_matches('/').split_once('/')) {
            ("POST", None) if rest.is_empty() => self.create(body),
            ("POST", Some((id, "close"))) => {
                self.open.insert(id.to_owned(), false);
                json!({ "isOpen": false })
            }
            _ => {
                let id = rest.trim_start_matches('/');
                match self.open.get(id) {
                    Some(is_open) => room(id, *is_open),
                    None => return (404, json!({ "code": 20_404_100, "msg": "no such room" })),
                }
            }
        };
        (200, json!({ "code": 0, "msg": "Success", "data": data }))
    }

    fn create(&mut self, body: &[u8]) -> Value {
        let asked: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |key: &str| asked[key].as_str().unwrap_or_default().to_owned();
        let (id, title) = (text("roomUuid"), text("roomName"));
        if let Some(due_us) =
            title.strip_prefix("due ").and_then(|due| due.split(' ').next()?.parse::<u64>().ok())
        {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now_us = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
            self.early += u64::from(now_us < due_us);
            self.lateness_us.push(now_us.saturating_sub(due_us));
        }
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        self.late += u64::from(title.parse::<u128>().is_ok_and(|starts_at_ms| now_ms > starts_at_ms));
        if self.open.insert(id.clone(), true).is_none() {
            *self.titles.entry(title.clone()).or_default() += 1;
            self.order.push(title);
        }
        room(&id, true)
    }

    fn is_over_limit(&mut self) -> bool {
        let Some(limit) = self.limit else { return false };
        let now = Instant::now();
        match &mut self.second {
            Some((since, count)) if now - *since < Duration::from_secs(1) => {
                *count += 1;
                *count > limit
            }
            second => {
                *second = Some((now, 1));
                false
            }
        }
    }

    fn stats(&mut self) -> Value {
        self.lateness_us.sort_unstable();
        let at = |share: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a share of a length"
            )]
            #[expect(clippy::cast_precision_loss, reason = "far below the limit")]
            let index = (self.lateness_us.len() as f64 * share) as usize;
            self.lateness_us.get(index.min(self.lateness_us.len().saturating_sub(1))).copied()
        };
        json!({
            "requests": self.requests,
            "refused": self.refused,
            "rooms": self.open.len(),
            "open": self.open.values().filter(|is_open| **is_open).count(),
            "doubled": self.titles.values().filter(|count| **count > 1).count(),
            "early": self.early,
            "late": self.late,
            "p50_us": at(0.5),
            "p99_us": at(0.99),
            "order": if self.limit.is_some() { self.order.as_slice() } else { &[] },
        })
    }
}

fn room(id: &str, is_open: bool) -> Value {
    json!({ "roomUuid": id, "joinUrl": format!("http://127.0.0.1/m/{id}"), "isOpen": is_open, "occupancy": 0 })
}
