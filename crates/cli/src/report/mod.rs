//! `das report`: a training run, a comparison or both as one HTML page that needs nothing else.
//!
//! In three steps: [`collect`] reads files into the plain numbers of [`model`]; `sections` turns
//! numbers into tables and [`charts`]; `page` joins them with `style.css`. Titles, ids and method
//! names are hostile: all text goes through the escaping of `maud`, and only constants of this
//! folder do not.

mod charts;
mod collect;
mod model;
mod page;
mod projection;
mod sections;

use std::path::Path;

use crate::pipeline::Context;

/// The page about `target`, a run's folder or a comparison's; `data` is the data set, for titles.
pub fn render(target: &Path, data: Option<&Path>, context: Context<'_>) -> anyhow::Result<String> {
    let report = collect::collect(target, data, context)?;
    Ok(page::page(&report).into_string())
}
