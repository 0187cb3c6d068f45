//! A log of any size with content vectors, as a data-set folder: shaped like clicks, without
//! meaning.
//!
//! Every click draws its user and its item by itself, by power laws: the entity of rank r has a
//! share in proportion to r^(-1/3) among users and r^(-1/2) among items, and which entity has which
//! rank is drawn once, so that popular rows do not lie side by side. A pair may occur again, and
//! entities of the tail may have no click. The clicks of the log stand one second apart.
//!
//! Vectors have entries of mean 0 and variance 1 / width. That of row i is the i-th window of one
//! series of draws, so a side of n rows takes n + width numbers to make, and no two rows are equal.

use std::path::Path;

use das_core::npy;
use das_core::{EntityIds, RowMatrix, Side, streams};
use das_data::{DataSetWriter, EntityTable, LogColumns, OrderKind};
use rand::Rng;
use rand::seq::SliceRandom;

/// The time of the first click.
const START: i64 = 1_700_000_000;

/// How large the log is.
#[derive(Clone, Copy, Debug)]
pub struct LogSize {
    /// Rows of the users table.
    pub users: usize,
    /// Rows of the items table.
    pub items: usize,
    /// Rows of the log.
    pub clicks: usize,
    /// Width of the content vectors of both sides.
    pub content_dim: usize,
}

impl LogSize {
    /// Writes log, tables and vectors to `out`; a function of the size and `seed`.
    pub fn write(self, seed: u64, out: &Path) -> anyhow::Result<()> {
        let writer = DataSetWriter::create(out)?;
        let [users, items] = Side::BOTH.map(|side| self.ids(side));
        writer.write_interactions(&self.draw(seed), &users, &items)?;
        for (side, ids) in [(Side::User, users), (Side::Item, items)] {
            writer.write_table(&EntityTable::new(side, out, ids, Vec::new())?)?;
        }
        writer.publish()?;
        for side in Side::BOTH {
            let path = out.join(format!("{side}_embeddings.npy"));
            npy::write(&path, &self.vectors(side, seed))?;
        }
        Ok(())
    }

    fn rows(self, side: Side) -> usize {
        match side {
            Side::User => self.users,
            Side::Item => self.items,
        }
    }

    fn ids(self, side: Side) -> EntityIds {
        EntityIds::Int((0..self.rows(side) as i64).collect())
    }

    fn draw(self, seed: u64) -> LogColumns {
        LogColumns {
            users: self.draw_side(Side::User, 1.5, seed),
            items: self.draw_side(Side::Item, 2.0, seed),
            order_kind: OrderKind::Timestamp,
            order: (0..self.clicks as i64).map(|at| START + at).collect(),
            labels: None,
            weights: None,
            ratings: None,
        }
    }

    /// One entity a click. Ranks n·u^`exponent` of even u have shares that fall as
    /// rank^(1/exponent - 1).
    fn draw_side(self, side: Side, exponent: f64, seed: u64) -> Vec<u32> {
        let mut rng = streams::stream(seed, &format!("bench scale {side} clicks"), 0);
        let count = self.rows(side);
        let mut ranked: Vec<u32> = (0..count as u32).collect();
        ranked.shuffle(&mut rng);
        let mut rank = || (count as f64 * rng.random::<f64>().powf(exponent)) as usize;
        (0..self.clicks).map(|_| ranked[rank().min(count - 1)]).collect()
    }

    fn vectors(self, side: Side, seed: u64) -> Windows {
        let mut rng = streams::stream(seed, &format!("bench scale {side} content"), 0);
        let (rows, dim) = (self.rows(side), self.content_dim);
        let bound = (3.0 / dim as f32).sqrt();
        let series = (0..rows + dim).map(|_| rng.random_range(-bound..bound)).collect();
        Windows { rows, dim, series }
    }
}

/// Row i is `series[i..i + dim]`.
struct Windows {
    rows: usize,
    dim: usize,
    series: Vec<f32>,
}

impl RowMatrix for Windows {
    fn rows(&self) -> usize {
        self.rows
    }

    fn dim(&self) -> usize {
        self.dim
    }

    fn row(&self, row: usize) -> &[f32] {
        &self.series[row..row + self.dim]
    }
}

#[cfg(test)]
mod tests {
    use das_core::files;
    use das_data::DataSet;

    use super::*;

    const SIZE: LogSize = LogSize { users: 300, items: 200, clicks: 20_000, content_dim: 5 };

    #[test]
    fn sizes_are_those_asked_for_and_the_seed_decides() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for (name, seed) in [("a", 1), ("b", 1), ("c", 2)] {
            SIZE.write(seed, &path(name)).unwrap();
        }
        let data = DataSet::open(&path("a")).unwrap();
        assert_eq!((data.users().len(), data.items().len()), (SIZE.users, SIZE.items));
        assert_eq!(data.interactions().len(), SIZE.clicks);
        for (side, rows) in [(Side::User, SIZE.users), (Side::Item, SIZE.items)] {
            let vectors = data.embeddings(side).unwrap().unwrap();
            assert_eq!((vectors.rows(), vectors.dim()), (rows, SIZE.content_dim));
        }
        for name in
            ["interactions.parquet", "user_embeddings.npy", "item_embeddings.npy", "items.parquet"]
        {
            let [a, b, c] = ["a", "b", "c"].map(|run| files::read(&path(run).join(name)).unwrap());
            assert!(a == b, "{name}");
            assert!(a != c || name == "items.parquet", "{name}");
        }
    }

    #[test]
    fn clicks_follow_a_power_law() {
        let log = SIZE.draw(3);
        for (clicked, rows, head) in
            [(&log.users, SIZE.users, 0.01f64.powf(1.0 / 1.5)), (&log.items, SIZE.items, 0.1)]
        {
            let mut counts = vec![0usize; rows];
            clicked.iter().for_each(|&row| counts[row as usize] += 1);
            counts.sort_unstable_by(|a, b| b.cmp(a));
            // Among ranks below n / 100, the first hundredth of them.
            let first: usize = counts[..rows / 100].iter().sum();
            let share = first as f64 / SIZE.clicks as f64;
            assert!((share - head).abs() < 0.01, "{share}, expected {head}");
        }
    }

    #[test]
    fn no_two_vectors_are_equal() {
        let vectors = SIZE.vectors(Side::Item, 4);
        let mut rows: Vec<&[f32]> = (0..vectors.rows()).map(|row| vectors.row(row)).collect();
        rows.sort_by(|a, b| a.partial_cmp(b).unwrap());
        rows.dedup();
        assert_eq!(rows.len(), SIZE.items);
    }
}
