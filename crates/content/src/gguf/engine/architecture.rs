//! What the metadata says of a network.

use super::container::Container;
use crate::Result;

/// No published model is near these; larger numbers are damage.
const MAX_WIDTH: usize = 1 << 17;
const MAX_LAYERS: usize = 1024;
const MAX_CONTEXT: usize = 1 << 26;
/// Every so many layers of Gemma 3, one sees the whole text.
const GEMMA_PERIOD: usize = 6;
/// Base of the rotations in Gemma's layers that see a window.
const GEMMA_LOCAL_BASE: f64 = 10_000.0;
/// Layers of Gemma 3 27B, whose attention is scaled otherwise than that of its smaller kin.
const GEMMA_27B_LAYERS: usize = 62;

/// The networks that this crate can run, as `general.architecture` spells them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    Gemma3,
    Llama,
    Qwen2,
    Qwen3,
}

const FAMILIES: [(&str, Family); 4] = [
    ("gemma3", Family::Gemma3),
    ("llama", Family::Llama),
    ("qwen2", Family::Qwen2),
    ("qwen3", Family::Qwen3),
];

/// A decoder of blocks of attention and gated feed-forward layers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Architecture {
    pub(super) family: Family,
    /// Width of the states.
    pub(super) dim: usize,
    pub(super) layers: usize,
    /// Heads of the queries.
    pub(super) heads: usize,
    /// Heads of keys and values, each shared by as many heads of queries.
    pub(super) shared: usize,
    /// Width of a head.
    pub(super) head: usize,
    /// Hidden width of the feed-forward layers.
    pub(super) hidden: usize,
    /// Rows of the table of tokens.
    pub(super) vocabulary: usize,
    /// The longest text that the model was made for, in tokens.
    pub(super) context: usize,
    pub(super) eps: f64,
    /// What queries times keys are multiplied with.
    pub(super) scale: f64,
    /// Base of the rotations.
    pub(super) base: f64,
    /// What positions are divided by before the rotations.
    pub(super) stretch: f64,
    /// Layers that see the last tokens only, where there are such.
    pub(super) local: Option<Local>,
}

/// Layers that see a window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Local {
    /// How many tokens they see, the own one included.
    pub(super) window: usize,
    /// Every so many layers, one sees the whole text.
    pub(super) period: usize,
    /// Base of their rotations.
    pub(super) base: f64,
}

impl Architecture {
    /// Reads and checks the sizes.
    pub(super) fn read(file: &Container) -> Result<Architecture> {
        let name = file.text("general.architecture")?.unwrap_or_default();
        let known = FAMILIES.iter().find(|(known, _)| *known == name);
        let Some(&(name, family)) = known else {
            let known = FAMILIES.map(|(name, _)| name).join("`, `");
            let message = format!("`general.architecture`: expected `{known}`, got `{name}`");
            return Err(file.fault(message));
        };
        let keys = Keys { file, name };
        if keys.count("expert_count", 0)? > 0 {
            return Err(file.fault("expected a dense network, got a mixture of experts"));
        }
        let (dim, heads) = (keys.width("embedding_length")?, keys.width("attention.head_count")?);
        let head = keys.count("attention.key_length", dim / heads)?;
        let layers = keys.size("block_count", MAX_LAYERS)?;
        let as_large = family == Family::Gemma3 && layers == GEMMA_27B_LAYERS;
        let found = Architecture {
            family,
            dim,
            layers,
            heads,
            shared: keys.count("attention.head_count_kv", heads)?,
            head,
            hidden: keys.width("feed_forward_length")?,
            vocabulary: file.shape("token_embd.weight")?[0],
            context: keys.size("context_length", MAX_CONTEXT)?,
            eps: keys.positive("attention.layer_norm_rms_epsilon", None)?,
            scale: (if as_large { dim / heads } else { head } as f64).sqrt().recip(),
            base: keys.positive("rope.freq_base", Some(10_000.0))?,
            stretch: keys.stretch()?,
            local: (family == Family::Gemma3).then(|| keys.local()).transpose()?,
        };
        found.check(&keys)?;
        Ok(found)
    }

    fn check(&self, keys: &Keys<'_>) -> Result<()> {
        let (heads, shared, head) = (self.heads, self.shared, self.head);
        if shared == 0 || !heads.is_multiple_of(shared) {
            return Err(keys.fault(
                "attention.head_count_kv",
                format!("expected a divisor of {heads}, got {shared}"),
            ));
        }
        if !(2..=MAX_WIDTH).contains(&head) || !head.is_multiple_of(2) {
            let message = format!("expected an even width from 2 to {MAX_WIDTH}, got {head}");
            return Err(keys.fault("attention.key_length", message));
        }
        for key in ["attention.value_length", "rope.dimension_count"] {
            let width = keys.count(key, head)?;
            if width != head {
                return Err(keys.fault(key, format!("expected {head} as for keys, got {width}")));
            }
        }
        if self.eps >= 1.0 {
            let message = format!("expected a value below 1, got {}", self.eps);
            return Err(keys.fault("attention.layer_norm_rms_epsilon", message));
        }
        Ok(())
    }

    /// Whether a layer sees the last tokens only.
    pub(super) fn sees_window(&self, layer: usize) -> bool {
        self.local.as_ref().is_some_and(|local| !(layer + 1).is_multiple_of(local.period))
    }
}

/// Keys that begin with the family's name.
struct Keys<'a> {
    file: &'a Container,
    name: &'a str,
}

impl Keys<'_> {
    fn fault(&self, key: &str, message: String) -> crate::Error {
        self.file.fault(format!("`{}.{key}`: {message}", self.name))
    }

    fn required<T>(&self, key: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.fault(key, "is missing".into()))
    }

    fn count(&self, key: &str, default: usize) -> Result<usize> {
        Ok(self.file.count(&format!("{}.{key}", self.name))?.unwrap_or(default))
    }

    fn size(&self, key: &str, most: usize) -> Result<usize> {
        let size = self.required(key, self.file.count(&format!("{}.{key}", self.name))?)?;
        if !(1..=most).contains(&size) {
            return Err(self.fault(key, format!("expected 1 to {most}, got {size}")));
        }
        Ok(size)
    }

    fn width(&self, key: &str) -> Result<usize> {
        self.size(key, MAX_WIDTH)
    }

    fn positive(&self, key: &str, default: Option<f64>) -> Result<f64> {
        let found = self.file.real(&format!("{}.{key}", self.name))?.or(default);
        let value = self.required(key, found)?;
        if value <= 0.0 {
            return Err(self.fault(key, format!("expected more than 0, got {value}")));
        }
        Ok(value)
    }

    /// The factor by which positions were stretched for longer texts.
    fn stretch(&self) -> Result<f64> {
        let key = "rope.scaling.type";
        let kind = self.file.text(&format!("{}.{key}", self.name))?;
        match kind.as_deref().unwrap_or("none") {
            "none" => Ok(1.0),
            "linear" => self.positive("rope.scaling.factor", Some(1.0)),
            other => Err(self.fault(key, format!("expected `none` or `linear`, got `{other}`"))),
        }
    }

    fn local(&self) -> Result<Local> {
        Ok(Local {
            window: self.size("attention.sliding_window", MAX_CONTEXT)?,
            period: self.count("attention.sliding_window_pattern", GEMMA_PERIOD)?.max(1),
            base: self.positive("rope.freq_base_swa", Some(GEMMA_LOCAL_BASE))?,
        })
    }
}
