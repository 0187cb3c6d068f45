//! `das bench retrieve`: with given weights, to be held against other implementations.

use std::path::Path;
use std::time::Instant;

use das_core::files;
use das_nn::Device;
use das_nn::safetensors_io::{self, NamedTensor, TensorData};
use das_recommend::generative::{Retrieved, Seen};
use das_recommend::yardstick::SearchYardstick;
use serde_json::json;

use crate::args::BenchRetrieveArgs;
use crate::commands::{print, print_json, use_threads};
use crate::interrupt;

/// Times beam search over the histories of a folder, in batches and for each user alone.
pub fn run(dir: &Path, args: &BenchRetrieveArgs) -> anyhow::Result<()> {
    use_threads(args.common.threads.into())?;
    let cancel = interrupt::install()?;
    let yardstick = SearchYardstick::load(dir, &Device::cpu())?;
    let histories = yardstick.histories(args.queries);
    let (batch, beam, k) = (usize::from(args.batch), args.beam.into(), args.k.into());
    let search = |histories: &[&[u32]]| -> anyhow::Result<Vec<Vec<Retrieved>>> {
        cancel.check()?;
        Ok(yardstick.retriever().beam_search(histories, beam, k, Seen::Included)?)
    };
    // Buffers and caches are warm before the clock counts.
    search(&histories[..batch.min(histories.len())])?;
    let started = Instant::now();
    let mut found = Vec::with_capacity(histories.len());
    for block in histories.chunks(batch) {
        found.extend(search(block)?);
    }
    let rate = histories.len() as f64 / started.elapsed().as_secs_f64();
    let mut alone = Vec::new();
    for history in histories.iter().filter(|_| args.latency) {
        let started = Instant::now();
        search(&[history])?;
        alone.push(started.elapsed().as_secs_f64() * 1e3);
    }
    alone.sort_by(f64::total_cmp);
    if let Some(path) = &args.out {
        files::write_bytes_atomic(path, &to_bytes(&found, k)?)?;
    }
    report(args, (histories.len(), rate), &alone)
}

fn report(
    args: &BenchRetrieveArgs,
    (count, rate): (usize, f64),
    alone: &[f64],
) -> anyhow::Result<()> {
    let (half, most) = (quantile(alone, 0.5), quantile(alone, 0.99));
    if args.common.json {
        return print_json(&json!({
            "users": count,
            "batch": args.batch,
            "threads": args.common.threads,
            "beam": args.beam,
            "k": args.k,
            "users_per_s": rate,
            "p50_ms": half,
            "p99_ms": most,
        }));
    }
    let mut line = format!("{count} users: beam {} {rate:.0} users/s", args.beam);
    if let (Some(half), Some(most)) = (half, most) {
        line += &format!("; one alone: p50 {half:.2} ms, p99 {most:.2} ms");
    }
    print(&(line + "\n"))
}

/// The smallest of ascending values that is not below a share of them.
fn quantile(ascending: &[f64], share: f64) -> Option<f64> {
    let rank = (share * ascending.len() as f64).ceil() as usize;
    ascending.get(rank.saturating_sub(1)).copied()
}

/// The best `k` items of every answer with their ln p, `[users, k]`, as safetensors; item −1 and
/// 0 where an answer has fewer.
fn to_bytes(found: &[Vec<Retrieved>], k: usize) -> anyhow::Result<Vec<u8>> {
    let (mut items, mut scores) = (Vec::new(), Vec::new());
    for answer in found {
        let of_id = |id: &Retrieved| id.item_log_probability;
        let flat = answer.iter().flat_map(|id| id.items.iter().map(|&item| (item, of_id(id))));
        let missing = std::iter::repeat((-1, 0.0));
        for (item, score) in flat.map(|(i, s)| (i64::from(i), s)).chain(missing).take(k) {
            items.push(item);
            scores.push(score);
        }
    }
    let shape = vec![found.len(), k];
    let tensor = |name: &str, data| NamedTensor { name: name.into(), shape: shape.clone(), data };
    let tensors =
        [tensor("items", TensorData::I64(items)), tensor("scores", TensorData::F32(scores))];
    Ok(safetensors_io::to_bytes(&tensors, &Default::default())?)
}
