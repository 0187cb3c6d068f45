//! TensorBoard event files: scalar summaries in TFRecord framing.
//!
//! A record is its length (u64), the masked CRC-32C of the length, the bytes, and the masked
//! CRC-32C of the bytes; the bytes are an `Event` message of TensorFlow's `event.proto`. The two
//! messages needed are small enough to encode by hand; the crates that offer it bring an image
//! library along.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use das_model::train::{EpochRecord, StepRecord};

/// TensorFlow's constant for masking checksums that are stored beside the data they cover.
const MASK_DELTA: u32 = 0xa282_ead8;

/// An open event file.
pub struct EventFile {
    file: BufWriter<File>,
}

impl EventFile {
    /// Starts a new event file in `folder`; TensorBoard joins all files of a folder by step.
    pub fn create(folder: &Path) -> io::Result<EventFile> {
        let seconds = now();
        let name = format!("events.out.tfevents.{:010}.{}", seconds as u64, std::process::id());
        let file = BufWriter::new(File::create(folder.join(name))?);
        let mut events = EventFile { file };
        let mut event = Vec::new();
        double_field(&mut event, 1, seconds);
        bytes_field(&mut event, 3, b"brain.Event:2");
        events.record(&event)?;
        events.file.flush()?;
        Ok(events)
    }

    /// Training (re)starts at `step`: TensorBoard then drops what older files of the folder hold
    /// of later steps.
    pub fn start(&mut self, step: u64) -> io::Result<()> {
        const STATUS_START: u8 = 1;
        let mut event = Vec::new();
        double_field(&mut event, 1, now());
        event.push(2 << 3);
        varint(&mut event, step);
        bytes_field(&mut event, 7, &[1 << 3, STATUS_START]);
        self.record(&event)
    }

    /// The loss, each term, gradient norm and learning rate of a step.
    pub fn step(&mut self, record: &StepRecord) -> io::Result<()> {
        let mut scalars: Vec<(String, f32)> = vec![
            ("loss/total".to_string(), record.loss),
            ("train/gradient_norm".to_string(), record.gradient_norm),
            ("train/learning_rate".to_string(), record.learning_rate),
        ];
        scalars.extend(record.terms.iter().map(|&(term, value)| (format!("loss/{term}"), value)));
        self.scalars(record.step, &scalars)
    }

    /// Validation and dead codes of an epoch.
    pub fn epoch(&mut self, record: &EpochRecord) -> io::Result<()> {
        let mut scalars = Vec::new();
        if let Some(found) = record.validation {
            scalars.push(("validation/recall@10".to_string(), found.recall_10 as f32));
            scalars.push(("validation/recall@50".to_string(), found.recall_50 as f32));
            scalars.push(("validation/ndcg@10".to_string(), found.ndcg_10 as f32));
        }
        for (side, levels) in
            [("user", &record.reset_codes_user), ("item", &record.reset_codes_item)]
        {
            for (level, &count) in levels.iter().enumerate() {
                scalars.push((format!("reset_codes/{side}/level_{level}"), count as f32));
            }
        }
        self.scalars(record.step, &scalars)
    }

    /// Hands everything so far to the operating system.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }

    fn scalars(&mut self, step: u64, scalars: &[(String, f32)]) -> io::Result<()> {
        let mut summary = Vec::new();
        for (tag, value) in scalars {
            let mut entry = Vec::new();
            bytes_field(&mut entry, 1, tag.as_bytes());
            entry.push(2 << 3 | 5);
            entry.extend(value.to_le_bytes());
            bytes_field(&mut summary, 1, &entry);
        }
        let mut event = Vec::new();
        double_field(&mut event, 1, now());
        event.push(2 << 3);
        varint(&mut event, step);
        bytes_field(&mut event, 5, &summary);
        self.record(&event)
    }

    fn record(&mut self, bytes: &[u8]) -> io::Result<()> {
        let length = (bytes.len() as u64).to_le_bytes();
        self.file.write_all(&length)?;
        self.file.write_all(&masked_crc(&length).to_le_bytes())?;
        self.file.write_all(bytes)?;
        self.file.write_all(&masked_crc(bytes).to_le_bytes())
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(MASK_DELTA)
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn double_field(out: &mut Vec<u8>, field: u8, value: f64) {
    out.push(field << 3 | 1);
    out.extend(value.to_le_bytes());
}

fn bytes_field(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    varint(out, bytes.len() as u64);
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_framed_with_the_published_checksum() {
        // RFC 3720, B.4: the CRC-32C of 32 zero bytes.
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        let folder = tempfile::tempdir().unwrap();
        let mut events = EventFile::create(folder.path()).unwrap();
        let terms = vec![("rec_u", 0.25)];
        let record = StepRecord {
            step: 300,
            epoch: 0,
            loss: 1.0,
            terms,
            gradient_norm: 1.0,
            learning_rate: 1e-3,
        };
        events.step(&record).unwrap();
        drop(events);
        let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        let bytes = std::fs::read(path).unwrap();
        let mut records = 0;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let body = &rest[12..12 + length];
            let stored = u32::from_le_bytes(rest[12 + length..16 + length].try_into().unwrap());
            assert_eq!(stored, masked_crc(body));
            if records == 1 {
                let text = String::from_utf8_lossy(body);
                assert!(text.contains("loss/rec_u") && text.contains("loss/total"));
            }
            rest = &rest[16 + length..];
            records += 1;
        }
        assert_eq!(records, 2);
    }
}
