//! `metrics.jsonl`, one JSON object a step and one an epoch, and `gradients.jsonl`, one a gradient
//! report and group of parameters.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use das_model::train::{EpochRecord, GradientRecord, StepRecord};
use serde::Serialize;
use serde_json::{Map, Value, json};

/// The open log of a run.
pub struct MetricsFile {
    file: BufWriter<File>,
}

impl MetricsFile {
    /// Opens the log, keeping what it holds.
    pub fn open(path: &Path) -> io::Result<MetricsFile> {
        let file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
        Ok(MetricsFile { file: BufWriter::new(file) })
    }

    /// Drops every record of `step` and later, and a torn last line: a resumed run writes them
    /// again.
    pub fn rewind(&mut self, step: u64) -> io::Result<()> {
        self.file.flush()?;
        let file = self.file.get_mut();
        file.seek(SeekFrom::Start(0))?;
        let mut kept = 0;
        let mut reader = BufReader::new(&*file);
        let mut line = String::new();
        loop {
            line.clear();
            let read = reader.read_line(&mut line).unwrap_or(0);
            if read == 0 || !line.ends_with('\n') || !is_before(&line, step) {
                break;
            }
            kept += read as u64;
        }
        drop(reader);
        file.set_len(kept)?;
        file.seek(SeekFrom::Start(kept))?;
        Ok(())
    }

    /// Appends a step: its loss, every term under its name, gradient norm and learning rate.
    pub fn step(&mut self, record: &StepRecord) -> io::Result<()> {
        let terms: Map<String, Value> =
            record.terms.iter().map(|&(term, value)| (term.to_string(), json!(value))).collect();
        self.line(&json!({
            "kind": "step",
            "step": record.step,
            "epoch": record.epoch,
            "loss": record.loss,
            "terms": terms,
            "gradient_norm": record.gradient_norm,
            "learning_rate": record.learning_rate,
        }))
    }

    /// Appends the end of an epoch.
    pub fn epoch(&mut self, record: &EpochRecord) -> io::Result<()> {
        let mut value = serde_json::to_value(record)?;
        value["kind"] = json!("epoch");
        self.line(&value)
    }

    /// Appends a gradient report.
    pub fn gradients(&mut self, record: &GradientRecord) -> io::Result<()> {
        self.line(record)
    }

    /// Makes durable what was appended.
    pub fn sync(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_data()
    }

    fn line(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, value)?;
        self.file.write_all(b"\n")
    }
}

/// Whether a record belongs to the part of the run that is kept when resuming at `step`.
fn is_before(line: &str, step: u64) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(line) else { return false };
    let at = value["step"].as_u64().unwrap_or(u64::MAX);
    // An epoch's record carries the number of steps so far, a step's its own number from 0.
    if value["kind"] == "epoch" { at <= step } else { at < step }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(step: u64) -> StepRecord {
        StepRecord {
            step,
            epoch: 0,
            loss: 1.5,
            terms: vec![("rec_u", 0.5)],
            gradient_norm: 2.0,
            learning_rate: 1e-3,
        }
    }

    #[test]
    fn rewinding_drops_later_and_torn_records() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut log = MetricsFile::open(&path).unwrap();
        (0..5).for_each(|step| log.step(&record(step)).unwrap());
        drop(log);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(b"{\"kind\":\"st");
        std::fs::write(&path, bytes).unwrap();

        let mut log = MetricsFile::open(&path).unwrap();
        log.rewind(3).unwrap();
        log.step(&record(3)).unwrap();
        drop(log);
        let text = std::fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].as_u64().unwrap())
            .collect();
        assert_eq!(steps, [0, 1, 2, 3]);
        assert!(text.contains(r#""terms":{"rec_u":0.5}"#), "{text}");
    }
}
