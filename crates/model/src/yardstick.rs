//! The yardstick step: the weights and batches of an independent PyTorch implementation, loaded
//! into this crate's own model, so that losses and speed can be compared number for number.
//!
//! The yardstick leaves out what is ours (masks, log Q, popularity pulls, item–item term), reduces
//! squared errors by their mean and contrasts one way; the configuration here says exactly that.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use das_core::{Side, Views, files};
use das_nn::safetensors_io::{self, TensorData};
use das_nn::{AdamW, AdamWConfig, Device, ParamId, Tape};

use crate::batch::{Batch, Partners, SideBatch};
use crate::config::{Direction, ModelConfig, Reduction, TokenizerConfig};
use crate::icdm::PopularityFeatures;
use crate::terms::Term;
use crate::{Das, Error, Phase, Result, Standard};

const LEARNING_RATE: f32 = 1e-3;
const TEMPERATURE: f32 = 0.07;
/// The letter that the yardstick's tensor names give each side.
const SIDES: [(Side, &str); 2] = [(Side::User, "u"), (Side::Item, "i")];

type Tensors = HashMap<String, (Vec<usize>, Vec<f32>)>;

/// A model with the yardstick's weights, its batches, and a dense AdamW as PyTorch runs it.
#[derive(Debug)]
pub struct Yardstick {
    das: Das,
    batches: Vec<Batch>,
    optimizer: AdamW,
    steps: usize,
}

impl Yardstick {
    /// Reads `init.safetensors` and `batches.safetensors` of a folder.
    pub fn load(folder: &Path, device: &Device) -> Result<Yardstick> {
        let init = Source::read(folder.join("init.safetensors"))?;
        let data = Source::read(folder.join("batches.safetensors"))?;
        let mut das = build(&init, device)?;
        for (name, (_, values)) in &init.f32 {
            let id = parameter(&das, name)
                .ok_or_else(|| init.error(format!("tensor `{name}` is not part of the model")))?;
            das.params_mut().set(id, values)?;
        }
        let batches = (0..)
            .take_while(|n| data.f32.contains_key(&format!("u.x{n}")))
            .map(|n| batch(&data, n))
            .collect::<Result<Vec<_>>>()?;
        if batches.is_empty() {
            return Err(data.error("tensor `u.x0` is missing".to_string()));
        }
        let decay = AdamWConfig {
            weight_decay: 0.01,
            table_update: das_nn::TableUpdate::Dense,
            ..AdamWConfig::default()
        };
        let optimizer = AdamW::new(das.params(), decay);
        Ok(Yardstick { das, batches, optimizer, steps: 0 })
    }

    /// One whole training step; returns the total loss and its terms.
    pub fn step(&mut self) -> (f32, Vec<(&'static str, f32)>) {
        let batch = &self.batches[self.steps % self.batches.len()];
        let mut tape = Tape::new(self.das.params());
        let terms = self.das.forward(&mut tape, batch, Phase::Joint, true);
        let loss = terms.total(&mut tape);
        let result = (tape.scalar(loss), terms.values(&tape));
        let gradients = tape.backward(loss);
        let rate = LEARNING_RATE;
        self.optimizer.step(self.das.params_mut(), &gradients, rate, rate);
        self.steps += 1;
        result
    }

    /// The model as it stands.
    pub fn das(&self) -> &Das {
        &self.das
    }

    /// Content of one side of the first batch, `[n, content_dim]`.
    pub fn content(&self, side: Side) -> &[f32] {
        match side {
            Side::User => &self.batches[0].user.content,
            Side::Item => &self.batches[0].item.content,
        }
    }
}

/// The tensors of one file.
struct Source {
    path: PathBuf,
    f32: Tensors,
    i64: HashMap<String, Vec<i64>>,
}

impl Source {
    fn read(path: PathBuf) -> Result<Source> {
        let file = safetensors_io::from_bytes(&files::read(&path)?)?;
        let mut source = Source { path, f32: HashMap::new(), i64: HashMap::new() };
        for tensor in file.tensors {
            match tensor.data {
                TensorData::F32(values) => {
                    source.f32.insert(tensor.name, (tensor.shape, values));
                }
                TensorData::I64(values) => {
                    source.i64.insert(tensor.name, values);
                }
                TensorData::U32(_) => {}
            }
        }
        Ok(source)
    }

    fn error(&self, message: String) -> Error {
        das_core::Error::format(&self.path, message).into()
    }

    fn shape(&self, name: &str) -> Result<&[usize]> {
        let tensor = self.f32.get(name).filter(|(shape, _)| shape.len() == 2);
        let missing = || self.error(format!("matrix `{name}` is missing"));
        tensor.map(|(shape, _)| shape.as_slice()).ok_or_else(missing)
    }

    fn rows(&self, name: &str) -> Result<Vec<u32>> {
        let values = self.i64.get(name);
        let values = values.ok_or_else(|| self.error(format!("rows `{name}` are missing")))?;
        let row = |&value: &i64| u32::try_from(value);
        values
            .iter()
            .map(row)
            .collect::<Result<_, _>>()
            .map_err(|_| self.error(format!("rows `{name}`: expected 0 or more")))
    }
}

fn build(init: &Source, device: &Device) -> Result<Das> {
    let tokenizer = |letter: &str| -> Result<(usize, usize, TokenizerConfig)> {
        let mut widths = vec![init.shape(&format!("{letter}.enc0.w"))?[1]];
        for layer in 0.. {
            let Ok(shape) = init.shape(&format!("{letter}.enc{layer}.w")) else { break };
            widths.push(shape[0]);
        }
        let mut codebook_sizes = Vec::new();
        for level in 0.. {
            let Ok(shape) = init.shape(&format!("{letter}.codebook{level}")) else { break };
            codebook_sizes.push(shape[0] as u32);
        }
        let (content_dim, code_dim) = (widths[0], widths[widths.len() - 1]);
        let hidden = widths[1..widths.len() - 1].to_vec();
        Ok((content_dim, code_dim, TokenizerConfig { hidden, codebook_sizes }))
    };
    let (user_dim, code_dim, user) = tokenizer("u")?;
    let (item_dim, _, item) = tokenizer("i")?;
    let mut config = ModelConfig {
        code_dim,
        alpha: 1.0,
        beta: 1.0,
        temperature: TEMPERATURE,
        direction: Direction::RowToColumn,
        mask_positives: false,
        log_q: false,
        reduction: Reduction::Mean,
        standardize: false,
        user,
        item,
        ..ModelConfig::paper()
    };
    for term in [Term::CfItems, Term::PullU, Term::PullI] {
        config.terms.set(term, 0.0);
    }
    let users = init.shape("u.unbiased")?[0];
    let items = init.shape("i.unbiased")?[0];
    let popularity = [users, items].map(PopularityFeatures::none);
    let content = [user_dim, item_dim].map(|dim| Standard::none(Views::one(dim)));
    Das::new(device, &config, content, popularity, 0)
}

/// The parameter that a yardstick tensor such as `u.enc0.w` stands for.
fn parameter(das: &Das, name: &str) -> Option<ParamId> {
    let (letter, part) = name.split_once('.')?;
    let side = SIDES.iter().find(|(_, known)| *known == letter)?.0;
    let [unbiased, biased] = crate::table_names(side);
    let own = match part {
        "unbiased" => unbiased.to_string(),
        "biased" => biased.to_string(),
        _ => {
            let part = part.replace("enc", "encoder.").replace("dec", "decoder.");
            let part = part.replace("tower", "tower.").replace("codebook", "codebook.");
            let part = part.replace(".w", ".weight").replace(".b", ".bias");
            format!("{side}.{part}")
        }
    };
    das.params().id(&own)
}

fn batch(data: &Source, n: usize) -> Result<Batch> {
    let permutation = data.rows(&format!("perm{n}"))?;
    let side = |letter: &str| -> Result<SideBatch> {
        let rows = data.shape(&format!("{letter}.x{n}"))?[0];
        let ids = data.rows(&format!("{letter}.id{n}"))?;
        let partner_ids = permutation.iter().map(|&at| ids[at as usize]).collect();
        Ok(SideBatch {
            rows,
            content: data.f32[&format!("{letter}.x{n}")].1.clone(),
            anchors: (0..rows as u32).collect(),
            log_q: vec![0.0; rows],
            trust: None,
            clicked: Vec::new(),
            repeats: None,
            partners: Some(Partners {
                positions: permutation.clone(),
                ids: partner_ids,
                weights: None,
                known: None,
            }),
            ids,
        })
    };
    Ok(Batch {
        user: side("u")?,
        item: side("i")?,
        weights: None,
        positives: None,
        positives_transposed: None,
    })
}
