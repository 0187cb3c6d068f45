//! `das bench serve`: an artifact of many items, loaded and asked as the service does.

use std::time::Instant;

use anyhow::Context as _;
use das_core::artifact::{
    Artifact, ArtifactWriter, CONFIG_FILE, Existing, MANIFEST_FILE, MODEL_FILE, SideContent,
};
use das_core::sid::index::SidIndex;
use das_core::sid::{CollisionPolicy, SidLayout, SidTable};
use das_core::streams::stream;
use das_core::{EntityIds, Side};
use das_serve::artifact::{Source, load};
use rand::Rng;
use serde_json::{Map, json};

use super::memory::Meter;
use crate::args::BenchServeArgs;
use crate::commands::{print, print_json, use_threads};
use crate::run_folder::artifact_of;

/// Items of a page behind a prefix.
const PAGE: usize = 100;
/// Lookups for each page.
const LOOKUPS_A_PAGE: u32 = 100;

/// Publishes the artifact where it is missing, then loads it and looks ids and prefixes up.
pub fn run(args: &BenchServeArgs) -> anyhow::Result<()> {
    use_threads(args.common.threads.into())?;
    let is_new = !args.dir.join(MANIFEST_FILE).exists();
    if is_new {
        publish(args)?;
    }
    let meter = Meter::start();
    let started = Instant::now();
    let loaded = load(&Source { folder: args.dir.clone(), model: None })?;
    let load_s = started.elapsed().as_secs_f64();
    // What publishing needed stays in the figures of its process.
    let memory = meter.read().filter(|_| !is_new);
    let index = loaded.side(Side::Item).context("the artifact has no items")?.index();
    let lookup_us = 1e6 * look_up(index, args.lookups)? / f64::from(args.lookups);
    let pages = args.lookups / LOOKUPS_A_PAGE + 1;
    let page_us = 1e6 * list(index, pages) / f64::from(pages);
    if args.common.json {
        return print_json(&json!({
            "items": index.len(),
            "load_s": load_s,
            "memory": memory,
            "lookup_us": lookup_us,
            "page_us": page_us,
            "threads": args.common.threads,
        }));
    }
    let memory = memory.map_or("not measured where it was published".to_string(), |memory| {
        format!("{:.0} MB private, {:.0} MB resident", memory.private_mb, memory.resident_mb)
    });
    print(&format!(
        "{} items\nloading        {load_s:.1} s\nafter loading  {memory}\na lookup       {lookup_us:.2} µs\n\
         a page of {PAGE}  {page_us:.1} µs\n",
        index.len()
    ))
}

/// Seconds that so many ids take, drawn from all.
fn look_up(index: &SidIndex, lookups: u32) -> anyhow::Result<f64> {
    let mut rng = stream(0, "bench/lookups", 0);
    let items = index.len() as u32;
    let ids: Vec<i64> = (0..lookups).map(|_| id_of(rng.random_range(0..items))).collect();
    let started = Instant::now();
    let mut sum = 0u64;
    for id in ids {
        let row = index.row_of_int(id).with_context(|| format!("item {id} is not there"))?;
        sum += index.codes(row).map(u64::from).sum::<u64>();
    }
    std::hint::black_box(sum);
    Ok(started.elapsed().as_secs_f64())
}

/// Seconds that so many pages take, each of the first items behind two codes.
fn list(index: &SidIndex, pages: u32) -> f64 {
    let mut rng = stream(0, "bench/pages", 0);
    let widths: Vec<u32> = index.layout().widths().take(2).collect();
    let prefix = |_| widths.iter().map(|&width| rng.random_range(0..width)).collect();
    let prefixes: Vec<Vec<u32>> = (0..pages).map(prefix).collect();
    let started = Instant::now();
    for prefix in &prefixes {
        for row in index.places(prefix).take(PAGE).map(|place| index.row_at(place)) {
            std::hint::black_box((index.id(row), index.codes(row).sum::<u32>()));
        }
    }
    started.elapsed().as_secs_f64()
}

/// Publishes the tokenizer of a run with IDs of its layout for made-up items.
fn publish(args: &BenchServeArgs) -> anyhow::Result<()> {
    let source = Artifact::open(&artifact_of(&args.run))?;
    let described = source.manifest().sides.get(&Side::Item).context("the run has no items")?;
    let sizes = described.layout.codebook_sizes();
    let ids = EntityIds::Int((0..args.items).map(id_of).collect());
    let mut writer = ArtifactWriter::create(&args.dir, Existing::Refuse)?;
    writer.add_bytes(MODEL_FILE, &source.bytes(MODEL_FILE)?)?;
    writer.add_bytes(CONFIG_FILE, &source.bytes(CONFIG_FILE)?)?;
    let content = SideContent { dim: described.content_dim, embedder: None, views: vec![] };
    writer.add_side(Side::Item, &ids, &spread(sizes, args.items)?, content)?;
    writer.publish(&source.manifest().method, Map::new(), json!({}))?;
    Ok(())
}

/// An id that lies anywhere, as a hash would: a bijection of whole numbers (Steele, Lea and Flood's `SplitMix64`, OOPSLA 2014).
fn id_of(item: u32) -> i64 {
    let mut mixed = u64::from(item).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) as i64
}

/// An ID for each item, all different: the item's number in the digits of the codebooks, the least one first, so
/// that items of a prefix lie far apart, and how often that is used up as the suffix.
fn spread(sizes: &[u32], items: u32) -> anyhow::Result<SidTable> {
    let space = sizes.iter().fold(1u64, |space, &size| space.saturating_mul(size.into()));
    let suffix = u64::from(items).div_ceil(space) as u32;
    let layout = SidLayout::new(sizes.to_vec(), CollisionPolicy::Suffix, Some(suffix.max(1)))?;
    let mut codes = Vec::with_capacity(items as usize * layout.num_digits());
    for item in 0..items {
        let mut rest = u64::from(item);
        for &size in sizes {
            codes.push((rest % u64::from(size)) as u32);
            rest /= u64::from(size);
        }
        codes.push(rest as u32);
    }
    Ok(SidTable::new(layout, codes)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn spread_ids_are_all_different_and_of_every_code() {
        let table = spread(&[4, 3], 30).unwrap();
        let ids: BTreeSet<&[u32]> = table.rows().collect();
        assert_eq!(ids.len(), 30);
        assert_eq!(table.layout().widths().collect::<Vec<_>>(), [4, 3, 3]);
        assert!((0..4).all(|code| ids.iter().any(|id| id[0] == code)));
    }
}
