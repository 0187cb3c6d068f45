//! `das market`.

use das_data::synthetic::{Market, MarketConfig};
use serde_json::json;

use super::{print, print_json};
use crate::args::MarketArgs;

/// Generates a market and writes it as a data set.
pub fn run(args: &MarketArgs) -> anyhow::Result<()> {
    let config = MarketConfig {
        users: args.users,
        items: args.items,
        rounds: args.rounds,
        slots: args.slots,
        unbiased_rounds: args.unbiased_rounds,
        ..MarketConfig::default()
    };
    let market = Market::generate(&config, args.seed)?;
    market.write(&args.out)?;
    let exposures = market.log.users.len();
    let clicks: u64 = market.truth.item_clicks.iter().map(|&count| u64::from(count)).sum();
    if args.json {
        return print_json(&json!({
            "out": args.out,
            "seed": args.seed,
            "market": config,
            "exposures": exposures,
            "clicks": clicks,
        }));
    }
    let (users, items, out) = (config.users, config.items, args.out.display());
    print(&format!(
        "{users} users, {items} items, {exposures} exposures, {clicks} clicks in {out}\n"
    ))
}
