//! The loss terms: their names, the part of the objective they belong to, and their weights.

use std::collections::BTreeMap;

use das_core::Side;
use serde::{Deserialize, Serialize};

/// The three parts of L = L_sem + α·L_cf + β·L_align (paper).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// L_sem: reconstruction and residual quantization (UISM).
    Sem,
    /// L_cf: collaborative model and its debiasing (ICDM).
    Cf,
    /// L_align: contrastive alignments (MDAM).
    Align,
}

macro_rules! terms {
    ($($variant:ident $name:literal $part:ident $icdm:literal $doc:literal,)*) => {
        /// One term of the objective. Each is logged by itself and has its own weight.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(usize)]
        pub enum Term {
            $(#[doc = $doc] $variant,)*
        }

        impl Term {
            /// Every term, in the order in which they are logged.
            pub const ALL: &'static [Term] = &[$(Term::$variant,)*];

            /// The key in the config, in `metrics.jsonl` and in TensorBoard.
            pub fn name(self) -> &'static str {
                match self { $(Term::$variant => $name,)* }
            }

            /// The part of the objective whose factor (1, α, β) scales it.
            pub fn part(self) -> Part {
                match self { $(Term::$variant => Part::$part,)* }
            }

            /// Whether the term needs the ID-based model; such terms are off with `icdm = false`.
            pub fn needs_icdm(self) -> bool {
                match self { $(Term::$variant => $icdm,)* }
            }
        }
    };
}

terms! {
    RecU "rec_u" Sem false "Reconstruction ‖x − x̂‖² of users.",
    RecI "rec_i" Sem false "Reconstruction ‖x − x̂‖² of items.",
    RqU "rq_u" Sem false "Codebook and commitment terms of the user quantizer.",
    RqI "rq_i" Sem false "Codebook and commitment terms of the item quantizer.",
    AdaptU "adapt_u" Sem false "‖x′ − x‖²: how far the adapter moves content of users.",
    AdaptI "adapt_i" Sem false "‖x′ − x‖²: how far the adapter moves content of items.",
    CfBiased "cf_biased" Cf true "L(c_u, c_i) on clicks, through the towers, with logQ correction.",
    CfUnbiased "cf_unbiased" Cf true "L(c_u^int, c_i^pro) on clicks.",
    CfItems "cf_items" Cf true "L(c_i^pro, c_i'^pro) on co-clicked items (ours, not in the paper).",
    PullU "pull_u" Cf true "c_u^con pulled to the popularity features of what the user clicks.",
    PullI "pull_i" Cf true "c_i^pop pulled to the popularity features of the item.",
    OrthU "orth_u" Cf true "Squared cosine between c_u^int and c_u^con.",
    OrthI "orth_i" Cf true "Squared cosine between c_i^pro and c_i^pop.",
    QuPro "qu_pro" Align true "u2i: q_u with c_i^pro of the clicked item.",
    QiInt "qi_int" Align true "u2i: q_i with c_u^int of the clicking user.",
    QuInt "qu_int" Align true "u2u: q_u with its own c_u^int.",
    QiPro "qi_pro" Align true "i2i: q_i with its own c_i^pro.",
    CoU "co_u" Align false "Co-occurrence: q_u with q_u' of a user who clicked the same item.",
    CoI "co_i" Align false "Co-occurrence: q_i with q_i' of an item that the same user clicked.",
    QuQi "qu_qi" Align false "Direct: q_u with q_i on clicks (ours).",
}

impl Term {
    /// Whether the term trains the tokenizer of `side`; it falls away where that has none.
    pub fn trains(self, side: Side) -> bool {
        match self {
            Term::RecU | Term::RqU | Term::AdaptU | Term::QuPro | Term::QuInt | Term::CoU => {
                side == Side::User
            }
            Term::RecI | Term::RqI | Term::AdaptI | Term::QiInt | Term::QiPro | Term::CoI => {
                side == Side::Item
            }
            Term::QuQi => true,
            _ => false,
        }
    }

    /// Whether the term belongs to the decomposition into unbiased and biased parts; such terms
    /// are off with `debias = false`.
    pub fn debiases(self) -> bool {
        matches!(self, Term::CfBiased | Term::PullU | Term::PullI | Term::OrthU | Term::OrthI)
    }

    fn parse(name: &str) -> Result<Term, String> {
        Term::ALL.iter().copied().find(|term| term.name() == name).ok_or_else(|| {
            let known: Vec<_> = Term::ALL.iter().map(|term| term.name()).collect();
            format!("unknown loss term `{name}`, expected one of {}", known.join(", "))
        })
    }
}

impl std::fmt::Display for Term {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The weight of each term inside its part; 0 switches the term off, and it is then not computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, f32>", into = "BTreeMap<String, f32>")]
pub struct TermWeights(Vec<f32>);

impl Default for TermWeights {
    /// 1 for every term but the alignments of an entity with its own ID embedding, which pull
    /// against co-occurrence (`docs/findings.md`) and are 0.
    fn default() -> TermWeights {
        let mut weights = TermWeights(vec![1.0; Term::ALL.len()]);
        weights.set(Term::QuInt, 0.0);
        weights.set(Term::QiPro, 0.0);
        weights
    }
}

impl TermWeights {
    /// The configured weight of `term`.
    pub fn get(&self, term: Term) -> f32 {
        self.0[term as usize]
    }

    /// Changes the weight of `term`.
    pub fn set(&mut self, term: Term, weight: f32) {
        self.0[term as usize] = weight;
    }
}

impl TryFrom<BTreeMap<String, f32>> for TermWeights {
    type Error = String;

    fn try_from(map: BTreeMap<String, f32>) -> Result<TermWeights, String> {
        let mut weights = TermWeights::default();
        for (name, weight) in map {
            weights.set(Term::parse(&name)?, weight);
        }
        Ok(weights)
    }
}

impl From<TermWeights> for BTreeMap<String, f32> {
    fn from(weights: TermWeights) -> BTreeMap<String, f32> {
        Term::ALL.iter().map(|&term| (term.name().to_string(), weights.get(term))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_ones_are_listed() {
        for &term in Term::ALL {
            assert_eq!(Term::parse(term.name()), Ok(term));
        }
        let error = Term::parse("rec").unwrap_err();
        assert!(error.contains("`rec`") && error.contains("rec_u, rec_i"), "{error}");
    }

    #[test]
    fn a_partial_table_keeps_the_other_defaults() {
        let weights: TermWeights = serde_json::from_str(r#"{"orth_u": 0.0}"#).unwrap();
        assert_eq!(weights.get(Term::OrthU), 0.0);
        assert_eq!(weights.get(Term::OrthI), 1.0);
        assert_eq!(weights.get(Term::QiPro), 0.0);
        let json = serde_json::to_string(&weights).unwrap();
        assert_eq!(serde_json::from_str::<TermWeights>(&json).unwrap(), weights);
    }
}
