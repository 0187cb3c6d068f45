//! One text an entity: columns joined by a template, and for users the titles of what they
//! clicked in training.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::clicks::TrainingClicks;
use crate::dataset::DataSet;
use crate::table::{ColumnKind, EntityTable, TextColumn};
use crate::template::Template;
use crate::{Error, Result};

/// The field of a user template that stands for the clicked titles.
pub const HISTORY_FIELD: &str = "history";

/// How a user becomes a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct UserTextConfig {
    /// Profile columns and `{history}`; by default every profile column, numbers with their
    /// names (`age 24`), then the history.
    pub template: Option<String>,
    /// How many of the user's last training clicks the history holds.
    pub history: usize,
    /// How a clicked item stands in the history; by default its `title`, or its first text
    /// column where it has none.
    pub history_template: Option<String>,
}

impl Default for UserTextConfig {
    fn default() -> UserTextConfig {
        UserTextConfig { template: None, history: 8, history_template: None }
    }
}

/// The text of each row of `table` (items, or any table that is encoded on its own).
///
/// Without a template all text and list columns are joined by `". "` in file order.
pub fn item_texts(table: &EntityTable, template: Option<&str>) -> Result<Vec<String>> {
    let template = match template {
        Some(template) => template.parse()?,
        None => {
            let texts = table.columns().iter().filter(|column| is_text(column));
            Template::joining(texts.map(|column| (column.name(), String::new())))
        }
    };
    if template.fields().next().is_none() && table.columns().iter().all(|column| !is_text(column)) {
        let present = table.column_names();
        let message = format!("no text column to make a text of; columns present: {present}");
        return Err(Error::file(table.path(), message));
    }
    let columns = resolve(table, &template)?;
    Ok((0..table.len())
        .into_par_iter()
        .map(|row| template.render(|field, out| columns[field].write(row, out)))
        .collect())
}

/// The text of each user: profile, then the items of the last training clicks.
///
/// A profile column named `history` is hidden by the built-in field.
pub fn user_texts(
    data: &DataSet,
    clicks: &TrainingClicks,
    config: &UserTextConfig,
) -> Result<Vec<String>> {
    let titles = history_titles(data.items(), config)?;
    let histories =
        (0..data.users().len() as u32).map(|user| clicks.user_history(user, config.history));
    user_texts_with(data.users(), config, &histories.collect::<Vec<_>>(), &titles)
}

/// The text of each row of a users table that is encoded on its own: profile columns alone,
/// since such users have no training clicks.
pub fn profile_texts(table: &EntityTable, config: &UserTextConfig) -> Result<Vec<String>> {
    user_texts_with(table, config, &vec![&[][..]; table.len()], &[])
}

fn user_texts_with(
    users: &EntityTable,
    config: &UserTextConfig,
    histories: &[&[u32]],
    titles: &[String],
) -> Result<Vec<String>> {
    let template = match &config.template {
        Some(template) => template.parse()?,
        None => default_user_template(users),
    };
    // `None` is the history.
    let fields: Vec<Option<&TextColumn>> = template
        .fields()
        .map(|name| match name {
            HISTORY_FIELD => Ok(None),
            name => find(users, name, ", and `history` for the clicked items").map(Some),
        })
        .collect::<Result<_>>()?;
    Ok(histories
        .par_iter()
        .enumerate()
        .map(|(row, history)| {
            template.render(|field, out| match fields[field] {
                Some(column) => column.write(row, out),
                None => join_titles(history, titles, out),
            })
        })
        .collect())
}

fn join_titles(history: &[u32], titles: &[String], out: &mut String) {
    for title in history.iter().map(|&item| titles[item as usize].as_str()) {
        if !out.is_empty() && !title.is_empty() {
            out.push_str(". ");
        }
        out.push_str(title);
    }
}

/// How each item stands in a history; empty texts where histories are switched off.
fn history_titles(items: &EntityTable, config: &UserTextConfig) -> Result<Vec<String>> {
    if let Some(template) = &config.history_template {
        return item_texts(items, Some(template));
    }
    let title =
        items.column("title").or_else(|| items.columns().iter().find(|column| is_text(column)));
    Ok((0..items.len())
        .map(|row| {
            let mut out = String::new();
            if let Some(title) = title {
                title.write(row, &mut out);
            }
            out
        })
        .collect())
}

fn default_user_template(users: &EntityTable) -> Template {
    let columns = users.columns().iter().filter(|column| column.name() != HISTORY_FIELD);
    let profile = columns.map(|column| {
        let name = column.name();
        (name, if is_text(column) { String::new() } else { format!("{name} ") })
    });
    Template::joining(profile.chain([(HISTORY_FIELD, String::new())]))
}

fn is_text(column: &TextColumn) -> bool {
    matches!(column.kind(), ColumnKind::Text | ColumnKind::List)
}

fn resolve<'a>(table: &'a EntityTable, template: &Template) -> Result<Vec<&'a TextColumn>> {
    template.fields().map(|name| find(table, name, "")).collect()
}

fn find<'a>(table: &'a EntityTable, name: &str, besides: &str) -> Result<&'a TextColumn> {
    table.column(name).ok_or_else(|| {
        let present = table.column_names();
        let message = format!(
            "the text template names a column `{name}` that is not there; columns present: \
             {present}{besides}"
        );
        Error::file(table.path(), message)
    })
}
