//! `das import`.

use std::path::PathBuf;

use das_data::import::{
    AmazonImport, EntitySource, LogMapping, MovieLensImport, OrderColumn, RatingRule,
    TabularImport, amazon, movielens, tabular,
};
use das_data::{Format, Source};

use super::{print, print_json};
use crate::args::{ImportArgs, ImportFormat};
use crate::usage::UsageError;

/// Shown below `das import --help`.
pub const EXAMPLES: &str = "Examples:\n  \
    das import csv clicks.csv --user uid --item sku --timestamp time --items products.csv --out shop\n  \
    das import parquet clicks.parquet --timestamp ts --label clicked --out shop\n  \
    das import movielens ml-1m --out ml1m\n  \
    das import amazon Beauty.jsonl.gz --items meta_Beauty.jsonl.gz --k-core 5 --out beauty";

/// Imports a click log.
pub fn run(args: &ImportArgs) -> anyhow::Result<()> {
    let threshold = args.min_rating.map(|rating| rating as f32);
    let report = match args.format {
        ImportFormat::Csv => tabular(&mapping(args, Format::Csv)?, &args.out)?,
        ImportFormat::Jsonl => tabular(&mapping(args, Format::Jsonl)?, &args.out)?,
        ImportFormat::Parquet => tabular(&mapping(args, Format::Parquet)?, &args.out)?,
        ImportFormat::Movielens => {
            let import = threshold.map_or_else(MovieLensImport::default, |threshold| {
                MovieLensImport { threshold: Some(threshold) }
            });
            movielens(&import, &args.source, &args.out)?
        }
        ImportFormat::Amazon => {
            let import = AmazonImport {
                reviews: args.source.clone(),
                metadata: args.items.clone(),
                threshold,
                k_core: args.k_core,
            };
            amazon(&import, &args.out)?
        }
    };
    if report.undescribed_items > 0 {
        eprintln!("warning: {} items have no description", report.undescribed_items);
    }
    if args.json {
        return print_json(&serde_json::json!({
            "out": args.out,
            "users": report.users,
            "items": report.items,
            "interactions": report.interactions,
            "undescribed_items": report.undescribed_items,
        }));
    }
    print(&format!(
        "{} users, {} items, {} interactions in {}\n",
        report.users,
        report.items,
        report.interactions,
        args.out.display()
    ))
}

fn mapping(args: &ImportArgs, format: Format) -> anyhow::Result<TabularImport> {
    if args.k_core.is_some() {
        return Err(UsageError("--k-core applies to amazon only".to_string()).into());
    }
    let order = match (&args.timestamp, &args.position) {
        (Some(column), _) => OrderColumn::Timestamp(column.clone()),
        (None, Some(column)) => OrderColumn::Position(column.clone()),
        (None, None) => OrderColumn::File,
    };
    let rating = match (&args.rating, args.min_rating) {
        (Some(column), Some(rating)) => {
            Some(RatingRule { column: column.clone(), threshold: rating as f32 })
        }
        (None, None) => None,
        _ => return Err(UsageError("--rating and --min-rating go together".to_string()).into()),
    };
    // A table of items or users names its id as the log does.
    let entities = |path: &Option<PathBuf>, id: &str| {
        let source = |path: &PathBuf| {
            let source = Source::new(path, Format::of(path)?);
            Ok::<_, das_data::Error>(EntitySource { source, id: id.to_string() })
        };
        path.as_ref().map(source).transpose()
    };
    Ok(TabularImport {
        log: Source::new(&args.source, format),
        mapping: LogMapping {
            user: args.user.clone(),
            item: args.item.clone(),
            order,
            label: args.label.clone(),
            rating,
            weight: args.weight.clone(),
        },
        items: entities(&args.items, &args.item)?,
        users: entities(&args.users, &args.user)?,
    })
}
