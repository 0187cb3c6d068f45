//! The frozen collaborative vectors: given, or trained first.

use das_core::progress::Cancel;
use das_core::{Clicks, DenseMatrix, RowMatrix, Side};

use super::LetterConfig;
use crate::das::{check_batch, collaborative_tables};
use crate::method::Run;
use crate::train::{Observer, Position, Stage};
use crate::{Error, Result, TrainConfig};

/// The vectors of `[users, items]` and where the next stage begins. With item vectors alone, a
/// user is the mean of its training items.
pub(super) fn vectors(
    config: &LetterConfig,
    common: &TrainConfig,
    run: &Run<'_>,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<([DenseMatrix; 2], Position)> {
    let [users, items] = run.inputs.collaborative;
    let Some(items) = items else {
        if users.is_some() {
            let message = "collaborative user vectors without item vectors; give both, items \
                           alone, or none to train them first";
            return Err(Error::Invalid(message.to_string()));
        }
        return trained(config, common, run, observer, cancel);
    };
    let items = given(config, Side::Item, items)?;
    let users = match users {
        Some(users) => given(config, Side::User, users)?,
        None => means(run.inputs.clicks, &items)?,
    };
    Ok(([users, items], Position::default()))
}

fn given(config: &LetterConfig, side: Side, vectors: &dyn RowMatrix) -> Result<DenseMatrix> {
    if vectors.dim() != config.code_dim {
        let expected = format!("{}, the width of the collaborative {side} vectors", vectors.dim());
        return Err(Error::config("letter.code_dim", expected, config.code_dim));
    }
    let values = (0..vectors.rows()).flat_map(|row| vectors.row(row)).copied().collect();
    Ok(DenseMatrix::new(vectors.dim(), values)?)
}

/// The mean of each user's items; of all items for a user without any.
fn means(clicks: &dyn Clicks, items: &DenseMatrix) -> Result<DenseMatrix> {
    let all: Vec<u32> = (0..clicks.num_items() as u32).collect();
    let mean = |rows: &[u32]| -> Vec<f32> {
        let mut sum = vec![0.0f64; items.dim()];
        for &row in rows {
            sum.iter_mut().zip(items.row(row as usize)).for_each(|(s, v)| *s += f64::from(*v));
        }
        sum.into_iter().map(|sum| (sum / rows.len().max(1) as f64) as f32).collect()
    };
    let overall = mean(&all);
    let mut values = Vec::with_capacity(clicks.num_users() * items.dim());
    for user in 0..clicks.num_users() as u32 {
        match clicks.items_of(user) {
            [] => values.extend(&overall),
            rows => values.extend(mean(rows)),
        }
    }
    Ok(DenseMatrix::new(items.dim(), values)?)
}

/// Two ID embedding tables under InfoNCE on clicks and on co-clicked items, with known positives
/// masked, as DAS trains its collaborative model, without the decomposition.
fn trained(
    config: &LetterConfig,
    common: &TrainConfig,
    run: &Run<'_>,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<([DenseMatrix; 2], Position)> {
    check_batch("letter.cf_batch_size", config.cf_batch_size, &run.inputs)?;
    let training = config.collaborative_training(common);
    let from = Position::default();
    let stage = Stage { run, config: &training, name: Some("collaborative"), from };
    let (tables, position) =
        collaborative_tables(&config.collaborative(), stage, observer, cancel)?;
    let scale = config.cf_temperature.sqrt().recip();
    let [users, items] = tables
        .map(|table| DenseMatrix::new(config.code_dim, scaled(table, config.code_dim, scale)));
    Ok(([users?, items?], position))
}

/// The same directions with vectors of length `norm`.
fn scaled(mut table: Vec<f32>, dim: usize, norm: f32) -> Vec<f32> {
    for row in table.chunks_exact_mut(dim) {
        let own = row.iter().map(|v| v * v).sum::<f32>().sqrt().max(1e-12);
        row.iter_mut().for_each(|v| *v *= norm / own);
    }
    table
}
