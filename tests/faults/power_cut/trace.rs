//! What a process did to files, and what it said to others, in the order in which it did: from a log of strace.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What matters of a system call.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// A folder was made.
    MakeFolder(PathBuf),
    /// A file was opened that may have been made by it.
    MayMakeFile(PathBuf),
    /// A file's name was removed.
    Remove(PathBuf),
    /// Bytes were written at an offset.
    Write { path: PathBuf, at: u64, bytes: Vec<u8> },
    /// A file was given another length.
    Truncate { path: PathBuf, length: u64 },
    /// A file's content, or a folder's names, are on disk. Noted when the call came back.
    Synced(PathBuf),
    /// Bytes left for a socket or the log. Noted when the call began.
    Sent(Vec<u8>),
}

/// `command` under strace, which writes its log to `log`.
pub(super) fn traced(command: &Command, log: &Path) -> Command {
    let mut traced = Command::new("strace");
    traced.args(["-f", "--seccomp-bpf", "-qq", "-y", "-xx", "-s", "200000", "-o"]).arg(log).args([
        "-e",
        "trace=mkdir,mkdirat,openat,pwrite64,write,writev,sendto,sendmsg,ftruncate,fsync,fdatasync,unlink,unlinkat",
        "-e",
        "signal=none",
    ]);
    traced.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    traced
}

/// The events in a log.
pub(super) fn events(log: &str) -> Vec<Event> {
    // Calls that had not come back when another thread's was noted, by thread.
    let mut unfinished: HashMap<&str, String> = HashMap::new();
    let mut events = Vec::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            events.extend(begins(begun));
            unfinished.insert(thread, begun.to_owned());
        } else if rest.starts_with("<... ") {
            let begun = unfinished.remove(thread).unwrap_or_default();
            let ending = rest.split_once(" resumed>").map_or("", |(_, ending)| ending);
            events.extend(ends(&format!("{begun}{ending}")));
        } else {
            events.extend(begins(rest));
            events.extend(ends(rest));
        }
    }
    events
}

/// What is noted when a call begins: it may have an effect from then on.
fn begins(call: &str) -> Option<Event> {
    let (name, arguments) = call.split_once('(')?;
    match name {
        "pwrite64" => {
            let at = last_number(arguments)?;
            Some(Event::Write { path: file(arguments)?, at, bytes: strings(arguments) })
        }
        "ftruncate" => Some(Event::Truncate { path: file(arguments)?, length: last_number(arguments)? }),
        "write" | "writev" | "sendto" | "sendmsg" => {
            let is_outside = descriptor(arguments)?.starts_with("socket:") || arguments.starts_with("2<");
            is_outside.then(|| Event::Sent(strings(arguments)))
        }
        _ => None,
    }
}

/// What is noted when a call has come back well.
fn ends(call: &str) -> Option<Event> {
    let (name, arguments) = call.split_once('(')?;
    // Short calls are filled up with spaces, so that the outcomes stand in a column.
    let (arguments, outcome) = arguments.rsplit_once(" = ")?;
    if outcome.starts_with('-') {
        return None;
    }
    let named = || Some(PathBuf::from(String::from_utf8(strings(arguments)).ok()?));
    match name {
        "fsync" | "fdatasync" => Some(Event::Synced(file(arguments)?)),
        "mkdir" | "mkdirat" => Some(Event::MakeFolder(named()?)),
        "unlink" | "unlinkat" => Some(Event::Remove(named()?)),
        "openat" if arguments.contains("O_CREAT") => Some(Event::MayMakeFile(named()?)),
        _ => None,
    }
}

/// What the file descriptor with which the arguments begin stands for.
fn descriptor(arguments: &str) -> Option<String> {
    let (_, rest) = arguments.split_once('<')?;
    let (name, _) = rest.split_once('>')?;
    if name.starts_with("\\x") { String::from_utf8(unescape(name)).ok() } else { Some(name.to_owned()) }
}

/// The file of that descriptor.
fn file(arguments: &str) -> Option<PathBuf> {
    descriptor(arguments).filter(|name| name.starts_with('/')).map(PathBuf::from)
}

/// The last argument, a number.
fn last_number(arguments: &str) -> Option<u64> {
    let arguments = arguments.rsplit_once(" = ").map_or(arguments, |(arguments, _)| arguments);
    arguments.rsplit(", ").next()?.trim_end().trim_end_matches(')').parse().ok()
}

/// All strings in the arguments, one after the other.
fn strings(arguments: &str) -> Vec<u8> {
    arguments.split('"').skip(1).step_by(2).flat_map(unescape).collect()
}

fn unescape(text: &str) -> Vec<u8> {
    text.split("\\x").skip(1).filter_map(|digits| u8::from_str_radix(digits.get(..2)?, 16).ok()).collect()
}
