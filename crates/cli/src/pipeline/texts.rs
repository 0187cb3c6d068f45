//! The text of each item and user, and what it is made of.

use anyhow::bail;
use das_core::{Side, files};
use das_data::texts::{item_texts, profile_texts, user_texts};
use das_data::{EntityTable, descriptions};

use super::Prepared;
use super::describe::written_from;
use crate::config::{RunConfig, TextSource};

/// The text of each entity of `side`: its fields under the template, or its description.
pub fn side_texts(
    prepared: &Prepared,
    config: &RunConfig,
    side: Side,
) -> anyhow::Result<Vec<String>> {
    match config.data.texts {
        TextSource::Fields => field_texts(prepared, config, side),
        TextSource::Descriptions => {
            let folder = prepared.data.folder();
            let path = folder.join(descriptions::descriptions_file(side));
            if !path.exists() {
                bail!("{}: is missing; `das describe` writes it", path.display());
            }
            if written_from(folder, side)? != Some(field_source(prepared, config, side)?) {
                bail!(
                    "{}: was written from other fields, or from the training rows of another \
                     split; run `das describe` again",
                    path.display()
                );
            }
            Ok(descriptions::read(&path, side, prepared.ids(side))?)
        }
    }
}

/// The text of each entity of a table that stands alone. Its users have no training clicks.
pub fn lone_texts(
    table: &EntityTable,
    config: &RunConfig,
    side: Side,
) -> anyhow::Result<Vec<String>> {
    Ok(match (config.data.texts, side) {
        (TextSource::Descriptions, _) => descriptions::read(table.path(), side, table.ids())?,
        (TextSource::Fields, Side::Item) => item_texts(table, config.data.item_template())?,
        (TextSource::Fields, Side::User) => profile_texts(table, &config.data.user_text_config())?,
    })
}

/// The fields of each entity as one text.
pub fn field_texts(
    prepared: &Prepared,
    config: &RunConfig,
    side: Side,
) -> anyhow::Result<Vec<String>> {
    Ok(match side {
        Side::Item => item_texts(prepared.data.items(), config.data.item_template())?,
        Side::User => {
            user_texts(&prepared.data, &prepared.clicks, &config.data.user_text_config())?
        }
    })
}

/// Hash of what the texts and the views of a side are made of.
pub fn text_source(prepared: &Prepared, config: &RunConfig, side: Side) -> anyhow::Result<String> {
    let fields = field_source(prepared, config, side)?;
    let views = config.data.views(side);
    if views.is_empty() && config.data.texts == TextSource::Fields {
        return Ok(fields);
    }
    let mut source = fields;
    if config.data.texts == TextSource::Descriptions {
        let path = prepared.data.folder().join(descriptions::descriptions_file(side));
        source = format!("{source} {}", files::sha256_file(&path)?);
    }
    if !views.is_empty() {
        source = format!("{source} {views:?}");
    }
    for file in views.iter().filter_map(|view| view.vectors.as_ref()) {
        source = format!("{source} {}", files::sha256_file(&prepared.data.folder().join(file))?);
    }
    Ok(files::sha256_bytes(source.as_bytes()))
}

/// Hash of the fields. Users' texts hold titles of training clicks, so they belong to one split.
pub fn field_source(prepared: &Prepared, config: &RunConfig, side: Side) -> anyhow::Result<String> {
    let hash = |side| files::sha256_file(prepared.data.table(side).path());
    let items = hash(Side::Item)?;
    let source = match side {
        Side::Item => format!("{:?} {items}", config.data.item_template()),
        Side::User => {
            let described = prepared.data.users().described() > 0;
            let users = if described { hash(Side::User)? } else { String::new() };
            let rows = prepared.split.fingerprint(&prepared.data);
            format!("{:?} {items} {users} {rows}", config.data.user_text_config())
        }
    };
    Ok(files::sha256_bytes(source.as_bytes()))
}
