//! Items in a plane, coloured by first code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use das_core::artifact::{Artifact, MODEL_FILE};
use das_core::npy::{self, NpyMatrix};
use das_core::sid::SidTable;
use das_core::sid::files::SidFile;
use das_core::streams::stream;
use das_core::{DenseMatrix, RowMatrix, Side};
use das_data::DataSet;
use das_nn::safetensors_io;

use super::RUNS;
use crate::pipeline::Context;
use crate::report::charts::COLORS;
use crate::report::model::{ItemMap, MapCode};
use crate::report::projection::{principal_components, tsne};
use crate::run_folder::vectors_file;

/// Items on the map, at most.
const POINTS: usize = 2000;
/// Columns that t-SNE works on.
const COMPONENTS: usize = 32;
/// Codes nearby from which a code's colour should differ.
const NEIGHBOURS: usize = 6;

/// Where vectors of items may be.
pub(super) struct Sources<'a> {
    pub(super) folder: &'a Path,
    pub(super) artifact: &'a Artifact,
    pub(super) data: Option<&'a DataSet>,
}

/// The maps of the items in `sids`, one for each kind of vectors; none of fewer than three items.
/// A code has the same colour on all of them.
pub(super) fn read(
    sources: &Sources<'_>,
    sids: &SidFile,
    titles: &[String],
    context: Context<'_>,
) -> anyhow::Result<Vec<ItemMap>> {
    let items = sids.ids.len();
    if items < 3 {
        return Ok(Vec::new());
    }
    let rows = sample(items);
    let mut maps: Vec<ItemMap> = Vec::new();
    let kinds = [
        ("quantized vectors", sources.quantized(sids)?),
        ("content vectors", sources.content(sids)?),
    ];
    for (source, vectors) in kinds {
        let Some(vectors) = vectors else { continue };
        let places = arrange(&*vectors, &rows, context)?;
        let mut codes = by_code(&sids.table, titles, &rows, &places);
        match maps.first() {
            None => paint(&mut codes),
            // The order of codes, by their number of items, is the same too.
            Some(painted) => {
                codes
                    .iter_mut()
                    .zip(&painted.codes)
                    .for_each(|(code, as_in)| code.color = as_in.color);
            }
        }
        maps.push(ItemMap { source, items, codes });
    }
    Ok(maps)
}

/// Places of `rows` in the plane.
fn arrange(
    vectors: &dyn RowMatrix,
    rows: &[u32],
    context: Context<'_>,
) -> anyhow::Result<Vec<[f32; 2]>> {
    let mut sampled = vec![0.0; rows.len() * vectors.dim()];
    vectors.gather(rows, &mut sampled);
    let (mut scores, mut dim) = principal_components(&sampled, vectors.dim(), COMPONENTS);
    if dim == 1 {
        // A plane needs a second column.
        scores = scores.into_iter().flat_map(|x| [x, 0.0]).collect();
        dim = 2;
    }
    Ok(tsne(&scores, dim, context.bars, context.cancel)?)
}

impl Sources<'_> {
    /// The content vectors of the run or of the data set, one row an item of `sids`.
    fn content(&self, sids: &SidFile) -> anyhow::Result<Option<Box<dyn RowMatrix>>> {
        for folder in [Some(self.folder.join("content")), shared_content(self.folder)] {
            let path = folder.map(|folder| vectors_file(&folder, Side::Item));
            if let Some(path) = path.filter(|path| path.exists())
                && let NpyMatrix::Mapped(matrix) = npy::open(&path)?
                && matrix.rows() == sids.ids.len()
            {
                return Ok(Some(Box::new(matrix)));
            }
        }
        if let Some(data) = self.data
            && let Some(matrix) = data.embeddings(Side::Item)?
            && let Some(matrix) = in_order_of(sids, data, &matrix)?
        {
            return Ok(Some(Box::new(matrix)));
        }
        Ok(None)
    }

    /// The quantized vectors, which codes and codebooks give.
    fn quantized(&self, sids: &SidFile) -> anyhow::Result<Option<Box<dyn RowMatrix>>> {
        let matrix = quantized(self.artifact, &sids.table)?;
        Ok(matrix.map(|matrix| Box::new(matrix) as Box<dyn RowMatrix>))
    }
}

/// `content/<split>` of a comparison, for its run `runs/<split>/<method>/seed-<n>`: vectors that
/// the runs of a split share.
fn shared_content(run: &Path) -> Option<PathBuf> {
    let split = run.ancestors().nth(2)?;
    let runs = split.parent().filter(|runs| runs.file_name().is_some_and(|name| name == RUNS))?;
    Some(runs.parent()?.join("content").join(split.file_name()?))
}

/// The rows of `matrix` of the items in `sids`; none where an item is not in the data set.
fn in_order_of(
    sids: &SidFile,
    data: &DataSet,
    matrix: &dyn RowMatrix,
) -> anyhow::Result<Option<DenseMatrix>> {
    let index = data.item_ids().index()?;
    let row = |at| index.row_of(sids.ids.get(at));
    let Some(rows) = (0..sids.ids.len()).map(row).collect::<Option<Vec<u32>>>() else {
        return Ok(None);
    };
    let mut values = vec![0.0; rows.len() * matrix.dim()];
    matrix.gather(&rows, &mut values);
    Ok(Some(DenseMatrix::new(matrix.dim(), values)?))
}

/// q = Σ_l e^l_{c_l} of every row; none where the model keeps no codebooks of items.
fn quantized(artifact: &Artifact, table: &SidTable) -> anyhow::Result<Option<DenseMatrix>> {
    let model = safetensors_io::from_bytes(&artifact.bytes(MODEL_FILE)?)?;
    let mut books = Vec::new();
    for (level, &size) in table.layout().codebook_sizes().iter().enumerate() {
        let name = format!("{}.codebook.{level}", Side::Item);
        let tensor = model.tensors.iter().find(|tensor| tensor.name == name);
        let values = tensor.and_then(|tensor| tensor.data.as_f32()).unwrap_or_default();
        if values.is_empty() || !values.len().is_multiple_of(size as usize) {
            return Ok(None);
        }
        books.push(values.chunks_exact(values.len() / size as usize).collect::<Vec<_>>());
    }
    let dim = books[0][0].len();
    if books.iter().any(|book| book[0].len() != dim) {
        return Ok(None);
    }
    let mut values = vec![0.0; table.len() * dim];
    for (codes, sum) in table.rows().zip(values.chunks_exact_mut(dim)) {
        for (book, &code) in books.iter().zip(codes) {
            sum.iter_mut().zip(book[code as usize]).for_each(|(sum, e)| *sum += e);
        }
    }
    Ok(Some(DenseMatrix::new(dim, values)?))
}

/// At most [`POINTS`] rows, ascending.
fn sample(items: usize) -> Vec<u32> {
    let mut rng = stream(0, "report/map", 0);
    let mut rows = rand::seq::index::sample(&mut rng, items, items.min(POINTS)).into_vec();
    rows.sort_unstable();
    rows.into_iter().map(|row| row as u32).collect()
}

/// The items by first code, the largest group first, not yet coloured.
fn by_code(table: &SidTable, titles: &[String], rows: &[u32], places: &[[f32; 2]]) -> Vec<MapCode> {
    let mut groups: BTreeMap<u32, Vec<([f32; 2], String)>> = BTreeMap::new();
    for (&row, &place) in rows.iter().zip(places) {
        let codes: Vec<String> = table.row(row as usize).iter().map(u32::to_string).collect();
        let text = format!("{} · {}", codes.join("-"), titles[row as usize]);
        groups.entry(table.row(row as usize)[0]).or_default().push((place, text));
    }
    let mut codes: Vec<MapCode> =
        groups.into_iter().map(|(code, points)| MapCode { code, color: 0, points }).collect();
    codes.sort_by_key(|code| std::cmp::Reverse(code.points.len()));
    codes
}

/// Gives each code, the largest first, the colour that is rarest among the codes nearest to it.
fn paint(codes: &mut [MapCode]) {
    let centers: Vec<[f32; 2]> = codes.iter().map(|code| center(&code.points)).collect();
    let mut used = [0usize; COLORS];
    for at in 0..codes.len() {
        let distance = |other: usize| {
            (centers[at][0] - centers[other][0]).hypot(centers[at][1] - centers[other][1])
        };
        let mut near: Vec<usize> = (0..codes.len()).filter(|&other| other != at).collect();
        near.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
        let mut conflicts = [0usize; COLORS];
        for &other in near.iter().take(NEIGHBOURS).filter(|&&other| other < at) {
            conflicts[codes[other].color] += 1;
        }
        let best = (0..COLORS).min_by_key(|&color| (conflicts[color], used[color]));
        codes[at].color = best.unwrap_or(0);
        used[codes[at].color] += 1;
    }
}

fn center(points: &[([f32; 2], String)]) -> [f32; 2] {
    let n = points.len() as f32;
    [0, 1].map(|c| points.iter().map(|(place, _)| place[c]).sum::<f32>() / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_side_by_side_differ_in_colour() {
        let mut codes: Vec<MapCode> = (0..25)
            .map(|code| {
                let place = [(code % 5) as f32, (code / 5) as f32];
                MapCode { code, color: 0, points: vec![(place, String::new())] }
            })
            .collect();
        paint(&mut codes);
        for code in 0..20 {
            if code % 5 < 4 {
                assert_ne!(codes[code].color, codes[code + 1].color, "{code}");
            }
            assert_ne!(codes[code].color, codes[code + 5].color, "{code}");
        }
    }

    #[test]
    fn runs_of_a_comparison_share_their_content() {
        let found = shared_content(Path::new("beauty/runs/leave-last-out/das/seed-0"));
        assert_eq!(found, Some(PathBuf::from("beauty/content/leave-last-out")));
        assert_eq!(shared_content(Path::new("somewhere/else/das/seed-0")), None);
        assert_eq!(shared_content(Path::new("run")), None);
    }

    #[test]
    fn samples_are_ascending_and_without_repeats() {
        assert_eq!(sample(4), [0, 1, 2, 3]);
        let rows = sample(POINTS * 3);
        assert_eq!(rows.len(), POINTS);
        assert!(rows.is_sorted_by(|a, b| a < b));
    }
}
