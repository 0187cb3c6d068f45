//! A run that is killed anywhere and resumed ends in the very bytes of an uninterrupted one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::Rng;

use crate::common::*;

/// Kills at random times that must hit a living process.
const RANDOM_KILLS: usize = 20;
const SETTINGS: &[&str] = &["threads=1", "train.early_stopping=3"];

/// When to interrupt, told from the time since the start and the run's folder.
type When<'a> = &'a dyn Fn(Duration, &Path) -> bool;

/// Whether a run's folder shows that it came to a phase.
type Reached<'a> = &'a dyn Fn(&Path) -> bool;

/// A change of a file's bytes.
type Damage = fn(&mut Vec<u8>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Signal {
    Kill,
    /// Ctrl-C: the run stops at the next safe point.
    Interrupt,
}

/// The uninterrupted run and the bench that others repeat it on.
struct Reference {
    bench: Bench,
    took: Duration,
    /// Steps of an epoch.
    epoch: u64,
}

impl Reference {
    fn new() -> Reference {
        let bench = Bench::new();
        let started = Instant::now();
        bench.train("data", "reference", SETTINGS);
        let took = started.elapsed();
        let first_epoch = metrics(&bench.path("reference"))
            .into_iter()
            .find(|record| record["kind"] == "epoch")
            .unwrap();
        Reference { bench, took, epoch: first_epoch["step"].as_u64().unwrap() }
    }

    fn start(&self, run: &str) -> Command {
        self.bench.train_command("data", run, SETTINGS)
    }

    fn resume(&self, run: &str) -> Command {
        self.bench.resume_command("data", run)
    }

    /// Starts a run, interrupts it, and says whether that came before its end.
    fn interrupt(&self, run: &str, signal: Signal, when: When<'_>) -> bool {
        interrupt(&mut self.start(run), &self.bench.path(run), signal, when)
    }

    /// Resumes `run`, or starts it anew where it was killed before it wrote its settings, and
    /// compares what it ends with.
    #[track_caller]
    fn finish(&self, run: &str) {
        let folder = self.bench.path(run);
        if folder.join("config.toml").exists() {
            succeed(&mut self.resume(run));
        } else {
            fail(&mut self.resume(run), 1, &[run, "there is no run to resume"]);
            succeed(&mut self.start(run));
        }
        self.compare(run);
    }

    #[track_caller]
    fn compare(&self, run: &str) {
        let (reference, folder) = (self.bench.path("reference"), self.bench.path(run));
        assert_same_files(&reference.join("artifact"), &folder.join("artifact"));
        let log = |folder: &Path| fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
        assert!(log(&reference) == log(&folder), "metrics.jsonl differs");
        // Nothing half-written is left, all of which is hidden.
        let hidden = |name: &String| name.split('/').any(|part| part.starts_with('.'));
        let left: Vec<String> = files_below(&folder).into_keys().filter(hidden).collect();
        assert_eq!(left, [".lock"]);
        fs::remove_dir_all(folder).unwrap();
    }
}

/// Runs `command` until `when` and interrupts it; whether it was still at work then.
fn interrupt(command: &mut Command, run: &Path, signal: Signal, when: When<'_>) -> bool {
    let started = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while !when(started.elapsed(), run) {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    send(&mut child, signal);
    !child.wait().unwrap().success()
}

fn send(child: &mut Child, signal: Signal) {
    match signal {
        Signal::Kill => child.kill().unwrap(),
        Signal::Interrupt => {
            let pid = child.id().to_string();
            // It may have ended by now.
            let _ = Command::new("sh").args(["-c", "kill -INT $0 2>&-", &pid]).status().unwrap();
        }
    }
}

/// Names of the checkpoints by step, oldest first.
fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(run.join("checkpoints")) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<_> = paths
        .filter(|path| path.file_name().unwrap().as_encoded_bytes().starts_with(b"step-"))
        .collect();
    found.sort();
    found
}

fn holds(folder: &Path, prefix: &str) -> bool {
    fs::read_dir(folder).is_ok_and(|entries| {
        let mut names = entries.flatten().map(|entry| entry.file_name());
        names.any(|name| name.as_encoded_bytes().starts_with(prefix.as_bytes()))
    })
}

#[test]
fn twenty_random_kills_change_no_byte() {
    let reference = Reference::new();
    let mut rng = das_core::streams::stream(11, "kills", 0);
    let (mut hits, mut attempt, mut took) = (0, 0, reference.took);
    while hits < RANDOM_KILLS {
        attempt += 1;
        assert!(attempt < 4 * RANDOM_KILLS, "only {hits} of {attempt} kills met a living process");
        let signal = if attempt % 4 == 3 { Signal::Interrupt } else { Signal::Kill };
        let mut delay = || took.mul_f64(rng.random_range(0.0..1.0));
        let (first, again, second) = (delay(), attempt % 3 == 0, delay());
        let run = format!("run-{attempt}");
        if !reference.interrupt(&run, signal, &|passed, _| passed >= first) {
            reference.compare(&run);
            // Runs have become faster than that, as the machine has less else to do.
            took = took.min(first);
            continue;
        }
        hits += 1;
        let folder = reference.bench.path(&run);
        if again && folder.join("config.toml").exists() {
            let when: When<'_> = &|passed, _| passed >= second;
            hits +=
                usize::from(interrupt(&mut reference.resume(&run), &folder, Signal::Kill, when));
        }
        reference.finish(&run);
    }
}

#[test]
fn a_kill_in_each_phase_changes_no_byte() {
    let reference = Reference::new();
    let last_of_first_epoch = format!("step-{:010}.ckpt", reference.epoch);
    let phases: [(&str, Reached<'_>); 8] = [
        ("settings", &|run| run.join("config.toml").exists()),
        ("between-embedders", &|run| run.join("content/user_embeddings.npy").exists()),
        ("first-checkpoint", &|run| !checkpoints(run).is_empty()),
        ("k-means", &|run| run.join("checkpoints").join(&last_of_first_epoch).exists()),
        ("inside-checkpoint", &|run| holds(&run.join("checkpoints"), ".tmp-")),
        ("best-model", &|run| run.join("checkpoints/best.ckpt").exists()),
        ("publishing", &|run| holds(run, ".artifact.staging-")),
        ("published", &|run| run.join("artifact/manifest.json").exists()),
    ];
    for (phase, reached) in phases {
        let run = format!("run-{phase}");
        if reference.interrupt(&run, Signal::Kill, &|_, folder| reached(folder)) {
            reference.finish(&run);
        } else {
            // A busy machine may look too late; the run is whole then.
            reference.compare(&run);
        }
    }
}

#[test]
fn a_damaged_newest_checkpoint_falls_back_to_the_one_before() {
    let reference = Reference::new();
    let damages: [(&str, Damage); 2] = [
        ("torn", |bytes| bytes.truncate(bytes.len() / 2)),
        ("flipped", |bytes| {
            let at = bytes.len() / 3;
            bytes[at] ^= 4;
        }),
    ];
    for (run, damage) in damages {
        let two: When<'_> = &|_, folder| checkpoints(folder).len() == 2;
        assert!(reference.interrupt(run, Signal::Kill, two));
        let paths = checkpoints(&reference.bench.path(run));
        let newest = paths.last().unwrap();
        rewrite(newest, damage);
        let called = call(&mut reference.resume(run));
        let name = newest.file_name().unwrap().to_str().unwrap();
        assert_eq!(called.code, Some(0), "{called:?}");
        assert!(called.stderr.contains("warning: checkpoint passed over"), "{}", called.stderr);
        assert!(called.stderr.contains(name), "{}", called.stderr);
        reference.compare(run);
    }
}

#[test]
fn without_an_intact_checkpoint_the_resume_is_refused() {
    let reference = Reference::new();
    let best: When<'_> =
        &|_, run| run.join("checkpoints/best.ckpt").exists() && checkpoints(run).len() == 2;
    assert!(reference.interrupt("run", Signal::Kill, best));
    let run = reference.bench.path("run");
    // The newest checkpoint may be older than the best model: one more epoch, then stop again.
    let newest = checkpoints(&run).pop().unwrap();
    let later: When<'_> = &|_, run| checkpoints(run).pop().is_some_and(|path| path > newest);
    assert!(interrupt(&mut reference.resume("run"), &run, Signal::Kill, later));
    rewrite(&run.join("checkpoints/best.ckpt"), |bytes| bytes.truncate(100));
    fail(&mut reference.resume("run"), 1, &["best.ckpt", "torn or altered"]);
    checkpoints(&run).iter().for_each(|path| rewrite(path, |bytes| bytes[50] ^= 1));
    fail(&mut reference.resume("run"), 1, &["no intact checkpoint", "step-", "altered"]);
    assert!(!run.join("artifact").exists());
}

fn rewrite(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_a_start_killed_before_its_settings_leaves_is_no_obstacle() {
    let bench = Bench::new();
    let run = bench.path("run");
    fs::create_dir(&run).unwrap();
    [".lock", ".tmp-Ab12"].iter().for_each(|name| fs::write(run.join(name), b"").unwrap());
    fail(&mut bench.resume_command("data", "run"), 1, &["run", "there is no run to resume"]);
    bench.train("data", "run", &[]);
    assert!(!run.join(".tmp-Ab12").exists());
}

#[test]
fn ctrl_c_says_so_and_keeps_a_checkpoint() {
    let bench = Bench::new();
    let settings = ["train.epochs=500", "train.checkpoint_steps=100000"];
    let mut train = bench.train_command("data", "run", &settings);
    let mut child = train.stderr(Stdio::piped()).spawn().unwrap();
    let run = bench.path("run");
    while checkpoints(&run).is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    send(&mut child, Signal::Interrupt);
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("stopping at the next safe point") && said.contains("interrupted"));
    let steps = metrics(&run).iter().rev().find_map(|record| record["step"].as_u64()).unwrap();
    let newest = checkpoints(&run).pop().unwrap();
    let at = format!("step-{:010}.ckpt", steps + 1);
    assert!(newest.ends_with(&at) || newest.ends_with(format!("step-{steps:010}.ckpt")), "{at}");
}

#[test]
fn a_killed_embedding_can_be_repeated() {
    let bench = Bench::new();
    let embed = |data: &str| {
        let mut embed = das(["embed", "--data"]);
        embed.arg(bench.path(data)).arg("--config").arg(bench.path("small.toml"));
        embed
    };
    bench.market.write(&bench.path("whole")).unwrap();
    succeed(&mut embed("whole"));
    let data = bench.path("data");
    let moments: [(&str, When<'_>); 3] = [
        ("user embedder", &|_, data| data.join("embedder/user/embedder.json").exists()),
        ("user vectors", &|_, data| data.join("user_embeddings.npy").exists()),
        ("item embedder", &|_, data| data.join("embedder/item/embedder.json").exists()),
    ];
    for (moment, when) in moments {
        interrupt(&mut embed("data"), &data, Signal::Kill, when);
        succeed(&mut embed("data"));
        for name in ["user_embeddings.npy", "item_embeddings.npy", "embeddings.json"] {
            let [whole, again] =
                ["whole", "data"].map(|data| fs::read(bench.path(data).join(name)));
            assert!(whole.unwrap() == again.unwrap(), "{name} after a kill at the {moment}");
        }
        ["user_embeddings.npy", "embedder/user/embedder.json", "embedder/item/embedder.json"]
            .iter()
            .for_each(|name| fs::remove_file(data.join(name)).unwrap());
    }
}

#[test]
fn two_processes_never_train_in_one_folder() {
    let bench = Bench::new();
    let run = bench.path("run");
    let mut child = bench.train_command("data", "run", &["train.epochs=500"]).spawn().unwrap();
    while checkpoints(&run).is_empty() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let refused = call(&mut bench.resume_command("data", "run"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("another process is at work"), "{}", refused.stderr);
}
