//! Every switch of the objective and of the IDs works from the command line.

use std::collections::HashSet;

use das_core::Side;
use das_core::sid::CollisionPolicy;
use das_model::Term;

use crate::common::*;

/// One unquantized epoch, one quantized one, few checkpoints.
const SHORT: [&str; 2] = ["train.epochs=2", "train.checkpoint_steps=1000"];

/// The loss terms of the last step of a short run.
fn terms(bench: &Bench, run: &str, settings: &[&str]) -> HashSet<String> {
    bench.train("data", run, &[&SHORT, settings].concat());
    let records = metrics(&bench.path(run));
    let step = records.iter().rfind(|record| record["kind"] == "step").unwrap();
    step["terms"].as_object().unwrap().keys().cloned().collect()
}

fn names(terms: impl IntoIterator<Item = Term>) -> HashSet<String> {
    terms.into_iter().map(|term| term.name().to_string()).collect()
}

#[test]
fn each_term_can_be_switched_off_by_itself() {
    let bench = Bench::new();
    let all = names(Term::ALL.iter().copied());
    assert_eq!(terms(&bench, "all", &[]), all);
    for &term in Term::ALL {
        let off = format!("model.terms.{term}=0");
        if matches!(term, Term::RqU | Term::RqI) {
            let key = format!("model.terms.{term}");
            fail(&mut bench.train_command("data", "none", &[&off]), 2, &[&key]);
            continue;
        }
        let found = terms(&bench, term.name(), &[&off]);
        let expected: HashSet<String> =
            all.iter().filter(|&name| name != term.name()).cloned().collect();
        assert_eq!(found, expected, "without {term}");
    }
}

#[test]
fn parts_can_be_switched_off_together() {
    let bench = Bench::new();
    let without_icdm = Term::ALL.iter().copied().filter(|term| !term.needs_icdm());
    assert_eq!(terms(&bench, "no-icdm", &["model.icdm=false"]), names(without_icdm));
    assert!(!bench.path("no-icdm/artifact/icdm.safetensors").exists());
    let content = [Term::RecU, Term::RecI, Term::RqU, Term::RqI];
    let off = ["model.alpha=0", "model.beta=0", "model.adapter_rank=0"];
    assert_eq!(terms(&bench, "content-only", &off), names(content));
}

#[test]
fn every_collision_policy_reaches_the_artifact() {
    let bench = Bench::new();
    let sizes = "model.item.codebook_sizes=[8,8,32]";
    let learned = |policy: CollisionPolicy| {
        let name = policy.name();
        let setting = format!("collision.policy={name}");
        let settings = [&SHORT[..], &[&setting, sizes]].concat();
        let artifact = bench.train("data", name, &settings);
        let layout = &manifest(&artifact)["sides"]["item"]["layout"];
        let table = sids(&artifact, Side::Item).table;
        assert_eq!(*layout, serde_json::to_value(table.layout()).unwrap());
        assert_eq!(table.layout().collision(), policy);
        table
    };
    let raw = learned(CollisionPolicy::None);
    let unique = |table: &das_core::sid::SidTable| table.rows().collect::<HashSet<_>>().len();
    assert!(unique(&raw) < ITEMS, "no collision to resolve");
    let suffix = learned(CollisionPolicy::Suffix);
    assert_eq!((unique(&suffix), suffix.layout().num_digits()), (ITEMS, 4));
    assert!((0..ITEMS).all(|row| suffix.prefix(row, 3) == raw.row(row)));
    for policy in [CollisionPolicy::Greedy, CollisionPolicy::Sinkhorn] {
        let resolved = learned(policy);
        assert_eq!(unique(&resolved), ITEMS, "{policy}");
        assert!((0..ITEMS).all(|row| resolved.prefix(row, 2) == raw.prefix(row, 2)), "{policy}");
    }
}
