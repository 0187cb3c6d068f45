//! Bodies: bounded as sent and unpacked, each and all together, read within a time, then parsed.

use std::io::Read;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use flate2::read::MultiGzDecoder;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::Limits;
use crate::error::{Kind, Refusal};

/// Larger bodies are unpacked and parsed where waiting for it holds up nobody else.
const LARGE: usize = 256 << 10;
/// How long the body of a request that was refused is read.
const DISCARDING: Duration = Duration::from_secs(1);

/// What a request was sent with, whole, and the memory that it takes of what all bodies may.
pub(crate) struct Arrived<'a> {
    pub(crate) bytes: Bytes,
    pub(crate) memory: Memory<'a>,
}

/// Memory that is given back when this goes; none for a request without a body.
pub(crate) type Memory<'a> = Option<SemaphorePermit<'a>>;

/// Waits for a body, which takes of `memory` what has arrived of it, so that bodies that come slowly hold no more.
pub(crate) async fn arrive<'a>(
    body: Body,
    limits: &Limits,
    memory: &'a Semaphore,
) -> Result<Arrived<'a>, Refusal> {
    let most = limits.body_bytes;
    let reading = async {
        let mut body = Limited::new(body, most);
        let mut held: Memory<'a> = None;
        let mut bytes: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(part) = frame.map_err(|error| unreadable(&*error, most))?.into_data() else {
                continue;
            };
            let more = memory.try_acquire_many(part.len() as u32);
            let more = more.map_err(|_| Refusal::overloaded("too much is being sent at a time"))?;
            match &mut held {
                None => held = Some(more),
                Some(held) => held.merge(more),
            }
            bytes.extend_from_slice(&part);
        }
        Ok(Arrived { bytes: bytes.into(), memory: held })
    };
    let late = || Refusal::new(Kind::Late, "body: it took too long to arrive");
    tokio::time::timeout(limits.body_timeout, reading).await.unwrap_or_else(|_| Err(late()))
}

fn unreadable(error: &(dyn std::error::Error + 'static), most: usize) -> Refusal {
    if error.is::<LengthLimitError>() {
        return Refusal::new(Kind::TooLarge, format!("body: expected at most {most} bytes"));
    }
    Refusal::invalid(format!("body: {error}"))
}

/// Parses a JSON body, which may be packed by gzip.
pub(super) fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: &[u8],
    limits: &Limits,
) -> Result<T, Refusal> {
    parsed(headers, body, limits, parse)
}

/// The same by a parser of its own.
pub(super) fn parsed<T>(
    headers: &HeaderMap,
    body: &[u8],
    limits: &Limits,
    parse: impl Fn(&[u8]) -> Result<T, Refusal>,
) -> Result<T, Refusal> {
    let packed = is_packed(headers)?;
    let work = || {
        let unpacked = if packed { Some(unpack(body, limits.unpacked_bytes)?) } else { None };
        parse(unpacked.as_deref().unwrap_or(body))
    };
    if body.len() > LARGE || packed { tokio::task::block_in_place(work) } else { work() }
}

/// Parses JSON; the message names line and column.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| Refusal::invalid(format!("body: {error}")))
}

fn is_packed(headers: &HeaderMap) -> Result<bool, Refusal> {
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => Ok(false),
        Some(b"gzip") => Ok(true),
        Some(_) => Err(Refusal::invalid("content-encoding: expected `gzip` or none")),
    }
}

/// Reads a small body away, so that its connection can be used again; a larger or slower one ends it.
pub(super) async fn discard(body: Body) {
    let reading = async {
        let (mut body, mut read) = (body, 0);
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > LARGE {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(DISCARDING, reading).await;
}

/// Unpacks gzip, up to `most` bytes.
pub(crate) fn unpack(packed: &[u8], most: usize) -> Result<Vec<u8>, Refusal> {
    let mut unpacked = Vec::new();
    let read = MultiGzDecoder::new(packed).take(most as u64 + 1).read_to_end(&mut unpacked);
    read.map_err(|error| Refusal::invalid(format!("body: gzip: {error}")))?;
    if unpacked.len() > most {
        let message = format!("body: expected at most {most} bytes once unpacked");
        return Err(Refusal::new(Kind::TooLarge, message));
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn pack(bytes: &[u8]) -> Vec<u8> {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        packed.write_all(bytes).unwrap();
        packed.finish().unwrap()
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let bomb = pack(&vec![0; 1 << 24]);
        assert!(bomb.len() < 1 << 15);
        assert_eq!(unpack(&bomb, 1 << 20).unwrap_err().kind, Kind::TooLarge);
        assert_eq!(unpack(&pack(b"[1]"), 3), Ok(b"[1]".to_vec()));
        assert_eq!(unpack(&pack(b"[12]"), 3).unwrap_err().kind, Kind::TooLarge);
        assert_eq!(unpack(b"no gzip", 99).unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let deep = "[".repeat(1 << 20);
        let refused = parse::<serde_json::Value>(deep.as_bytes()).unwrap_err();
        assert!(refused.message.contains("recursion limit"), "{refused}");
    }
}
