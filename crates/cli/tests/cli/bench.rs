//! `das bench` where it needs no files of others: what it prints, never how fast.

use serde_json::Value;

use crate::common::*;

const SIZE: [&str; 6] = ["--users", "40", "--items", "50", "--clicks", "2000"];

fn scale(flags: &[&str]) -> std::process::Command {
    let mut command = das(["bench", "scale", "--batch", "64", "--content-dim", "8"]);
    command.args(SIZE).args(flags);
    command
}

#[test]
fn scale_tells_every_phase_of_a_generated_log() {
    let temporary = tempfile::tempdir().unwrap();
    let mut command = scale(&["--steps", "3"]);
    let found = succeed_json(command.env("TMPDIR", temporary.path()));
    for (name, expected) in
        [("users", 40), ("items", 50), ("clicks", 2000), ("batch", 64), ("steps", 3)]
    {
        assert_eq!(found[name], expected, "{name}");
    }
    // Leave-last-out holds two clicks of a user out.
    assert_eq!(found["training_clicks"], 2000 - 2 * 40);
    assert_eq!((&found["clicked_users"], &found["clicked_items"]), (&40.into(), &50.into()));
    let number = |value: &Value| value.as_f64().unwrap();
    let parts = number(&found["step_us_per_sample"]) + number(&found["draw_us_per_sample"]);
    assert!((number(&found["us_per_sample"]) - parts).abs() < 1e-6 * parts, "{found}");
    assert!(number(&found["slowest_ms"]) >= number(&found["ms_per_step"]), "{found}");

    let phases = found["phases"].as_array().unwrap();
    let names: Vec<&str> = phases.iter().map(|phase| phase["name"].as_str().unwrap()).collect();
    let expected = ["generate", "prepare", "init", "codebooks", "epoch", "steps", "checkpoint"];
    assert_eq!(names, expected);
    for phase in phases {
        assert!(number(&phase["seconds"]) >= 0.0, "{phase}");
        let memory = &phase["memory"];
        assert_eq!(memory.is_object(), cfg!(target_os = "linux"), "{phase}");
        if memory.is_object() {
            assert!(number(&memory["private_mb"]) <= number(&memory["private_peak_mb"]), "{phase}");
            assert!(number(&memory["resident_mb"]) <= number(&memory["peak_mb"]), "{phase}");
        }
    }
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn scale_says_what_it_did_in_words() {
    let said = succeed(&mut scale(&["--steps", "1"]));
    for part in ["2000 clicks of 40 users and 50 items", "codebooks", "a step (median of 1)"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn scale_needs_an_epoch_for_its_steps() {
    let parts = ["--steps 26", "31", "at most the 30", "1920 training clicks"];
    fail(&mut scale(&["--steps", "26"]), 2, &parts);
}
