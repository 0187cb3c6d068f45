//! A published model as an embedder: asked only for what is not known yet.

use std::path::Path;

use das_core::progress::{Cancel, Progress};
use das_core::{DenseMatrix, RowMatrix, files};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cache::{Cache, Key, key};
use crate::distinct::Distinct;
use crate::embedder::DESCRIPTION_FILE;
use crate::text_model::{Batch, TextModel};
use crate::{
    Embedder, EmbedderIdentity, Embeddings, EndpointConfig, EndpointEmbedder, Error, PlmConfig,
    Result,
};

/// What a blank text is embedded as; many models and servers refuse an empty one.
const BLANK: &str = "unknown";

/// A [`TextModel`] behind the [`Embedder`] trait. Blank texts share the vector of one word and are
/// reported as fallback rows; a text that occurs twice is embedded once; and what a cache knows is
/// not embedded again. Batches go to the cache as they come, so that an interrupted call loses at
/// most the one in the making.
#[derive(Debug)]
pub struct PublishedModel {
    model: Box<dyn TextModel>,
    name: String,
    settings: Value,
    cache: Option<Cache>,
}

/// What stands in an artifact of a published model: which one it is, never its weights.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    kind: String,
    version: u32,
    dim: usize,
    hash: String,
    /// What people call it.
    pub(crate) name: String,
    /// How it is used, for whoever loads it.
    pub(crate) settings: Value,
}

impl PublishedModel {
    /// The model in `folder`; see [`crate::Plm`].
    ///
    /// # Errors
    /// As [`crate::Plm::open`]; in a build without the feature `models`, always.
    #[cfg(feature = "models")]
    pub fn local(
        folder: &Path,
        config: &PlmConfig,
        cache: Option<Cache>,
    ) -> Result<PublishedModel> {
        let plm = crate::Plm::open(folder, config)?;
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let settings = serde_json::to_value(plm.settings()).expect("plain data");
        Ok(PublishedModel { model: Box::new(plm), name, settings, cache })
    }

    /// Says that this build runs no models.
    ///
    /// # Errors
    /// Always: this build lacks the feature `models`.
    #[cfg(not(feature = "models"))]
    pub fn local(folder: &Path, _: &PlmConfig, _: Option<Cache>) -> Result<PublishedModel> {
        Err(Error::Model(format!(
            "{}: this build runs no models in process; build with `--features models`, or use an \
             endpoint",
            folder.display()
        )))
    }

    /// The model behind an endpoint, which is asked for one vector first.
    ///
    /// # Errors
    /// As [`EndpointEmbedder::probe`].
    pub fn remote(
        config: &EndpointConfig,
        cache: Option<Cache>,
        seed: u64,
        cancel: &Cancel,
    ) -> Result<PublishedModel> {
        let model = EndpointEmbedder::probe(config, seed, cancel)?;
        let (name, settings) = (config.model.clone(), serde_json::to_value(config));
        let settings = settings.expect("plain data");
        Ok(PublishedModel { model: Box::new(model), name, settings, cache })
    }

    /// What people call it: the name of its folder, or that which its server knows.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Description {
    /// Which model this was.
    pub(crate) fn identity(&self) -> EmbedderIdentity {
        EmbedderIdentity {
            kind: self.kind.clone(),
            version: self.version,
            dim: self.dim,
            hash: self.hash.clone(),
        }
    }
}

impl Embedder for PublishedModel {
    fn dim(&self) -> usize {
        self.model.identity().dim
    }

    fn identity(&self) -> EmbedderIdentity {
        self.model.identity()
    }

    fn embed(
        &self,
        texts: &[&str],
        progress: &dyn Progress,
        cancel: &Cancel,
    ) -> Result<Embeddings> {
        let mut work = Work::new(texts, &self.identity());
        if let Some(cache) = &self.cache {
            work.recall(cache)?;
        }
        let missing = work.missing();
        if !missing.is_empty() {
            let asked: Vec<&str> = missing.iter().map(|&slot| work.texts[slot]).collect();
            self.model.embed_batches(&asked, progress, cancel, &mut |batch| {
                work.take(&missing, batch, self.cache.as_ref())
            })?;
        }
        work.finish()
    }

    fn save(&self, folder: &Path) -> Result<()> {
        files::create_folder(folder)?;
        let EmbedderIdentity { kind, version, dim, hash } = self.identity();
        let (name, settings) = (self.name.clone(), self.settings.clone());
        let description = Description { kind, version, dim, hash, name, settings };
        let json = serde_json::to_string_pretty(&description).expect("plain data");
        Ok(files::write_bytes_atomic(&folder.join(DESCRIPTION_FILE), json.as_bytes())?)
    }
}

/// The texts of one call, each of which is known or to be asked for.
struct Work<'a> {
    dim: usize,
    /// The distinct texts.
    texts: Vec<&'a str>,
    keys: Vec<Key>,
    /// Which of the distinct texts each row has.
    slots: Vec<usize>,
    fallback_rows: Vec<usize>,
    vectors: Vec<f32>,
    known: Vec<bool>,
    truncated: Vec<bool>,
}

impl<'a> Work<'a> {
    fn new(rows: &[&'a str], identity: &EmbedderIdentity) -> Work<'a> {
        let model = serde_json::to_string(identity).expect("plain data");
        let mut distinct = Distinct::default();
        let (mut slots, mut fallback_rows) = (Vec::new(), Vec::new());
        for (row, &text) in rows.iter().enumerate() {
            let blank = text.trim().is_empty();
            if blank {
                fallback_rows.push(row);
            }
            slots.push(distinct.slot(if blank { BLANK } else { text }));
        }
        let texts = distinct.texts;
        let keys = texts.iter().map(|text| key(&[&model, text])).collect();
        Work {
            dim: identity.dim,
            vectors: vec![0.0; texts.len() * identity.dim],
            known: vec![false; texts.len()],
            truncated: vec![false; texts.len()],
            texts,
            keys,
            slots,
            fallback_rows,
        }
    }

    /// Takes what the cache knows. An entry of another length, or with a value that is no number,
    /// is damage and counts as unknown.
    fn recall(&mut self, cache: &Cache) -> Result<()> {
        let dim = self.dim;
        cache.find(&self.keys, |slot, answer| {
            let Some((&truncated, bytes)) = answer.split_first() else { return Ok(()) };
            if bytes.len() != 4 * dim {
                return Ok(());
            }
            let out = &mut self.vectors[slot * dim..][..dim];
            for (out, bytes) in out.iter_mut().zip(bytes.chunks_exact(4)) {
                *out = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
            self.known[slot] = out.iter().all(|value| value.is_finite());
            self.truncated[slot] = truncated != 0;
            Ok(())
        })
    }

    fn missing(&self) -> Vec<usize> {
        (0..self.texts.len()).filter(|&slot| !self.known[slot]).collect()
    }

    /// Takes a batch about some of the `asked` slots, and keeps it.
    fn take(&mut self, asked: &[usize], batch: Batch, cache: Option<&Cache>) -> Result<()> {
        let mut entries = Vec::with_capacity(batch.rows.len());
        for (at, &row) in batch.rows.iter().enumerate() {
            let (slot, vector) = (asked[row], batch.vectors.row(at));
            self.vectors[slot * self.dim..][..self.dim].copy_from_slice(vector);
            self.known[slot] = true;
            self.truncated[slot] = batch.truncated[at];
            let bytes = vector.iter().flat_map(|value| value.to_le_bytes());
            let entry = std::iter::once(u8::from(batch.truncated[at])).chain(bytes).collect();
            entries.push((&self.keys[slot], entry));
        }
        cache.map_or(Ok(()), |cache| cache.put(entries))
    }

    /// One row a text of the call.
    fn finish(self) -> Result<Embeddings> {
        if let Some(slot) = self.known.iter().position(|known| !known) {
            let text = self.texts[slot];
            return Err(Error::Model(format!("the model gave no vector for `{text}`")));
        }
        let dim = self.dim;
        let rows = self.slots.iter().flat_map(|&slot| &self.vectors[slot * dim..][..dim]);
        Ok(Embeddings {
            matrix: DenseMatrix::new(dim, rows.copied().collect())?,
            truncated: self.slots.iter().filter(|&&slot| self.truncated[slot]).count(),
            fallback_rows: self.fallback_rows,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use das_core::progress::Silent;

    use super::*;

    /// Embeds a text as its length and number of words, two texts a batch, and fails after some.
    #[derive(Debug)]
    struct Counting {
        asked: Mutex<Vec<String>>,
        fails_after: usize,
    }

    impl Counting {
        fn published(fails_after: usize, cache: Option<Cache>) -> PublishedModel {
            let model = Counting { asked: Mutex::default(), fails_after };
            let (model, name) = (Box::new(model), "counting".to_string());
            PublishedModel { model, name, settings: Value::Null, cache }
        }
    }

    impl TextModel for Counting {
        fn identity(&self) -> EmbedderIdentity {
            EmbedderIdentity { kind: "counting".into(), version: 1, dim: 2, hash: "h".into() }
        }

        fn embed_batches(
            &self,
            texts: &[&str],
            _progress: &dyn Progress,
            _cancel: &Cancel,
            done: crate::Done<'_>,
        ) -> Result<()> {
            for (batch, texts) in texts.chunks(2).enumerate().rev() {
                let mut asked = self.asked.lock().unwrap();
                if asked.len() >= self.fails_after {
                    return Err(Error::Model("enough".into()));
                }
                asked.extend(texts.iter().map(|text| text.to_string()));
                done(Batch {
                    rows: (2 * batch..).take(texts.len()).collect(),
                    vectors: DenseMatrix::new(2, texts.iter().flat_map(|t| vector(t)).collect())?,
                    truncated: texts.iter().map(|text| text.len() > 5).collect(),
                })?;
            }
            Ok(())
        }
    }

    fn vector(text: &str) -> [f32; 2] {
        [text.len() as f32, text.split_whitespace().count() as f32]
    }

    fn embed(model: &PublishedModel, texts: &[&str]) -> Result<Embeddings> {
        model.embed(texts, &Silent, &Cancel::default())
    }

    #[test]
    fn repeated_and_blank_texts_are_asked_for_once() {
        let model = Counting::published(usize::MAX, None);
        let texts = ["a b", "", "long text", "a b", " \n", "c"];
        let found = embed(&model, &texts).unwrap();
        let texts = ["a b", BLANK, "long text", "a b", BLANK, "c"];
        let expected: Vec<f32> = texts.iter().flat_map(|text| vector(text)).collect();
        assert_eq!(found.matrix.values(), expected);
        assert_eq!((found.fallback_rows, found.truncated), (vec![1, 4], 3));
    }

    #[test]
    fn what_is_cached_is_not_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = || Some(Cache::open(folder.path()).unwrap());
        let texts = ["a", "b", "c", "d", "too long"];
        embed(&Counting::published(3, cache()), &texts).unwrap_err();
        // Batches of the failed call are there: it can only go on from them.
        let found = embed(&Counting::published(2, cache()), &texts).unwrap();
        assert_eq!(found.truncated, 1);
        let again = embed(&Counting::published(0, cache()), &texts).unwrap();
        assert_eq!(again, found);
        embed(&Counting::published(0, cache()), &["a", "e"]).unwrap_err();
    }

    #[test]
    fn damaged_entries_are_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path()).unwrap();
        let model = Counting::published(usize::MAX, Some(cache.clone()));
        let found = embed(&model, &["a", "b", "c"]).unwrap();
        let identity = serde_json::to_string(&model.identity()).unwrap();
        let keys = ["a", "b", "c"].map(|text| key(&[&identity, text]));
        let nan: Vec<u8> = std::iter::once(0).chain(f32::NAN.to_le_bytes().repeat(2)).collect();
        cache.put([(&keys[0], vec![]), (&keys[1], vec![0; 5]), (&keys[2], nan)]).unwrap();
        assert_eq!(embed(&model, &["a", "b", "c"]).unwrap(), found);
    }
}
