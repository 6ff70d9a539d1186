//! Driver for the meeting service, built in or remote.
