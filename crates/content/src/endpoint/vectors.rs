//! Answers of embedding servers: taken apart, checked, brought to norm 1.

use das_core::DenseMatrix;
use serde::Deserialize;

use super::Dialect;
use super::client::Fault;
use super::rows::Rows;

/// The widest vector that a server may send.
pub(super) const MAX_DIM: usize = 16_384;
/// Bytes of a number in JSON: a sign, 17 digits, an exponent and what stands between two.
const VALUE_BYTES: u64 = 32;
/// What stands around the vectors, and between them.
const FRAME_BYTES: u64 = 64 << 10;
/// No answer may be longer, however many texts it is about.
const MAX_BYTES: u64 = 256 << 20;

/// Values as they come. Servers whose arithmetic fails write `null` for a NaN. Read as f32, a
/// number too large for one would make the whole answer no JSON.
type Vector = Vec<Option<f64>>;

#[derive(Deserialize)]
struct OpenAiAnswer {
    data: Vec<OpenAiVector>,
}

#[derive(Deserialize)]
struct OpenAiVector {
    index: usize,
    embedding: Vector,
}

/// The longest answer about `texts` texts that is read, in bytes. Wide enough for the widest
/// vector, so that a wrong width is told as such.
pub(super) fn max_response_bytes(texts: usize) -> u64 {
    (FRAME_BYTES + texts as u64 * MAX_DIM as u64 * VALUE_BYTES).min(MAX_BYTES)
}

/// The vectors in `body`, one of norm 1 for each of `rows`; their width is `dim`, or any where
/// none is known yet.
pub(super) fn read(
    dialect: Dialect,
    body: &[u8],
    rows: Rows,
    dim: Option<usize>,
) -> Result<DenseMatrix, Fault> {
    let vectors = match dialect {
        Dialect::OpenAi => {
            let OpenAiAnswer { data } = serde_json::from_slice(body)?;
            check_count(data.len(), rows)?;
            in_order(data, rows)?
        }
        Dialect::Tei => {
            let vectors: Vec<Vector> = serde_json::from_slice(body)?;
            check_count(vectors.len(), rows)?;
            vectors
        }
    };
    let dim = dim.unwrap_or(vectors[0].len());
    let mut values = Vec::with_capacity(vectors.len() * dim);
    for (at, vector) in vectors.iter().enumerate() {
        let unit = unit(vector, dim).map_err(|message| Fault::Lasting(message, rows.at(at)))?;
        values.extend(unit);
    }
    DenseMatrix::new(dim, values).map_err(|error| Fault::Lasting(error.to_string(), rows))
}

fn check_count(got: usize, rows: Rows) -> Result<(), Fault> {
    let expected = rows.count();
    if got == expected {
        return Ok(());
    }
    Err(Fault::Lasting(format!("expected {expected} vectors, got {got}"), rows))
}

/// As many vectors as `rows`, by their index: servers may answer in another order than asked.
fn in_order(data: Vec<OpenAiVector>, rows: Rows) -> Result<Vec<Vector>, Fault> {
    let count = rows.count();
    let mut ordered = vec![None; count];
    for OpenAiVector { index, embedding } in data {
        let message = match ordered.get_mut(index) {
            Some(place @ None) => {
                *place = Some(embedding);
                continue;
            }
            Some(_) => format!("expected every `index` once, got {index} twice"),
            None => format!("expected every `index` below {count}, got {index}"),
        };
        return Err(Fault::Lasting(message, rows));
    }
    // As many as there are places, none of them twice: every place is taken.
    Ok(ordered.into_iter().flatten().collect())
}

/// `vector` brought to norm 1, or what is wrong with it.
fn unit(vector: &[Option<f64>], dim: usize) -> Result<impl Iterator<Item = f32>, String> {
    if vector.is_empty() || vector.len() > MAX_DIM {
        return Err(format!("expected from 1 to {MAX_DIM} values, got {}", vector.len()));
    }
    if vector.len() != dim {
        return Err(format!("expected {dim} values, got {}", vector.len()));
    }
    let mut values = Vec::with_capacity(dim);
    for (at, value) in vector.iter().enumerate() {
        match value.map(|value| (value, value as f32)) {
            Some((_, value)) if value.is_finite() => values.push(f64::from(value)),
            Some((value, _)) => {
                return Err(format!("value {at}: expected a finite f32, got {value:?}"));
            }
            None => return Err(format!("value {at}: expected a finite f32, got null")),
        }
    }
    let norm = values.iter().map(|x| x * x).sum::<f64>().sqrt();
    if norm == 0.0 {
        return Err(format!("expected a direction, got {dim} values of 0"));
    }
    Ok(values.into_iter().map(move |x| (x / norm) as f32))
}
